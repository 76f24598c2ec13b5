"""Building the decoded cache from JPEG files, pictures per second, beside loops over the files.

    python benchmarks/cache.py [DATA] [--pictures 2000] [--rounds 3] [--json]

Each contender reads and decodes every file with as many threads as there are cores: Pillow (to
RGB), torchvision's `decode_image`, and Hotstart, which also hashes the file, orients the picture
and writes it to the cache. Two cases: pictures that are kept whole, and large ones of which less
is needed, so that JPEG's scaled decoding applies; there, each peer also resizes to what Hotstart
keeps (Pillow with `draft`, its own scaled decoding, as a third).
"""

from __future__ import annotations

import json
import os
import shutil
import tempfile
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import torch
from PIL import Image
from torchvision.io import ImageReadMode, decode_image, read_file
from torchvision.transforms.v2.functional import resize

from common import Row, machine, medians, parser_of, take_turns, write_jpegs
from hotstart.data import open_dataset
from hotstart.data.decode import kept_short_side

CORES = os.cpu_count() or 1
CASES = {"kept whole": (96, (128, 96)), "scaled decoding": (64, (1024, 768))}
"""Case: side of the views in pixels, width and height of the files."""


def pillow(short_side: int | None, draft: bool) -> Callable[[Path], object]:
    def read(path: Path) -> object:
        with Image.open(path) as image:
            if short_side is not None:
                scale = short_side / min(image.size)
                size = (round(image.width * scale), round(image.height * scale))
                if draft:
                    image.draft("RGB", size)
                return image.convert("RGB").resize(size, Image.Resampling.BILINEAR)
            return image.convert("RGB")

    return read


def torchvisions(short_side: int | None) -> Callable[[Path], object]:
    def read(path: Path) -> object:
        picture = decode_image(read_file(str(path)), ImageReadMode.RGB)
        return picture if short_side is None else resize(picture, [short_side], antialias=True)

    return read


def over_all(files: list[Path], read: Callable[[Path], object]) -> Callable[[], object]:
    """Reads every file on all cores, keeping nothing."""

    def work() -> None:
        with ThreadPoolExecutor(CORES) as pool:
            for _ in pool.map(read, files, chunksize=16):
                pass

    return work


def building(folder: Path, size: int, place: Path) -> Callable[[], object]:
    def numbered() -> Iterator[Path]:
        number = 0
        while True:
            yield place / f"cache{number}"
            number += 1

    caches = numbered()

    def work() -> None:
        cache = next(caches)
        open_dataset(folder, size=size, cache_dir=cache)
        shutil.rmtree(cache)

    return work


def measure(case: str, folder: Path, size: int, short: int | None, rounds: int) -> list[Row]:
    files = sorted(path for path in folder.rglob("*") if path.suffix.lower() in (".jpg", ".jpeg"))
    with tempfile.TemporaryDirectory() as scratch:
        contenders = {
            "hotstart": building(folder, size, Path(scratch)),
            "Pillow": over_all(files, pillow(short, draft=False)),
            "torchvision": over_all(files, torchvisions(short)),
        }
        if short is not None:
            contenders["Pillow with draft"] = over_all(files, pillow(short, draft=True))
        spent = medians(take_turns(contenders, rounds))
    return [
        {
            "benchmark": "cache",
            "case": case,
            "pictures": len(files),
            "contender": name,
            "pictures_per_second": round(len(files) / seconds, 1),
            "hotstart_ratio": round(seconds / spent["hotstart"], 2),
        }
        for name, seconds in spent.items()
    ]


def main() -> None:
    parser = parser_of(__doc__)
    parser.add_argument("data", nargs="?", type=Path, help="JPEG files (default: generated)")
    parser.add_argument("--pictures", type=int, default=2_000)
    parser.add_argument("--rounds", type=int, default=3)
    arguments = parser.parse_args()
    torch.set_num_threads(1)
    rows: list[Row] = []
    with tempfile.TemporaryDirectory() as scratch:
        for number, (case, (size, shape)) in enumerate(CASES.items()):
            folder = arguments.data
            if folder is None:
                # Large files take long to decode: a quarter of them tells as much.
                count = arguments.pictures // (4 if number else 1)
                folder = write_jpegs(Path(scratch) / f"case{number}", count, *shape)
            scaled = case == "scaled decoding"
            short = kept_short_side(size) if scaled else None
            rows += measure(case, folder, size, short, arguments.rounds)
    if arguments.json:
        print(json.dumps(rows, indent=1))
        return
    print(machine("pillow", "torchvision", "opencv-python-headless"))
    print(f"{'case':16} {'contender':18} {'pictures/s':>11} {'hotstart is':>12}")
    for row in rows:
        print(
            f"{row['case']:16} {row['contender']:18} {row['pictures_per_second']:11,.0f} "
            f"{row['hotstart_ratio']:11.2f}x"
        )


if __name__ == "__main__":
    main()

"""From a folder to a list of its pictures: time and memory, beside the floor and the peers.

    python benchmarks/index.py [DATA] [--files 200000] [--rounds 3] [--json]

- floor: `os.scandir` and `stat` of every file, which whoever wants to know sizes must do
- hotstart: discover, index and fingerprint; each file's name, size and time of change
- hotstart, second start: `open_dataset` on the warm cache of the same pictures, index included
- torchvision ImageFolder, lightly LightlyDataset: paths alone, no file is looked at

Contenders take turns in one process; medians. Memory is told for one file: what resident memory a
process of its own gained. Files are generated, in ten class folders: JPEG of 8 px, a tenth of them
and all of them (or DATA in their place); and five times as many empty ones, never opened.
"""

from __future__ import annotations

import json
import os
import tempfile
from collections.abc import Callable
from pathlib import Path

from common import Row, apart, machine, medians, parser_of, take_turns, write_jpegs
from hotstart.data import open_dataset
from hotstart.data.discover import discover

CLASSES = 10
WARM_UP_PICTURES, MORE = 1_000, 5

GAINED = """
import os, sys
import psutil
folder, small = sys.argv[1:]
{prepare}
{warm}
before = psutil.Process().memory_info().rss
kept = {work}
print(psutil.Process().memory_info().rss - before)
"""
KEEPERS = {
    "hotstart": ("from hotstart.data.discover import discover", "discover({0})"),
    "ImageFolder": ("from torchvision.datasets import ImageFolder", "ImageFolder({0})"),
    "LightlyDataset": ("from lightly.data import LightlyDataset", "LightlyDataset({0})"),
}


def empty_files(folder: Path, count: int) -> Path:
    """`count` empty files with a picture's ending in ten folders."""
    for number in range(CLASSES):
        (folder / f"class{number}").mkdir(parents=True)
    for i in range(count):
        os.close(os.open(folder / f"class{i % CLASSES}" / f"{i:07d}.jpg", os.O_CREAT))
    return folder


def scan(folder: str) -> int:
    """The floor: the status of every file."""
    total = 0
    with os.scandir(folder) as entries:
        for entry in entries:
            if entry.is_dir():
                total += scan(entry.path)
            else:
                total += entry.stat().st_size
    return total


def seconds_of(folder: Path, cache: Path | None, rounds: int) -> dict[str, float]:
    """Median seconds of each contender; a second start only where there is a `cache`."""
    from lightly.data import LightlyDataset
    from torchvision.datasets import ImageFolder

    contenders: dict[str, Callable[[], object]] = {
        "floor: scandir and stat": lambda: scan(str(folder)),
        "hotstart": lambda: discover(folder).source.fingerprint,
        "ImageFolder": lambda: ImageFolder(str(folder)),
        "LightlyDataset": lambda: LightlyDataset(str(folder)),
    }
    if cache is not None:
        open_dataset(folder, size=32, cache_dir=cache)
        contenders["hotstart, second start"] = lambda: open_dataset(
            folder, size=32, cache_dir=cache
        )
    return medians(take_turns(contenders, rounds))


def bytes_a_file(folder: Path, small: Path, count: int) -> dict[str, float]:
    """Resident bytes gained for each file by whoever keeps the list.

    Each lists `small` first, so that what it imports on the way does not count.
    """
    gained = {}
    for name, (prepare, call) in KEEPERS.items():
        work, warm = call.format("folder"), call.format("small")
        code = GAINED.format(prepare=prepare, warm=warm, work=work)
        gained[name] = int(apart(code, str(folder), str(small))) / count
    return gained


def main() -> None:
    parser = parser_of(__doc__)
    parser.add_argument("data", nargs="?", type=Path, help="class folders (default: generated)")
    parser.add_argument("--files", type=int, default=200_000)
    parser.add_argument("--rounds", type=int, default=3)
    arguments = parser.parse_args()
    rows: list[Row] = []
    with tempfile.TemporaryDirectory() as scratch:
        place = Path(scratch)
        small = write_jpegs(place / "small", WARM_UP_PICTURES, 8, 8)
        tenth, more = arguments.files // 10, MORE * arguments.files
        folders = {tenth: write_jpegs(place / "tenth", tenth, 8, 8)}
        if arguments.data is None:
            folders[arguments.files] = write_jpegs(place / "all", arguments.files, 8, 8)
        else:
            folders[len(discover(arguments.data).source)] = arguments.data
        folders[more] = empty_files(place / "more", more)
        for count, folder in folders.items():
            cache = None if count == more else place / "cache"
            spent = seconds_of(folder, cache, arguments.rounds)
            floor = spent["floor: scandir and stat"]
            memory = bytes_a_file(folder, small, count)
            for name, seconds in spent.items():
                rows.append(
                    {
                        "benchmark": "index",
                        "files": count,
                        "contender": name,
                        "seconds": round(seconds, 4),
                        "over_floor": round(seconds / floor, 2),
                        "bytes_a_file": round(memory[name], 1) if name in memory else None,
                    }
                )
    if arguments.json:
        print(json.dumps(rows, indent=1))
        return
    print(machine("torch", "torchvision", "lightly"))
    print(f"{'files':>9} {'contender':26} {'seconds':>9} {'over floor':>11} {'bytes a file':>13}")
    for row in rows:
        memory_told = "" if row["bytes_a_file"] is None else f"{row['bytes_a_file']:13.1f}"
        print(
            f"{row['files']:9,} {row['contender']:26} {row['seconds']:9.3f} "
            f"{row['over_floor']:10.2f}x {memory_told}"
        )


if __name__ == "__main__":
    main()

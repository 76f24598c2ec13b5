"""SimCLR views per second and core: Hotstart beside its peers.

    python benchmarks/views.py [FOLDER] [--sizes 32,64,128,224] [--seconds S] [--rounds N] [--json]

Every contender (Hotstart, lightly, albumentations, torchvision v2, kornia) makes the two views of
SimCLR (arXiv:2002.05709, appendix A) in one thread, from the same pictures: decoded ones, as
Hotstart's cache keeps them, and JPEG files. Contenders take turns (A B A B ...),
`--rounds` times, at least `--seconds` a turn; the median is printed, and Hotstart's over the
peer's. Time is CPU time of the process, so that neighbours on the machine disturb little.

Without a FOLDER pictures are generated: 32 x 32 px for views of 32 px (CIFAR-10); else decoded ones
with a short side of 1.5 times the view, and files of 500 x 375 px (ImageNet's most common size).
Each pipeline ends with float32 tensors, those of the peers normalised; Hotstart normalises in its
encoders.
"""

from __future__ import annotations

import argparse
import importlib
import json
import math
import platform
import statistics
import sys
import tempfile
import time
from collections.abc import Callable, Sequence
from importlib.metadata import version
from pathlib import Path
from typing import Any

import albumentations
import cv2
import numpy as np
import numpy.typing as npt
import torch
import torchvision.io
import torchvision.transforms.v2 as torchvision_v2
from albumentations.pytorch import ToTensorV2
from lightly.transforms.simclr_transform import SimCLRTransform
from PIL import Image

from hotstart.augment import ViewSettings, random_view
from hotstart.data.allocator import keep_memory
from hotstart.data.decode import decode, kept_short_side
from hotstart.data.draws import Draws
from hotstart.data.sample import Pictures

Picture = npt.NDArray[np.uint8]
Turn = Callable[[], int]
"""Makes some views and says how many."""

BATCH, PEER_BATCH, DISTINCT = 256, 8, 64
MEAN, DEVIATION = (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)
PICTURE_NAMES = {".jpg", ".jpeg"}


class Cycle:
    """Endless batches of the same things, and a counter for random draws."""

    def __init__(self, items: Sequence[Any], size: int) -> None:
        self.items, self.size, self.turn = items, size, 0

    def batch(self) -> list[Any]:
        start = self.turn * self.size
        self.turn += 1
        return [self.items[(start + i) % len(self.items)] for i in range(self.size)]


def hotstart_turn(size: int, pictures: Cycle, load: Callable[[list[Any]], Pictures]) -> Turn:
    settings = ViewSettings()

    def turn() -> int:
        batch = load(pictures.batch())
        rng = Draws(0, pictures.turn, total=len(batch))
        for name in ("first", "second"):
            random_view(batch, settings, size, rng.named(name))
        return 2 * len(batch)

    return turn


def peer_turn(pictures: Cycle, load: Callable[[Any], Any], views: Callable[[Any], Any]) -> Turn:
    def turn() -> int:
        made = [views(load(item)) for item in pictures.batch()]
        for view in zip(*made, strict=True):
            torch.stack(view)
        return 2 * len(made)

    return turn


def kernel(size: int) -> int:
    return max(1, size // 10 // 2) * 2 + 1


def lightly_views(size: int) -> Callable[[Any], Any]:
    views: Callable[[Any], Any] = SimCLRTransform(input_size=size)
    return views


def torchvision_views(size: int) -> Callable[[Any], Any]:
    v2 = torchvision_v2
    view = v2.Compose(
        [
            v2.RandomResizedCrop(size, antialias=True),
            v2.RandomHorizontalFlip(),
            v2.RandomApply([v2.ColorJitter(0.8, 0.8, 0.8, 0.2)], p=0.8),
            v2.RandomGrayscale(0.2),
            v2.RandomApply([v2.GaussianBlur(kernel(size), (0.1, 2.0))], p=0.5),
            v2.ToDtype(torch.float32, scale=True),
            v2.Normalize(MEAN, DEVIATION),
        ]
    )
    return lambda picture: (view(picture), view(picture))


def albumentations_views(size: int) -> Callable[[Any], Any]:
    a = albumentations
    blur = (3, kernel(size))
    view = a.Compose(
        [
            a.RandomResizedCrop(size=(size, size), scale=(0.08, 1.0)),
            a.HorizontalFlip(p=0.5),
            a.ColorJitter((0.2, 1.8), (0.2, 1.8), (0.2, 1.8), (-0.2, 0.2), p=0.8),
            a.ToGray(p=0.2),
            a.GaussianBlur(blur_limit=blur, sigma_limit=(0.1, 2.0), p=0.5),
            a.Normalize(MEAN, DEVIATION),
            ToTensorV2(),
        ]
    )
    return lambda picture: (view(image=picture)["image"], view(image=picture)["image"])


def kornia_turn(size: int, pictures: Cycle) -> Turn:
    """Kornia works on batches of one size, so that its pictures are cut to the smallest."""
    k: Any = importlib.import_module("kornia.augmentation")
    side = (kernel(size), kernel(size))
    view = k.AugmentationSequential(
        k.RandomResizedCrop((size, size), scale=(0.08, 1.0)),
        k.RandomHorizontalFlip(),
        k.ColorJitter(0.8, 0.8, 0.8, 0.2, p=0.8),
        k.RandomGrayscale(p=0.2),
        k.RandomGaussianBlur(side, (0.1, 2.0), p=0.5),
        k.Normalize(torch.tensor(MEAN), torch.tensor(DEVIATION)),
    )

    def turn() -> int:
        batch = pictures.batch()
        height, width = (min(picture.shape[axis] for picture in batch) for axis in (0, 1))
        stacked = np.stack([picture[:height, :width] for picture in batch])
        images = torch.from_numpy(stacked).permute(0, 3, 1, 2).float() / 255
        view(images)
        view(images)
        return 2 * len(batch)

    return turn


def from_decoded(size: int, pictures: list[Picture]) -> dict[str, Turn]:
    packed = Pictures.from_arrays(pictures)
    as_pillow = [Image.fromarray(picture) for picture in pictures]
    as_tensor = [torch.from_numpy(picture).permute(2, 0, 1).contiguous() for picture in pictures]
    rows = list(range(len(pictures)))
    return {
        "hotstart": hotstart_turn(size, Cycle(rows, BATCH), packed.select),
        "lightly": peer_turn(Cycle(as_pillow, PEER_BATCH), same, lightly_views(size)),
        "albumentations": peer_turn(Cycle(pictures, PEER_BATCH), same, albumentations_views(size)),
        "torchvision v2": peer_turn(Cycle(as_tensor, PEER_BATCH), same, torchvision_views(size)),
        "kornia": kornia_turn(size, Cycle(pictures, BATCH // 4)),
    }


def from_files(size: int, files: list[Path]) -> dict[str, Turn]:
    def load(batch: list[Path]) -> Pictures:
        short_side = kept_short_side(size)
        return Pictures.from_arrays([decode(path.read_bytes(), short_side) for path in batch])

    def with_pillow(path: Path) -> Any:
        return Image.open(path).convert("RGB")

    def with_opencv(path: Path) -> Any:
        return cv2.imread(str(path), cv2.IMREAD_COLOR_RGB)

    def with_torchvision(path: Path) -> Any:
        mode = torchvision.io.ImageReadMode.RGB
        return torchvision.io.decode_image(str(path), mode=mode)

    peers = {
        "lightly": (with_pillow, lightly_views),
        "albumentations": (with_opencv, albumentations_views),
        "torchvision v2": (with_torchvision, torchvision_views),
    }
    turns = {"hotstart": hotstart_turn(size, Cycle(files, BATCH // 4), load)}
    for name, (reader, views) in peers.items():
        turns[name] = peer_turn(Cycle(files, PEER_BATCH), reader, views(size))
    return turns


def same(item: Any) -> Any:
    return item


def measure(turns: dict[str, Turn], seconds: float, rounds: int) -> dict[str, float]:
    """Median views per second of each contender."""
    speeds: dict[str, list[float]] = {name: [] for name in turns}
    for turn in turns.values():
        turn()
    for _ in range(rounds):
        for name, turn in turns.items():
            views, start = 0, time.process_time()
            while (spent := time.process_time() - start) < seconds:
                views += turn()
            speeds[name].append(views / spent)
    return {name: statistics.median(values) for name, values in speeds.items()}


def generate(height: int, width: int, seed: int) -> Picture:
    """A picture whose spectrum falls like that of photographs."""
    rng = np.random.default_rng([seed, height, width])
    rows, columns = np.fft.fftfreq(height)[:, None], np.fft.rfftfreq(width)[None]
    falling = 1 / np.maximum(np.hypot(rows, columns), 1 / max(height, width))
    falling[0, 0] = 0
    noise = np.fft.irfft2(
        np.fft.rfft2(rng.standard_normal((3, height, width))) * falling, s=(height, width)
    )
    noise = 0.8 * noise[:1] + 0.5 * noise
    picture = np.clip(120 + 50 * noise / noise.std(), 0, 255).astype(np.uint8)
    return np.ascontiguousarray(picture.transpose(1, 2, 0))


def material(folder: Path | None, size: int, scratch: Path) -> tuple[list[Picture], list[Path]]:
    """Decoded pictures and JPEG files for views of `size` px."""
    if folder is not None:
        found = sorted(path for path in folder.rglob("*") if path.suffix.lower() in PICTURE_NAMES)
        if not found:
            sys.exit(f"no JPEG files in {folder}: give a folder that holds some, or none at all")
        step = max(1, len(found) // DISTINCT)
        files = found[::step][:DISTINCT]
        return [decode(path.read_bytes(), kept_short_side(size)) for path in files], files
    if size <= 32:
        short, large = size, (size, size)
        long = size
    else:
        short, large = math.ceil(1.5 * size), (375, 500)
        long = 2 * size
    pictures = [generate(short, long, seed) for seed in range(DISTINCT)]
    files = [scratch / f"{size}-{seed}.jpg" for seed in range(DISTINCT)]
    for seed, path in enumerate(files):
        Image.fromarray(generate(*large, seed)).save(path, quality=90)
    return pictures, files


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").split("\n")[0])
    parser.add_argument("folder", nargs="?", type=Path, help="pictures (default: generated)")
    parser.add_argument("--sizes", default="32,64,128,224", help="px of a view, with commas")
    parser.add_argument("--seconds", type=float, default=0.5, help="CPU seconds a turn, at least")
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--json", action="store_true", help="print a JSON array and nothing else")
    arguments = parser.parse_args()
    torch.set_num_threads(1)
    cv2.setNumThreads(1)
    keep_memory()  # As in training; all contenders have it.
    rows: list[dict[str, Any]] = []
    if not arguments.json:
        print(f"SimCLR views per second, one thread; {platform.processor() or platform.machine()}")
        names = ("torch", "opencv-python-headless", "lightly", "albumentations", "torchvision")
        print(", ".join(f"{name} {version(name)}" for name in names))
        print(f"{'px':>4} {'from':8} {'contender':16} {'views/s':>9} {'hotstart is':>12}")
    with tempfile.TemporaryDirectory() as scratch:
        for size in map(int, arguments.sizes.split(",")):
            pictures, files = material(arguments.folder, size, Path(scratch))
            for source, turns in (
                ("decoded", from_decoded(size, pictures)),
                ("jpeg", from_files(size, files)),
            ):
                speeds = measure(turns, arguments.seconds, arguments.rounds)
                for name, speed in speeds.items():
                    ratio = speeds["hotstart"] / speed
                    rows.append(
                        {
                            "size": size,
                            "source": source,
                            "contender": name,
                            "views_per_second": round(speed, 1),
                            "hotstart_ratio": round(ratio, 2),
                        }
                    )
                    if not arguments.json:
                        print(f"{size:4} {source:8} {name:16} {speed:9,.0f} {ratio:11.1f}x")
    if arguments.json:
        print(json.dumps(rows, indent=1))


if __name__ == "__main__":
    main()

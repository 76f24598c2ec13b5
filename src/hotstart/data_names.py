"""What DATA may be called: checked before any library is loaded that reads it."""

from __future__ import annotations

import glob
import re
from pathlib import Path

from hotstart.config import nearest
from hotstart.errors import DataError

DIGITS = "digits:"
NAMES = (DIGITS, "cifar10", "cifar100", "mnist", "fashionmnist", "kmnist", "usps", "svhn", "stl10")
"""Data sets with a name: scikit-learn's digits, and torchvision's."""
WORLD, RECORDED = "world:", "recorded:"
"""How the name of a rendered world begins, and that of a folder that CARLA or AirSim filled."""
CAMERA, FRAMES = "camera:", "frames:"
"""How pictures under a moving camera are named, and videos that lie as folders of pictures."""
_BRACES = re.compile(r"\{([^{}]*)\}")
_RANGE = re.compile(r"(\d+)\.\.(\d+)")
ALLOWED = (
    "DATA is a folder of pictures, videos or sounds (at any depth, or one folder for each class, "
    "or train/ with test/ or val/), WebDataset tar shards (a folder of them, one, or names such as "
    "shards-{000..099}.tar), frames:FOLDER of folders that hold the frames of one video "
    "each, camera:PICTURES of which a moving camera makes videos, a .csv or .parquet table of "
    "paths, a torchvision name, digits:, world:images, world:objects or world:videos, or "
    "recorded:FOLDER that CARLA or AirSim filled"
)


def plain(name: str) -> str:
    """A name without what does not matter in it: case and dashes."""
    return name.lower().replace("-", "").replace("_", "")


def check_data(data: str | Path | None) -> None:
    """Raises `DataError` where `data` is neither there nor the name of something.

    What lies at a place that is there is found out when it is opened.
    """
    text = str(data)
    if data is None or text.startswith(WORLD) or plain(text) in NAMES:
        return
    for prefix in (RECORDED, CAMERA, FRAMES):
        if text.startswith(prefix):
            check_data(text.removeprefix(prefix).partition("?")[0])
            return
    try:
        there = Path(text).expanduser().exists()
    except OSError as error:
        raise DataError(f"{text!r} cannot be read: {error.strerror}; {ALLOWED}") from None
    except RuntimeError:  # ~nobody
        raise missing(text) from None
    if not there and is_pattern(text):
        tars_named(text)
    elif not there:
        raise missing(text)


def is_pattern(text: str) -> bool:
    """Whether a name stands for several tars: `{000..099}`, `{a,b}`, `*`, `?` or `[0-9]` in it."""
    return text.endswith(".tar") and (_BRACES.search(text) is not None or glob.has_magic(text))


def tars_named(pattern: str) -> list[Path]:
    """The files that a pattern stands for, in its order.

    Raises `DataError` where one is missing.
    """
    names = [str(Path(name).expanduser()) for name in _spelled_out(pattern)]
    found = [sorted(glob.glob(name, recursive=True)) for name in names]  # noqa: PTH207
    missed = [name for name, paths in zip(names, found, strict=True) if not paths]
    if missed:
        raise DataError(
            f"{pattern!r}: there is no {missed[0]!r}"
            + (f", and {len(missed) - 1} more of {len(names)} are missing" if missed[1:] else "")
            + f"; {ALLOWED}"
        )
    return [Path(path) for path in dict.fromkeys(path for paths in found for path in paths)]


def _spelled_out(pattern: str) -> list[str]:
    """`a-{08..10}.tar` as a-08.tar, a-09.tar, a-10.tar; `{a,b}.tar` as a.tar, b.tar."""
    braces = _BRACES.search(pattern)
    if braces is None:
        return [pattern]
    numbers = _RANGE.fullmatch(braces[1])
    if numbers is None:
        inside = braces[1].split(",")
    else:
        inside = [
            f"{number:0{len(numbers[1])}d}"
            for number in range(int(numbers[1]), int(numbers[2]) + 1)
        ]
    before, after = pattern[: braces.start()], pattern[braces.end() :]
    return [name for one in inside for name in _spelled_out(before + one + after)]


def missing(text: str) -> DataError:
    """Nothing is called `text`, and what would be."""
    names = nearest(plain(text), NAMES)
    return DataError(f"there is no file or folder {text!r}; {ALLOWED}: {names}")

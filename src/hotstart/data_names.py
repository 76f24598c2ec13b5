"""What DATA may be called: checked before any library is loaded that reads it."""

from __future__ import annotations

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
ALLOWED = (
    "DATA is a folder of pictures, videos or sounds (at any depth, or one folder for each class, "
    "or train/ with test/ or val/), frames:FOLDER of folders that hold the frames of one video "
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
    if data is None or text.startswith((WORLD, RECORDED, CAMERA, FRAMES)) or plain(text) in NAMES:
        return
    try:
        there = Path(text).expanduser().exists()
    except OSError as error:
        raise DataError(f"{text!r} cannot be read: {error.strerror}; {ALLOWED}") from None
    except RuntimeError:  # ~nobody
        raise missing(text) from None
    if not there:
        raise missing(text)


def missing(text: str) -> DataError:
    """Nothing is called `text`, and what would be."""
    names = nearest(plain(text), NAMES)
    return DataError(f"there is no file or folder {text!r}; {ALLOWED}: {names}")

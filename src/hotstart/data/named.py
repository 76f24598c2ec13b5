"""Data sets with a name: those of torchvision, and scikit-learn's handwritten digits."""

from __future__ import annotations

import contextlib
import hashlib
import os
import sys
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from hotstart.data.source import ArraySource, Found
from hotstart.data.splits import SPLITS
from hotstart.data_names import DIGITS, NAMES, plain
from hotstart.errors import DataError

Array = npt.NDArray[np.uint8]


@dataclass(frozen=True)
class _Library:
    """A torchvision class whose pictures are one array.

    files: where it keeps them below its root; parts: our split and its argument, in order
    """

    class_name: str
    files: tuple[str, ...]
    parts: tuple[tuple[str, dict[str, Any]], ...]


_BY_FLAG = (("train", {"train": True}), ("test", {"train": False}))
_BY_SPLIT = (("train", {"split": "train"}), ("test", {"split": "test"}))
_TORCHVISION = {
    "cifar10": _Library("CIFAR10", ("cifar-10-batches-py",), _BY_FLAG),
    "cifar100": _Library("CIFAR100", ("cifar-100-python",), _BY_FLAG),
    "mnist": _Library("MNIST", ("MNIST/raw",), _BY_FLAG),
    "fashionmnist": _Library("FashionMNIST", ("FashionMNIST/raw",), _BY_FLAG),
    "kmnist": _Library("KMNIST", ("KMNIST/raw",), _BY_FLAG),
    "usps": _Library("USPS", ("usps.bz2", "usps.t.bz2"), _BY_FLAG),
    "svhn": _Library("SVHN", ("train_32x32.mat", "test_32x32.mat"), _BY_SPLIT),
    "stl10": _Library(
        "STL10", ("stl10_binary",), (("train", {"split": "train+unlabeled"}), _BY_SPLIT[1])
    ),
}


def is_name(text: str) -> bool:
    """Whether `text` names a data set; case and dashes do not matter."""
    return plain(text) in NAMES


def open_named(text: str) -> Found:
    """The data set called `text`; one of torchvision is downloaded if it is not there.

    torchvision's files lie in `$HOTSTART_TORCHVISION`, by default `~/.cache/hotstart/torchvision`.
    Raises `DataError` when they are not there and cannot be fetched.
    """
    name = plain(text)
    return _digits() if name == DIGITS else _torchvision(name, _TORCHVISION[name])


def _digits() -> Found:
    from sklearn.datasets import load_digits

    bunch = load_digits()

    def pictures() -> Array:
        return np.asarray(np.rint(bunch.images * (255 / 16)), dtype=np.uint8)

    return Found(
        "scikit-learn's handwritten digits",
        ArraySource(DIGITS, "digits", tuple(bunch.images.shape), pictures),
        np.asarray(bunch.target, dtype=np.int32),
        tuple(str(name) for name in bunch.target_names),
    )


def _torchvision(name: str, library: _Library) -> Found:
    root = torchvision_root()
    parts = [_part(name, library, root, arguments) for _, arguments in library.parts]
    labels = [_labels(part) for part in parts]
    codes = [
        np.full(len(of_part), SPLITS.index(split), np.uint8)
        for (split, _), of_part in zip(library.parts, labels, strict=True)
    ]
    shape = (sum(map(len, labels)), *_pictures(parts[0]).shape[1:])
    classes = getattr(parts[0], "classes", None) or range(int(labels[0].max()) + 1)

    def pictures() -> Array:
        again = [_part(name, library, root, arguments) for _, arguments in library.parts]
        return np.concatenate([_pictures(part) for part in again])

    return Found(
        f"torchvision's {library.class_name}",
        ArraySource(name, _state(root, library), shape, pictures, origin=f"{root}/{name}"),
        np.concatenate(labels).astype(np.int32),
        tuple(str(label) for label in classes),
        np.concatenate(codes),
    )


def torchvision_root() -> Path:
    """Where torchvision's files lie."""
    given = os.environ.get("HOTSTART_TORCHVISION")
    return Path(given) if given else Path.home() / ".cache" / "hotstart" / "torchvision"


def _part(name: str, library: _Library, root: Path, arguments: dict[str, Any]) -> Any:
    """One split of torchvision's data set, fetched when it is not on disk."""
    from torchvision import datasets

    make: Callable[..., Any] = getattr(datasets, library.class_name)
    try:
        return make(str(root), download=False, **arguments)
    except (RuntimeError, OSError):
        pass  # not there, or not whole
    try:
        root.mkdir(parents=True, exist_ok=True)
        with contextlib.redirect_stdout(sys.stderr):  # standard output belongs to --json
            return make(str(root), download=True, **arguments)
    except (RuntimeError, OSError, ValueError) as error:
        raise DataError(
            f"{name} is not in {root} and could not be downloaded ({error}); put torchvision's "
            f"{' and '.join(library.files)} there, or set HOTSTART_TORCHVISION to where it lies"
        ) from None


def _labels(part: Any) -> npt.NDArray[np.int64]:
    values = part.targets if hasattr(part, "targets") else part.labels
    return np.asarray(values, dtype=np.int64)


def _pictures(part: Any) -> Array:
    """Uint8 (N, H, W) or (N, H, W, 3); torchvision holds some with the channels first."""
    pictures = np.asarray(part.data)
    return pictures.transpose(0, 2, 3, 1) if pictures.shape[1:2] == (3,) else pictures


def _state(root: Path, library: _Library) -> str:
    """Changes whenever a file of the data set does."""
    digest = hashlib.blake2b(digest_size=16)
    for name in library.files:
        path = root / name
        for file in sorted(path.rglob("*")) if path.is_dir() else [path]:
            status = file.stat()
            digest.update(f"{file.name}|{status.st_size}|{status.st_mtime_ns}\n".encode())
    return digest.hexdigest()

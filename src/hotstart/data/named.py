"""Data sets with a name: torchvision's, and scikit-learn's handwritten digits."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from hotstart.config import nearest
from hotstart.data.source import ArraySource, Found

NAMES = ("digits:",)


def is_name(text: str) -> bool:
    """Whether `text` names a data set."""
    return text.lower() in NAMES


def suggest(text: str) -> str:
    """The known names, the nearest ones first."""
    return nearest(text.lower(), NAMES)


def open_named(text: str) -> Found:
    """The data set called `text`."""
    from sklearn.datasets import load_digits

    bunch = load_digits()

    def pictures() -> npt.NDArray[np.uint8]:
        return np.asarray(np.rint(bunch.images * (255 / 16)), dtype=np.uint8)

    return Found(
        "scikit-learn's handwritten digits",
        ArraySource("digits", "1" * 32, len(bunch.target), pictures),
        np.asarray(bunch.target, dtype=np.int32),
        tuple(str(name) for name in bunch.target_names),
    )

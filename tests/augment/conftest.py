"""Batches of generated pictures."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest

from hotstart.data.sample import Pictures
from tests.augment.pictures import make_picture


@pytest.fixture(scope="session")
def photographs() -> Callable[..., Pictures]:
    """`photographs((h, w), ...)`: one generated picture for each size, packed."""

    def pack(*sizes: tuple[int, int]) -> Pictures:
        return Pictures.from_arrays([make_picture(*size, seed=i) for i, size in enumerate(sizes)])

    return pack


@pytest.fixture(scope="session")
def ragged(photographs: Callable[..., Pictures]) -> Pictures:
    """64 pictures, sides from 17 to 200 px."""
    rng = np.random.default_rng(3)
    return photographs(*(tuple(side) for side in rng.integers(17, 201, (64, 2)).tolist()))

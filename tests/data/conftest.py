"""Made pictures for the tests of the data room."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest
from PIL import Image

from tests.boxed import write_coco

BOXED = {"train": 6, "val": 3, "test": 2}
Make = Callable[..., npt.NDArray[np.uint8]]


@pytest.fixture
def picture() -> Make:
    """Writes a noise picture of (width, height) and hands back its pixels."""

    def write(
        path: Path, seed: int = 0, width: int = 20, height: int = 16
    ) -> npt.NDArray[np.uint8]:
        path.parent.mkdir(parents=True, exist_ok=True)
        rng = np.random.default_rng([seed, width, height])
        pixels = rng.integers(0, 256, (height, width, 3), dtype=np.uint8)
        Image.fromarray(pixels).save(path)
        return pixels

    return write


@pytest.fixture
def coco(tmp_path: Path) -> tuple[Path, dict[str, Any]]:
    """A folder in COCO's format and the content of its files."""
    return tmp_path / "coco", write_coco(tmp_path / "coco", BOXED)

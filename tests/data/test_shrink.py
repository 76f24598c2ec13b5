"""Decoded pictures are made smaller as the antialiased resize of Pillow would."""

from __future__ import annotations

import cv2
import numpy as np
import numpy.typing as npt
import pytest
from PIL import Image

from hotstart.data.shrink import AVERAGED, shrink


def natural(wide: int, high: int) -> npt.NDArray[np.uint8]:
    """Noise with as much in each octave of frequencies, as photographs have, and hard edges."""
    rng = np.random.default_rng(0)
    noise = np.full((high, wide, 3), 127.0)
    for octave in range(6):
        sigma = 0.7 * 2**octave
        one = cv2.GaussianBlur(rng.standard_normal((high, wide, 3)), (0, 0), sigma)
        noise += 20 * one / one.std()
    noise[high // 3 : high // 2, wide // 4 : wide // 2] = (250, 10, 90)
    return noise.clip(0, 255).astype(np.uint8)


@pytest.mark.parametrize("factor", [1.02, 1.3, 1.5, 1.7, 2.0, 2.6, 3.9, 4.1, 9.3])
def test_it_comes_near_the_antialiased_resize(factor: float) -> None:
    """Below `AVERAGED` nearer than averages; above, averages, which keep a little more contrast."""
    picture = natural(500, 377)
    small = shrink(picture, round(377 / factor))
    high, wide, _ = small.shape
    expected = Image.fromarray(picture).resize((wide, high), Image.Resampling.BILINEAR)

    def away(found: cv2.typing.MatLike) -> float:
        return float(np.abs(found.astype(int) - np.asarray(expected).astype(int)).mean())

    averages = cv2.resize(picture, (wide, high), interpolation=cv2.INTER_AREA)
    aliased = cv2.resize(picture, (wide, high), interpolation=cv2.INTER_LINEAR)
    if factor < AVERAGED:
        assert away(small) < 1.6, "grey levels"
        assert away(small) < away(averages) or factor < 1.5
    assert away(small) < 0.5 * away(aliased) or factor < 1.5
    assert abs(float(small.mean()) - float(picture.mean())) < 0.5


def test_what_is_small_enough_is_left_alone() -> None:
    picture = natural(60, 40)
    assert shrink(picture, 40) is picture

"""Procedural textures: float32 (S, S, 3) of linear RGB."""

from __future__ import annotations

from functools import cache

import cv2
import numpy as np
import numpy.typing as npt

from hotstart.world.scene import Texture

SIDE = 128
PLAIN = 2  # Side of a texture of one colour, the smallest that Mitsuba takes.


def paint(texture: Texture) -> npt.NDArray[np.float32]:
    """One tile of a texture; it repeats without a seam where the pattern can."""
    rng = np.random.default_rng(texture.seed)
    mix = _mixture(texture.pattern, rng)[..., None]
    return np.asarray(texture.colour * (1 - mix) + texture.other * mix, np.float32)


def _mixture(pattern: str, rng: np.random.Generator) -> npt.NDArray[np.float64]:
    """(SIDE, SIDE), or less where all is plain, in 0..1: how much of the other colour."""
    x, y = _grid()
    if pattern == "checker":
        return ((x > 0.5) ^ (y > 0.5)).astype(float)
    if pattern == "stripes":
        return (x > rng.uniform(0.3, 0.7)).astype(float)
    if pattern == "dots":
        radius = rng.uniform(0.2, 0.4)
        return (np.hypot(x - 0.5, y - 0.5) < radius).astype(float)
    if pattern == "clouds":
        return _noise(rng, (3, 7, 15), (1.0, 0.6, 0.35))
    if pattern == "grain":  # as of wood: rings that noise bends
        rings = 6 * x + 1.5 * _noise(rng, (2, 5), (1.0, 0.4)) + 0.3 * _noise(rng, (31,), (1.0,))
        return 0.5 + 0.5 * np.sin(2 * np.pi * rings)
    return np.zeros((PLAIN, PLAIN))


@cache
def _grid() -> tuple[npt.NDArray[np.float64], npt.NDArray[np.float64]]:
    """X to the right and y down at the middle of each pixel, (SIDE, SIDE) each."""
    along = (np.arange(SIDE) + 0.5) / SIDE
    x, y = np.meshgrid(along, along)
    return x, y


def _noise(
    rng: np.random.Generator, cells: tuple[int, ...], weights: tuple[float, ...]
) -> npt.NDArray[np.float64]:
    """Smooth noise that repeats, stretched to 0..1: random grids, enlarged and added."""
    total = np.zeros((SIDE, SIDE))
    for count, weight in zip(cells, weights, strict=True):
        grid = np.pad(rng.random((count, count)), 2, mode="wrap")
        scale = SIDE / count
        large = cv2.resize(grid, None, fx=scale, fy=scale, interpolation=cv2.INTER_CUBIC)
        start = round(2 * scale)
        total += weight * large[start : start + SIDE, start : start + SIDE]
    low, high = total.min(), total.max()
    return np.asarray((total - low) / max(high - low, 1e-9))

"""Drawings of the ways that cameras took."""

from __future__ import annotations

from collections.abc import Sequence

import cv2
import numpy as np
import numpy.typing as npt

from hotstart.pretext.camera_motion import NUMBERS

Floats = npt.NDArray[np.float64]
SIDE_PX = 160
MARGIN_PX = 16
GROUND = (250, 250, 250)
COLOURS = ((60, 60, 60), (230, 120, 20), (150, 150, 220))
"""Of the truth, the answer, and the trivial answer."""


def two_axes(way: Floats) -> tuple[int, int]:
    """Along which axes, right, down or forward, a way (T, 3) goes furthest: those to be drawn."""
    widest = np.argsort(-np.ptp(way, axis=0), kind="stable")[:2]
    across, up = sorted(widest.tolist())
    return across, up


def axis_names(axes: tuple[int, int]) -> str:
    """What a drawing along two axes shows, for people."""
    across, up = (NUMBERS[axis].removeprefix("metres ") for axis in axes)
    return f"{across} and {up}"


def drawn(ways: Sequence[Floats], axes: tuple[int, int]) -> npt.NDArray[np.uint8]:
    """Ways (T, 3) from one point, in one scale: uint8 (160, 160, 3), a dot at each frame.

    The first is the truth, dark, and drawn last; then the answer, orange; then the trivial answer,
    pale. Right goes right, forward goes up, down goes down; a ring stands where all begin.
    """
    flat = [way[:, list(axes)] * (1, -1 if axes[1] == 2 else 1) for way in ways]
    every = np.concatenate(flat)
    low, high = every.min(0), every.max(0)
    scale = (SIDE_PX - 2 * MARGIN_PX) / max(float((high - low).max()), 1e-9)
    picture = np.full((SIDE_PX, SIDE_PX, 3), GROUND, np.uint8)
    for way, colour in reversed(list(zip(flat, COLOURS, strict=False))):
        points = np.rint((way - (low + high) / 2) * scale + SIDE_PX / 2).astype(np.int32)
        cv2.polylines(picture, [points], False, colour, 1, cv2.LINE_AA)
        for point in points.tolist():
            cv2.circle(picture, point, 2, colour, -1, cv2.LINE_AA)
    cv2.circle(picture, points[0].tolist(), 5, COLOURS[0], 1, cv2.LINE_AA)
    return picture

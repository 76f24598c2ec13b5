"""A long, noisy curve as a short one: its running mean, and the band in which its values lie."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

PLACES = 120
"""Points that a drawn curve has at most."""
WINDOW = 1 / 25
"""Of the curve, over which its mean runs; narrower towards both ends."""


@dataclass(frozen=True)
class Thin:
    """x, y: the curve; low, high: least and greatest value around each point, or empty.

    single: the values themselves at those points, where y is their running mean; else empty.
    """

    x: list[float]
    y: list[float]
    low: list[float]
    high: list[float]
    single: list[float]


def thin(x: Sequence[float], y: Sequence[float], *, smooth: bool) -> Thin:
    """At most `PLACES` points of the curve, its first and last among them.

    smooth: y becomes its running mean, with a band from the least to the greatest value between
    neighbouring points; else values stay as they are, and there is no band.
    """
    xs, ys = np.asarray(x, float), np.asarray(y, float)
    at = np.unique(np.linspace(0, len(xs) - 1, min(PLACES, len(xs))).round().astype(int))
    if not smooth:
        return Thin(xs[at].tolist(), ys[at].tolist(), [], [], [])
    reach = max(1, round(len(ys) * WINDOW / 2))
    sums = np.concatenate([[0.0], np.cumsum(ys)])
    near = np.minimum(reach, np.minimum(at, len(ys) - 1 - at))
    means = (sums[at + near + 1] - sums[at - near]) / (2 * near + 1)
    middles = (at[1:] + at[:-1] + 1) // 2
    starts = np.concatenate([[0], middles])
    low, high = np.minimum.reduceat(ys, starts), np.maximum.reduceat(ys, starts)
    # Where the curve is steep its mean may lie outside its neighbours.
    return Thin(
        xs[at].tolist(),
        means.tolist(),
        np.minimum(low, means).tolist(),
        np.maximum(high, means).tolist(),
        ys[at].tolist(),
    )

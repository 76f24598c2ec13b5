"""Round numbers along an axis."""

from __future__ import annotations

import math
from collections.abc import Sequence


def scale(values: Sequence[float], *, fractions: bool = False) -> tuple[float, float, list[float]]:
    """Round ends and some ticks around `values`: low, high, ticks. No axis goes below zero unasked.

    fractions: values are shares, so the axis never exceeds 1 where they do not.
    """
    low, high = min(values), max(values)
    span = (high - low) or abs(high) or 1.0
    step = next(s * 10.0**e for e in range(-9, 12) for s in (1, 2, 5) if span / (s * 10.0**e) <= 6)
    first, last = math.floor(low / step - 0.1), math.ceil(high / step + 0.1)
    if low >= 0:
        first = max(first, 0)
    if fractions and high <= 1:
        last = max(min(last, round(1 / step)), first + 1)
    ticks = [k * step for k in range(first, last + 1)]
    return ticks[0], ticks[-1], ticks


def decades(low: float, high: float) -> list[float]:
    """1, 2, 5 times powers of ten from `low` to `high`, both above zero; at most about seven."""
    exponents = range(math.floor(math.log10(low)), math.ceil(math.log10(high)) + 1)
    for steps in ((1, 2, 5), (1, 3), (1,)):
        found = [s * 10.0**e for e in exponents for s in steps]
        inside = [value for value in found if low <= value <= high]
        if len(inside) <= 7:
            return inside
    return inside


def short(value: float) -> str:
    """A tick's number: `0.001`, `12`, `1,200`, `12k`."""
    if abs(value) >= 10_000 and value % 1_000 == 0:
        return f"{value / 1_000:,.0f}k"
    if abs(value) >= 1_000:
        return f"{value:,.0f}"
    text = f"{value:.4g}"
    return "\u2212" + text[1:] if text.startswith("-") else text

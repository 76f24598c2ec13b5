"""Boxes and outlines of objects, checked before anything is computed from them."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import numpy.typing as npt
from pycocotools import mask as coco_mask

Box = tuple[float, float, float, float]
"""x0, y0, x1, y1 in pixels of the picture, from its upper left corner; x0 < x1, y0 < y1."""

Segmentation = list[list[float]] | dict[str, Any]
"""Polygons, each x, y, x, y, ... of three points or more; or a run-length code, {size, counts}."""

ROUNDING_PX = 1.0
"""Annotations count pixels from 0 or from 1: a box may end this far outside and still be right."""


def clip_box(box: Box, width: float | None, height: float | None) -> Box | str:
    """The part of a box within a picture of that size (None: unknown), or why it is none."""
    x0, y0, x1, y1 = box
    if not all(map(math.isfinite, box)):
        return f"box {_told(box)} is not made of finite numbers"
    if x1 <= x0 or y1 <= y0:
        return f"box of width {x1 - x0:g} and height {y1 - y0:g}: both must be above 0"
    if width is None or height is None:
        return box
    clipped = (max(x0, 0.0), max(y0, 0.0), min(x1, float(width)), min(y1, float(height)))
    if clipped[2] <= clipped[0] or clipped[3] <= clipped[1]:
        return f"box {_told(box)} lies outside of its picture of {width:g} x {height:g} px"
    return clipped


def _told(box: Box) -> str:
    return "(" + ", ".join(f"{value:g}" for value in box) + ")"


def reaches_beyond(box: Box, kept: Box) -> bool:
    """Whether clipping changed a box by more than rounding does."""
    return any(abs(one - other) > ROUNDING_PX for one, other in zip(box, kept, strict=True))


def are_numbers(values: Any) -> bool:
    """Whether it is a list of finite numbers."""
    return isinstance(values, list) and all(
        isinstance(value, int | float) and not isinstance(value, bool) and math.isfinite(value)
        for value in values
    )


def box_of(segmentation: Segmentation) -> Box:
    """The smallest box around it; without width or height where it covers nothing."""
    if isinstance(segmentation, dict):
        x, y, wide, high = coco_mask.toBbox(_run_lengths(segmentation, *segmentation["size"]))
        return (float(x), float(y), float(x + wide), float(y + high))
    x, y = (np.concatenate([part[k::2] for part in segmentation]) for k in (0, 1))
    return (float(x.min()), float(y.min()), float(x.max()), float(y.max()))


def decode_mask(segmentation: Segmentation, height: int, width: int) -> npt.NDArray[np.bool_]:
    """Bool (height, width): what polygons or a run-length code cover.

    Polygons become run lengths by pycocotools; these are laid out here, since its own `decode`
    warns of itself under NumPy 2.
    """
    counts = _run_lengths(segmentation, height, width)["counts"]
    lengths = _lengths(counts.decode() if isinstance(counts, bytes) else counts)
    assert lengths is not None
    covered = np.repeat(np.arange(len(lengths)) % 2 == 1, lengths)
    return covered.reshape(width, height).T


def _run_lengths(segmentation: Segmentation, height: int, width: int) -> Any:
    if isinstance(segmentation, dict):
        if isinstance(segmentation["counts"], list):
            return coco_mask.frPyObjects(segmentation, height, width)
        return segmentation
    return coco_mask.merge(coco_mask.frPyObjects(segmentation, height, width))


def read_outline(given: Any, width: int | None, height: int | None) -> Segmentation | str:
    """Polygons or a run-length code that pycocotools reads safely, or what is wrong.

    width, height: of the picture; None: unknown
    """
    if isinstance(given, dict):
        return _checked_code(given, width, height)
    if not isinstance(given, list) or not given:
        return "has no segmentation"
    for polygon in given:
        if not are_numbers(polygon):
            return "segmentation: a polygon is a list of finite numbers x, y, x, y, ..."
        if len(polygon) < 6 or len(polygon) % 2:
            return f"segmentation: a polygon of {len(polygon)} numbers; 6, 8, 10, ... are needed"
    return [[float(value) for value in polygon] for polygon in given]


def _checked_code(
    given: dict[str, Any], width: int | None, height: int | None
) -> Segmentation | str:
    size, counts = given.get("size"), given.get("counts")
    if not are_numbers(size) or not isinstance(size, list) or len(size) != 2 or min(size) < 1:
        return "segmentation: a run-length code needs its size, height and width"
    rows, columns = (int(value) for value in size)
    if (height or rows, width or columns) != (rows, columns):
        return (
            f"segmentation: run lengths for {columns} x {rows} px, the picture has "
            f"{width} x {height}"
        )
    if isinstance(counts, list):
        if not are_numbers(counts) or any(c < 0 for c in counts) or sum(counts) != rows * columns:
            return f"segmentation: run lengths that do not add up to {rows} x {columns} pixels"
    elif not isinstance(counts, str) or not counts.isascii():
        return "segmentation: a run-length code needs its counts, a list or text"
    elif sum(_lengths(counts) or ()) != rows * columns:
        return f"segmentation: a run-length code that does not add up to {rows} x {columns} pixels"
    return {"size": [rows, columns], "counts": counts}


def _lengths(counts: str) -> list[int] | None:
    """The runs of a compressed code, as `rleFrString` of the COCO API reads them; None: damaged.

    pycocotools itself writes beyond its memory for a code that is longer than its size says.
    """
    lengths: list[int] = []
    value = shift = 0
    for letter in counts:
        code = ord(letter) - 48
        value |= (code & 0x1F) << shift
        shift += 5
        if code & 0x20:
            continue
        if code & 0x10:
            value |= -1 << shift
        if len(lengths) > 2:
            value += lengths[-2]
        if value < 0:
            return None
        lengths.append(value)
        value = shift = 0
    return lengths

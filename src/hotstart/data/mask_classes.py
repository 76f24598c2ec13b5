"""What values the label maps of a folder hold, and which of them are classes."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt

from hotstart.data.headers import Unreadable
from hotstart.data.label_maps import (
    COLOUR,
    IGNORED,
    MAX_CLASSES,
    ClassValues,
    as_colours,
    value_name,
)
from hotstart.data.mask_folders import Pair, Pairs
from hotstart.data.source import FileSource
from hotstart.errors import DataError

CLASS_FILE = "classes.txt"

Int64s = npt.NDArray[np.int64]


@dataclass(frozen=True)
class Scanned:
    """What is in one label map.

    values, counts: int64 (V,), the values in it and of how many pixels; digest: of all of it
    size: width and height in pixels
    """

    values: Int64s
    counts: Int64s
    digest: bytes
    size: tuple[int, int]


def scan(pair: Pair, source: FileSource, row: int) -> Scanned | str:
    """What the pair's label map holds, or why it cannot be used."""
    try:
        values = pair.mask.read()
        width, height = source.peek(row)
    except Unreadable as reason:
        return f"its label map is {reason}" if str(reason)[:1].islower() else str(reason)
    if values.shape != (height, width):
        return (
            f"its label map has {values.shape[1]} x {values.shape[0]} px, the picture "
            f"{width} x {height}"
        )
    seen, counts = np.unique(values, return_counts=True)
    digest = hashlib.blake2b(values.tobytes(), digest_size=16).digest()
    return Scanned(seen.astype(np.int64), counts.astype(np.int64), digest, (width, height))


def find_classes(
    scanned: Sequence[Scanned],
    found: Pairs,
    root: Path,
    ignore: Sequence[int],
    names: Sequence[str],
) -> ClassValues:
    """Names for values 0, 1, ... where there are such; else one class for each value that comes."""
    seen = np.unique(np.concatenate([one.values for one in scanned] or [np.zeros(0, np.int64)]))
    coloured = bool((seen >= COLOUR).any())
    seen = np.unique(as_colours(seen)) if coloured else seen
    if not names and (root / CLASS_FILE).is_file():
        lines = (root / CLASS_FILE).read_text(encoding="utf-8").splitlines()
        names = [line.strip() for line in lines if line.strip()]
    ignored = set(ignore)
    if seen.tolist() != [0, IGNORED]:  # 0 and 255 alone are background and foreground
        ignored.add(IGNORED)
    left = np.array([value for value in seen.tolist() if value not in ignored], np.int64)
    told = tuple(names) or found.names
    if told is not None and (names or not len(left) or left.max() < len(told)):
        values = [v for v in range(len(told)) if v not in ignored]
        # Background is a class where some of it is seen.
        if not names:
            values = [value for value in values if value in left or value > 0]
        return ClassValues(np.array(values, np.int64), tuple(told[value] for value in values))
    if len(left) < 2:
        held = ", ".join(map(value_name, seen.tolist())) or "nothing"
        raise DataError(
            f"{root}: its label maps hold {held}, which leaves {len(left)} classes besides what "
            "is ignored; two or more are needed"
        )
    if len(left) > MAX_CLASSES:
        raise DataError(
            f"{root}: its label maps hold {len(left)} different values, at most {MAX_CLASSES} are "
            "classes; are they photographs, or saved with smoothed edges?"
        )
    return ClassValues(left, tuple(value_name(value) for value in left.tolist()), coloured)


def what_is_wrong(one: Scanned, classes: ClassValues, ignore: Sequence[int]) -> str | None:
    """Why a label map cannot be used, for what is in it."""
    allowed = {*classes.values.tolist(), *ignore, IGNORED}
    values = as_colours(one.values) if classes.coloured else one.values
    strange = [value for value in values.tolist() if value not in allowed]
    if strange:
        return (
            f"its label map holds the value {value_name(strange[0])}, which is none of the "
            f"{len(classes.names)} classes"
        )
    if not pixels_of(one, classes).any():
        return "its label map has nothing but ignored pixels"
    return None


def pixels_of(one: Scanned, classes: ClassValues) -> Int64s:
    """Int64 (K,): pixels of each class."""
    counts = np.zeros(len(classes.values), np.int64)
    values = as_colours(one.values) if classes.coloured else one.values
    place = np.searchsorted(classes.values, values).clip(max=len(counts) - 1)
    ours = classes.values[place] == values
    counts[place[ours]] = one.counts[ours]
    return counts

"""Splits drawn from the content of the pictures: the same on every machine, in any order.

Pictures that are equal byte for byte, and pictures of one group, always fall together; but for
stretches of a video where there is no other to hold out (`pretraining_split`).
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol

import numpy as np
import numpy.typing as npt

SPLITS = ("train", "val", "test")
TRAIN, VAL, TEST = range(3)
SPLIT_NAMES = {
    "train": "train",
    "training": "train",
    "val": "val",
    "valid": "val",
    "validation": "val",
    "dev": "val",
    "test": "test",
    "testing": "test",
}
"""Names that folders and tables use for splits, and ours for them."""

Hashes = npt.NDArray[np.uint64]
Integers = npt.NDArray[np.int64]
Codes = npt.NDArray[np.uint8]
NOTHING: Hashes = np.empty(0, np.uint64)


class Splittable(Protocol):
    """What `pretraining_split` reads of a data set."""

    hashes: Hashes
    split: Codes
    groups: Integers
    parts: Integers | None
    """Int64 (N,): which stretch of its video each is, where videos are the groups; else None."""


def mix(hashes: Hashes, purpose: int) -> Hashes:
    """Another hash of the same content, independent for each purpose (splitmix64's finaliser)."""
    offset = np.uint64((0x9E3779B97F4A7C15 * (purpose + 1)) % 2**64)
    with np.errstate(over="ignore"):
        value = hashes + offset
        value = (value ^ (value >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
        value = (value ^ (value >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
    return value ^ (value >> np.uint64(31))


def families(hashes: Hashes, groups: Integers | None) -> Integers:
    """Int64 (N,): equal for pictures that must stay together, by content or by group.

    A duplicate that lies in two groups joins the two.
    """
    same_content = np.unique(hashes, return_inverse=True)[1].astype(np.int64)
    if groups is None:
        return same_content
    group = np.unique(groups, return_inverse=True)[1]
    family = same_content
    while True:  # each round carries the smallest number one duplicate further
        before = family
        for kind in (group, same_content):
            smallest = np.full(int(kind.max(initial=0)) + 1, np.iinfo(np.int64).max)
            np.minimum.at(smallest, kind, family)
            family = smallest[kind]
        if np.array_equal(family, before):
            return family


def cut(
    hashes: Hashes, family: Integers, counts: Sequence[int], purpose: int
) -> npt.NDArray[np.int64]:
    """Int64 (N,): which part each picture falls into, whole families at a time.

    Families are put in the order of a hash of their content and dealt out until each part but the
    last has about its count; one that would leave a part further from its count goes to the next.
    """
    family = np.unique(family, return_inverse=True)[1]
    sizes = np.bincount(family)
    key = np.full(len(sizes), np.iinfo(np.uint64).max, np.uint64)
    np.minimum.at(key, family, mix(hashes, purpose))
    order = np.argsort(key, kind="stable")
    middle = sizes[order].cumsum() - sizes[order] / 2
    part = np.empty(len(sizes), np.int64)
    part[order] = np.searchsorted(np.cumsum(counts[:-1]), middle, side="right")
    return part[family].astype(np.int64)


def assign_splits(
    hashes: Hashes,
    groups: Integers | None,
    labels: Integers | None,
    given: Codes | None,
) -> Codes:
    """Uint8 (N,) codes into `SPLITS`.

    Without labels the given splits stay as they are, or all is train. A labelled set without
    splits is cut 60/20/20; one with test but without val gives 20 % of train to val. Families
    without any label stay in train.
    """
    split = np.zeros(len(hashes), np.uint8) if given is None else given.astype(np.uint8)
    if labels is None or not len(hashes):
        return split
    present = set(np.unique(split[labels >= 0]).tolist())
    if VAL in present or (given is not None and TRAIN not in present):
        return split
    family = families(hashes, groups)
    labelled = np.isin(family, family[(labels >= 0) & (split == TRAIN)]) & (split == TRAIN)
    rows = np.flatnonzero(labelled)
    fifth = round(0.2 * len(rows))
    parts = np.array([VAL, TRAIN] if TEST in present else [VAL, TEST, TRAIN], np.uint8)
    counts = [fifth] * (len(parts) - 1) + [len(rows)]
    split[rows] = parts[cut(hashes[rows], family[rows], counts, purpose=1)]
    return split


def pretraining_split(dataset: Splittable, excluded: Hashes = NOTHING) -> tuple[Integers, Integers]:
    """Positions to pretrain on and positions held out for the pretext score, both ascending.

    excluded: uint64 contents (hashes) that are in neither, as those of another set's test split

    Nothing of a test split, nor a copy of it elsewhere, is in either. Held out are 5 % of the
    rest, but at least the smaller of 300 and a fifth, at most 2,000, whole groups. Where groups are
    videos, and so few or so long that none can be held out whole, one is cut by time: its end is
    held out, and the stretch before that is in neither, lest neighbours be on both sides.
    """
    test = dataset.split == TEST
    never = np.concatenate([dataset.hashes[test], excluded])
    rows = np.flatnonzero(~test & ~np.isin(dataset.hashes, never)).astype(np.int64)
    total = len(rows)
    held = min(2000, max(round(0.05 * total), min(300, total // 5)))
    family = families(dataset.hashes[rows], dataset.groups[rows])
    part = cut(dataset.hashes[rows], family, (held, total - held), purpose=2)
    if held and dataset.parts is not None and not (part == 0).any():
        first = family == family[np.argmin(mix(dataset.hashes[rows], purpose=2))]
        part[first] = _cut_by_time(dataset.parts[rows][first], held)
    return rows[part == 1], rows[part == 0]


def _cut_by_time(parts: Integers, held: int) -> Integers:
    """Int64 (N,) of stretches of one video: 0 for about the last `held`, 2 for the gap, else 1.

    parts: int64 (N,), numbers in time; copies of the video have the same
    """
    count = int(parts.max()) + 1
    end = max(held * count // len(parts), 1)
    if count < end + 2:
        return np.ones_like(parts)
    return np.where(parts >= count - end, 0, np.where(parts == count - end - 1, 2, 1))

"""The same picture in two splits: what was learnt from it would be asked of it."""

from __future__ import annotations

from collections.abc import Iterable

import numpy as np

from hotstart.data.dataset import Dataset
from hotstart.data.splits import SPLITS, Hashes
from hotstart.errors import DataError

SHOWN = 3


def leaks(dataset: Dataset) -> list[tuple[int, int]]:
    """Pairs of labelled items with the same bytes in different splits, each duplicate once."""
    items = np.flatnonzero(dataset.labels >= 0)
    order = items[np.lexsort((dataset.split[items], dataset.hashes[items]))]
    first = order[:-1]
    second = order[1:]
    same = dataset.hashes[first] == dataset.hashes[second]
    other = dataset.split[first] != dataset.split[second]
    return [
        (int(a), int(b)) for a, b in zip(first[same & other], second[same & other], strict=True)
    ]


def check_leaks(dataset: Dataset, *, allowed: bool) -> None:
    """Raise DataError where pictures are in two splits; where that is allowed, note how many.

    Told apart are files by their content, so that a copy by another name is found.
    """
    found = leaks(dataset)
    noun = "pictures" if dataset.stretches is None else "videos"
    if found and allowed:
        dataset.notes += (
            f"warning: {len(found)} {noun} are in two splits: the score counts what was learnt of "
            "them by heart",
        )
    elif found:
        told = "; ".join(
            f"{dataset.path(one)} ({SPLITS[dataset.split[one]]}) is {dataset.path(other)} "
            f"({SPLITS[dataset.split[other]]})"
            for one, other in found[:SHOWN]
        )
        more = f", and {len(found) - SHOWN} more" if len(found) > SHOWN else ""
        raise DataError(
            f"{dataset.name}: {len(found)} {noun} are in two splits, so that the score would "
            f"count what was learnt by heart: {told}{more}; remove one of each, or say "
            "--allow-leak"
        )


def in_test_split(dataset: Dataset, other: Dataset) -> Hashes:
    """Uint64 (M,), ascending: what `dataset` would pretrain on and the test split of `other` holds.

    Of videos whole ones, however either set cuts them. Pictures that are read beside `dataset`
    (`--real`) count too.
    """
    test = _files(other)[other.indices("test")]
    own = dataset.hashes[dataset.indices("test")]
    found = np.setdiff1d(dataset.hashes[np.isin(_files(dataset), test)], own)
    if dataset.real is None:
        return found
    return np.union1d(found, np.intersect1d(dataset.real.hashes, test))


def _files(dataset: Dataset) -> Hashes:
    """Uint64 (N,): content of the file that each item is from; `hashes` tells parts of it apart."""
    if dataset.stretches is None:
        return dataset.hashes
    return dataset.stretches.footage.facts.hashes[dataset.stretches.videos]


def exclude(dataset: Dataset, hashes: Hashes) -> None:
    """Keep contents out of whatever is pretrained on `dataset`, and out of its real pictures."""
    dataset.excluded = hashes
    if dataset.real is not None:
        dataset.real = dataset.real.without(hashes)


def write_hashes(hashes: Hashes) -> list[str]:
    """Each as 16 hexadecimal digits."""
    return [f"{value:016x}" for value in hashes.tolist()]


def read_hashes(words: Iterable[str]) -> Hashes:
    """What `write_hashes` wrote. Raises ValueError or OverflowError for what is no such number."""
    return np.array([int(word, 16) for word in words], np.uint64)

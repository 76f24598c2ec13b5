"""The same picture in two splits: what was learnt from it would be asked of it."""

from __future__ import annotations

import numpy as np

from hotstart.data.dataset import Dataset
from hotstart.data.splits import SPLITS
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

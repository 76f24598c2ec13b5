"""The same picture in two splits: what was learnt from it would be asked of it."""

from __future__ import annotations

import numpy as np

from hotstart.data.dataset import Dataset
from hotstart.data.splits import SPLITS
from hotstart.errors import DataError

SHOWN = 3


def leaks(dataset: Dataset) -> list[tuple[int, int]]:
    """Pairs of items with the same bytes in different splits, each duplicate once."""
    order = np.lexsort((dataset.split, dataset.hashes))
    first = order[:-1]
    second = order[1:]
    same = dataset.hashes[first] == dataset.hashes[second]
    other = dataset.split[first] != dataset.split[second]
    return [
        (int(a), int(b)) for a, b in zip(first[same & other], second[same & other], strict=True)
    ]


def check_leaks(dataset: Dataset, *, allowed: bool) -> int:
    """How many pictures are in two splits. Raises DataError where there are some, unless allowed.

    Told apart are files by their content, so that a copy by another name is found.
    """
    found = leaks(dataset)
    if found and not allowed:
        told = "; ".join(
            f"{dataset.path(one)} ({SPLITS[dataset.split[one]]}) is {dataset.path(other)} "
            f"({SPLITS[dataset.split[other]]})"
            for one, other in found[:SHOWN]
        )
        more = f", and {len(found) - SHOWN} more" if len(found) > SHOWN else ""
        raise DataError(
            f"{dataset.name}: {len(found)} pictures are in two splits, so that the score would "
            f"count what was learnt by heart: {told}{more}; remove one of each, or say "
            "--allow-leak"
        )
    return len(found)

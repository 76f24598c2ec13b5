"""Which labels an evaluation may use: subsets of the training labels, and folds for tuning.

Both depend on the data and the seed alone, so every encoder is judged on the same labels. Items are
told apart by their content hash: the order or the names of files change nothing.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from hotstart.errors import UsageError

Int64s = npt.NDArray[np.int64]

FOLDS = 5
HOLD_OUT_ABOVE = 5_000


def label_subset(
    labels: Int64s, hashes: npt.NDArray[np.uint64], fraction: float, seed: int
) -> Int64s:
    """Positions (n,) of a stratified share of the items, in ascending order.

    labels, hashes: (N,), of the training items. Each class gives `fraction` of its items, rounded,
    and at least one. For the same seed a smaller fraction's subset lies in a larger one's.

    Raises UsageError unless 0 < fraction <= 1.
    """
    if not 0 < fraction <= 1:
        raise UsageError(f"label fraction {fraction:g}: give a share above 0 and up to 1 (100%)")
    chosen = []
    for label in np.unique(labels):
        members = np.flatnonzero(labels == label)
        members = members[np.argsort(hashes[members], kind="stable")]
        shuffled = np.random.default_rng([seed, int(label)]).permutation(members)
        chosen.append(shuffled[: max(1, int(fraction * len(members) + 0.5))])
    return np.sort(np.concatenate(chosen))


def inner_folds(
    labels: Int64s, hashes: npt.NDArray[np.uint64], groups: Int64s, seed: int
) -> list[Int64s]:
    """Validation parts, cut from the labelled training items, on which settings are chosen.

    labels, hashes, groups: (n,), of the items in use. Up to `HOLD_OUT_ABOVE` items this gives five
    disjoint parts that cover all items (cross-validation); above, one part of a fifth. Parts are
    stratified by class and hold whole groups (unless all items are one group). Fewer items or
    groups than five give fewer parts.
    """
    if len(np.unique(groups)) == 1:
        groups = np.arange(len(labels))
    fold_of = _fold_of(labels, hashes, groups, seed)
    parts = [np.flatnonzero(fold_of == fold) for fold in range(FOLDS)]
    parts = [part for part in parts if 0 < len(part) < len(labels)]
    return parts[:1] if len(labels) > HOLD_OUT_ABOVE else parts


def _fold_of(labels: Int64s, hashes: npt.NDArray[np.uint64], groups: Int64s, seed: int) -> Int64s:
    """Deal groups out in random order, large ones first, each to the fold with least of its class.

    A group counts for the class of its first item. Folds even in that are told apart by size.
    """
    rng = np.random.default_rng([seed, 1])
    order = rng.permutation(np.argsort(hashes, kind="stable"))
    _, first, members = np.unique(groups[order], return_index=True, return_inverse=True)
    sizes = np.bincount(members)
    classes = labels[order][first]
    held = np.zeros((int(labels.max()) + 1, FOLDS), dtype=np.int64)
    total = np.zeros(FOLDS, dtype=np.int64)
    fold_of_group = np.zeros(len(sizes), dtype=np.int64)
    for group in np.lexsort((first, -sizes)):
        fold = int(np.lexsort((total, held[classes[group]]))[0])
        fold_of_group[group] = fold
        held[classes[group], fold] += sizes[group]
        total[fold] += sizes[group]
    folds = np.empty(len(labels), dtype=np.int64)
    folds[order] = fold_of_group[members]
    return folds

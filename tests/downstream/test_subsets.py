"""Which labels may be used: stratified, nested, by content and seed alone."""

from __future__ import annotations

from itertools import pairwise

import numpy as np
import numpy.typing as npt
import pytest

from hotstart.downstream.subsets import HOLD_OUT_ABOVE, inner_folds, label_subset
from hotstart.errors import UsageError

Int64s = npt.NDArray[np.int64]
Made = tuple[Int64s, npt.NDArray[np.uint64]]


def made(counts: tuple[int, ...], seed: int = 0) -> Made:
    """Labels with `counts` items a class, in random order, and a hash for each."""
    rng = np.random.default_rng(seed)
    labels = rng.permutation(np.repeat(np.arange(len(counts)), counts))
    return labels, rng.integers(0, 2**63, len(labels)).astype(np.uint64)


def test_subset_is_stratified_and_has_every_class() -> None:
    labels, hashes = made((1000, 500, 30))
    chosen = label_subset(labels, hashes, 0.01, seed=0)
    assert np.bincount(labels[chosen]).tolist() == [10, 5, 1]
    assert (np.diff(chosen) > 0).all()


def test_smaller_subsets_lie_in_larger_ones() -> None:
    labels, hashes = made((997, 403, 30, 2))
    chosen = [label_subset(labels, hashes, share, seed=3) for share in (0.001, 0.01, 0.1, 0.5, 1)]
    for small, large in pairwise(chosen):
        assert np.isin(small, large).all()
    assert len(chosen[-1]) == len(labels)


def test_seed_draws_the_subset_and_order_does_not() -> None:
    labels, hashes = made((300, 300))
    first = label_subset(labels, hashes, 0.1, seed=0)
    assert not np.array_equal(first, label_subset(labels, hashes, 0.1, seed=1))
    shuffled = np.random.default_rng(1).permutation(len(labels))
    again = label_subset(labels[shuffled], hashes[shuffled], 0.1, seed=0)
    assert set(hashes[shuffled][again]) == set(hashes[first])


@pytest.mark.parametrize("share", [0.0, -0.1, 1.1, float("nan")])
def test_share_out_of_range(share: float) -> None:
    labels, hashes = made((5, 5))
    with pytest.raises(UsageError, match="above 0 and up to 1"):
        label_subset(labels, hashes, share, seed=0)


def test_few_labels_are_cross_validated() -> None:
    labels, hashes = made((50, 50, 7))
    folds = inner_folds(labels, hashes, np.arange(len(labels)), seed=0)
    assert np.array_equal(np.sort(np.concatenate(folds)), np.arange(len(labels)))
    counts = np.array([np.bincount(labels[part], minlength=3) for part in folds])
    assert len(folds) == 5
    assert (counts.max(axis=0) - counts.min(axis=0) <= 1).all()


def test_many_labels_have_one_hold_out_of_a_fifth() -> None:
    labels, hashes = made((HOLD_OUT_ABOVE // 2, HOLD_OUT_ABOVE))
    (part,) = inner_folds(labels, hashes, np.arange(len(labels)), seed=0)
    assert np.bincount(labels[part]).tolist() == [HOLD_OUT_ABOVE // 10, HOLD_OUT_ABOVE // 5]


def test_folds_keep_groups_whole() -> None:
    labels, hashes = made((200, 200))
    groups = np.random.default_rng(2).integers(0, 60, len(labels)) * 2 + labels
    folds = inner_folds(labels, hashes, groups, seed=0)
    for part in folds:
        rest = np.delete(np.arange(len(labels)), part)
        assert not np.isin(groups[part], groups[rest]).any()
        assert 60 <= len(part) <= 100


def test_folds_of_very_few_items() -> None:
    labels, hashes = made((1, 1, 1))
    folds = inner_folds(labels, hashes, np.arange(3), seed=0)
    assert sorted(np.concatenate(folds).tolist()) == [0, 1, 2]
    assert len(inner_folds(labels, hashes, np.zeros(3, np.int64), seed=0)) == 3

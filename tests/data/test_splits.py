"""Splits by content: deterministic, whole families, the asked shares."""

from __future__ import annotations

from types import SimpleNamespace

import numpy as np
import pytest

from hotstart.data.splits import TEST, TRAIN, VAL, assign_splits, families, pretraining_split

RNG = np.random.default_rng(0)
HASHES = RNG.integers(0, 2**64, 1000, dtype=np.uint64)
LABELS = np.arange(1000) % 7


def test_shares_and_independence_of_order() -> None:
    split = assign_splits(HASHES, None, LABELS, None)
    assert np.bincount(split).tolist() == [600, 200, 200]
    order = RNG.permutation(1000)
    again = assign_splits(HASHES[order], None, LABELS[order], None)
    np.testing.assert_array_equal(again, split[order])


def test_few_pictures_still_fill_every_split() -> None:
    assert np.bincount(assign_splits(HASHES[:10], None, LABELS[:10], None)).tolist() == [6, 2, 2]


def test_groups_and_duplicates_stay_together() -> None:
    groups = RNG.integers(0, 120, 1000)
    hashes = HASHES.copy()
    hashes[500:520] = hashes[0]  # a copy of one picture in twenty other groups
    split = assign_splits(hashes, groups, LABELS, None)
    for group in range(120):
        assert len(np.unique(split[groups == group])) == 1
    assert len(np.unique(split[hashes == hashes[0]])) == 1
    shares = np.bincount(split) / 1000
    np.testing.assert_allclose(shares, (0.6, 0.2, 0.2), atol=0.12)


def test_families_join_over_chains() -> None:
    hashes = np.array([1, 2, 2, 3, 3, 4, 9], np.uint64)
    groups = np.array([0, 0, 1, 1, 2, 2, 5])
    family = families(hashes, groups)
    assert len(set(family[:6].tolist())) == 1
    assert family[6] != family[0]


def test_given_test_is_kept_and_val_cut_from_train() -> None:
    given = np.where(np.arange(1000) < 250, TEST, TRAIN).astype(np.uint8)
    split = assign_splits(HASHES, None, LABELS, given)
    np.testing.assert_array_equal(split == TEST, given == TEST)
    assert (split == VAL).sum() == 150


def test_given_val_is_kept_and_unlabelled_data_is_not_cut() -> None:
    given = np.where(np.arange(1000) < 250, VAL, TRAIN).astype(np.uint8)
    np.testing.assert_array_equal(assign_splits(HASHES, None, LABELS, given), given)
    assert not assign_splits(HASHES, None, None, None).any()
    some = np.where(np.arange(1000) < 100, LABELS, -1)
    split = assign_splits(HASHES, None, some, None)
    assert np.bincount(split).tolist() == [960, 20, 20]
    assert not split[100:].any()


@pytest.mark.parametrize(
    ("count", "held"), [(10, 2), (1000, 200), (3000, 300), (20_000, 1000), (100_000, 2000)]
)
def test_held_out_share(count: int, held: int) -> None:
    hashes = np.random.default_rng(1).integers(0, 2**64, count, dtype=np.uint64)
    data = SimpleNamespace(hashes=hashes, split=np.zeros(count, np.uint8), groups=np.arange(count))
    train, out = pretraining_split(data)
    assert len(out) == held
    np.testing.assert_array_equal(np.sort(np.concatenate([train, out])), np.arange(count))


def test_test_pictures_and_their_copies_are_never_pretrained_on() -> None:
    hashes = HASHES.copy()
    hashes[:5] = hashes[900]
    split = np.where(np.arange(1000) >= 900, TEST, VAL).astype(np.uint8)
    groups = np.repeat(np.arange(100), 10)
    train, out = pretraining_split(SimpleNamespace(hashes=hashes, split=split, groups=groups))
    both = np.concatenate([train, out])
    assert len(both) == 895
    assert both.min() == 5
    assert both.max() == 899
    assert not set(groups[train]) & set(groups[out])

"""Splits by content: deterministic, whole families, the asked shares."""

from __future__ import annotations

from types import SimpleNamespace

import numpy as np
import pytest

from hotstart.data.splits import (
    TEST,
    TRAIN,
    VAL,
    Hashes,
    Integers,
    assign_splits,
    families,
    pretraining_split,
)

RNG = np.random.default_rng(0)
HASHES = RNG.integers(0, 2**64, 1000, dtype=np.uint64)
LABELS = np.arange(1000) % 7


def unsplit(hashes: Hashes, groups: Integers, parts: Integers | None = None) -> SimpleNamespace:
    split = np.zeros(len(hashes), np.uint8)
    return SimpleNamespace(hashes=hashes, split=split, groups=groups, parts=parts)


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
    train, out = pretraining_split(unsplit(hashes, np.arange(count)))
    assert len(out) == held
    np.testing.assert_array_equal(np.sort(np.concatenate([train, out])), np.arange(count))


def test_test_pictures_and_their_copies_are_never_pretrained_on() -> None:
    hashes = HASHES.copy()
    hashes[:5] = hashes[900]
    split = np.where(np.arange(1000) >= 900, TEST, VAL).astype(np.uint8)
    groups = np.repeat(np.arange(100), 10)
    data = SimpleNamespace(hashes=hashes, split=split, groups=groups, parts=None)
    train, out = pretraining_split(data)
    both = np.concatenate([train, out])
    assert len(both) == 895
    assert both.min() == 5
    assert both.max() == 899
    assert not set(groups[train]) & set(groups[out])


def test_the_end_of_the_only_video_is_held_out_after_a_gap() -> None:
    parts = np.arange(20)
    train, out = pretraining_split(unsplit(HASHES[:20], np.zeros(20, np.int64), parts))
    assert train.tolist() == list(range(15))
    assert out.tolist() == [16, 17, 18, 19]
    order = RNG.permutation(20)
    moved = unsplit(HASHES[:20][order], np.zeros(20, np.int64), parts[order])
    again = [sorted(parts[order][rows].tolist()) for rows in pretraining_split(moved)]
    assert again == [train.tolist(), out.tolist()]


def test_of_a_few_long_videos_one_is_cut_by_time() -> None:
    groups, parts = np.repeat([0, 1], 10), np.tile(np.arange(10), 2)
    train, out = pretraining_split(unsplit(HASHES[:20], groups, parts))
    (cut,) = set(groups[out].tolist())
    assert parts[out].tolist() == [6, 7, 8, 9]
    assert parts[train[groups[train] == cut]].tolist() == [0, 1, 2, 3, 4]
    assert parts[train[groups[train] != cut]].tolist() == list(range(10))


def test_copies_of_a_video_are_cut_at_the_same_time() -> None:
    groups, parts = np.repeat([0, 1], 10), np.tile(np.arange(10), 2)
    train, out = pretraining_split(unsplit(np.tile(HASHES[:10], 2), groups, parts))
    assert parts[out].tolist() == [8, 9, 8, 9]
    assert parts[train].tolist() == [*range(7), *range(7)]


def test_no_video_is_cut_by_time_where_another_can_be_held_out_or_groups_are_given() -> None:
    groups, parts = np.repeat(np.arange(6), 5), np.tile(np.arange(5), 6)
    train, out = pretraining_split(unsplit(HASHES[:30], groups, parts))
    assert len(train) + len(out) == 30
    assert set(groups[out].tolist()).isdisjoint(groups[train].tolist())
    together = np.zeros(20, np.int64)
    train, out = pretraining_split(unsplit(HASHES[:20], together))
    assert (len(train), len(out)) == (20, 0)
    train, out = pretraining_split(unsplit(HASHES[[0] * 20], np.arange(20), together))
    assert (len(train), len(out)) == (20, 0), "twenty copies of one video that is whole"

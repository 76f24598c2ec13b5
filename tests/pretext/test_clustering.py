"""Whitening, k-means, agreement and even sampling against their definitions and scikit-learn."""

from __future__ import annotations

import math
from collections import Counter

import numpy as np
import numpy.typing as npt
import pytest
import torch
from sklearn.cluster import KMeans
from sklearn.decomposition import PCA
from torch import Tensor

from hotstart.errors import UsageError
from hotstart.pretext.clustering import (
    agreement,
    balance,
    even_order,
    fill_empty,
    kmeans,
    nearest_centroid,
    pairwise_order,
    whitened,
    whitening,
)


def rng(seed: int = 0) -> np.random.Generator:
    return np.random.default_rng(seed)


def blobs(sizes: list[int], spread: float = 0.05) -> tuple[Tensor, npt.NDArray[np.int64]]:
    """Points around corners of a cube, and which corner."""
    truth = np.repeat(np.arange(len(sizes)), sizes)
    middles = np.eye(len(sizes), dtype=np.float32) * 4
    noise = rng(5).normal(0, spread, (len(truth), len(sizes))).astype(np.float32)
    return torch.from_numpy(middles[truth] + noise), truth


def test_whitening_equals_scikit_learn() -> None:
    mixing = rng(1).normal(size=(6, 6))
    h = rng(2).normal(size=(500, 6)) @ mixing + 3
    mean, matrix = whitening(torch.from_numpy(h).float(), 4)
    ours = ((torch.from_numpy(h).float() - mean) @ matrix).numpy()
    theirs = PCA(4, whiten=True, svd_solver="full").fit_transform(h) * math.sqrt(500 / 499)
    signs = np.sign((ours * theirs).sum(0))
    np.testing.assert_allclose(ours * signs, theirs, atol=1e-3)
    np.testing.assert_allclose(ours.T @ ours / 500, np.eye(4), atol=1e-4)


def test_directions_without_variance_stay_out_of_it() -> None:
    h = torch.zeros(50, 5)
    h[:, :2] = torch.randn(50, 2, generator=torch.Generator().manual_seed(0))
    mean, matrix = whitening(h, 5)
    points = whitened(h, mean, matrix)
    assert torch.isfinite(points).all()
    assert (points[:, 2:] == 0).all()
    assert torch.equal(
        whitened(torch.ones(9, 3), *whitening(torch.ones(9, 3), 3)), torch.zeros(9, 3)
    )


@pytest.mark.parametrize("components", [0, 6])
def test_components_out_of_range_are_named(components: int) -> None:
    with pytest.raises(UsageError, match=rf"1 \.\. 5.*got {components}"):
        whitening(torch.zeros(9, 5), components)


def test_kmeans_finds_what_is_there() -> None:
    """A random start may end in a local optimum, which is one; not all five do."""
    points, truth = blobs([60, 50, 40, 30, 20])
    found = []
    for seed in range(5):
        centroids, assignments = kmeans(points, 5, rng(seed))
        assert torch.equal(nearest_centroid(points, centroids), assignments)
        means = torch.stack([points[assignments == k].mean(0) for k in range(5)])
        torch.testing.assert_close(centroids, means, atol=1e-5, rtol=1e-5)
        found.append(agreement(truth, assignments.numpy()))
    assert max(found) == pytest.approx(1)
    assert min(found) > 0.8


def test_kmeans_is_as_good_as_scikit_learn_and_repeats_itself() -> None:
    points = torch.from_numpy(rng(3).normal(size=(800, 6)).astype(np.float32))
    centroids, assignments = kmeans(points, 20, rng())
    ours = float(((points - centroids[assignments]) ** 2).sum())
    theirs = KMeans(20, n_init=1, random_state=0).fit(points.numpy()).inertia_
    assert ours < 1.05 * theirs
    again = kmeans(points, 20, rng())
    assert torch.equal(again[1], assignments)
    assert not torch.equal(kmeans(points, 20, rng(1))[1], assignments)


def test_no_cluster_is_empty_however_many_points_are_equal() -> None:
    points = torch.cat([torch.zeros(90, 3), torch.randn(30, 3)])
    assignments = kmeans(points, 20, rng())[1]
    assert len(assignments.unique()) == 20
    assert len(kmeans(points[90:], 30, rng())[1].unique()) == 30
    collapsed = kmeans(torch.ones(40, 3), 5, rng())[1]
    assert len(collapsed.unique()) == 1


def test_too_many_clusters_are_named() -> None:
    with pytest.raises(UsageError, match=r"1 \.\. 4.*got 5"):
        kmeans(torch.zeros(4, 2), 5, rng())


def test_an_empty_cluster_shares_the_points_of_another() -> None:
    points = rng(4).normal(size=(30, 3)).astype(np.float32)
    assignments = np.repeat(np.array([0, 2], dtype=np.int64), 15)
    centroids = np.full((4, 3), 9, dtype=np.float32)
    moved, refilled = fill_empty(points, centroids, assignments, rng())
    assert set(refilled) == {0, 1, 2, 3}
    for k in range(4):
        members = points[refilled == k]
        if k in refilled[refilled != assignments] or k in assignments[refilled != assignments]:
            np.testing.assert_allclose(moved[k], members.mean(0), rtol=1e-5)
    assert set(assignments) == {0, 2}


def test_agreement_is_the_papers_nmi() -> None:
    first, second = rng(6).integers(0, 4, 200), rng(7).integers(0, 3, 200)
    second[:120] = first[:120] % 3

    def entropy(labels: list[object]) -> float:
        return -sum(n / 200 * math.log(n / 200) for n in Counter(labels).values())

    a, b = list(first), list(second)
    mutual = entropy(a) + entropy(b) - entropy(list(zip(a, b, strict=True)))
    expected = mutual / math.sqrt(entropy(a) * entropy(b))
    assert 0.1 < expected < 0.9
    assert agreement(first, second) == pytest.approx(expected)
    assert agreement(first, (first + 1) % 4) == pytest.approx(1)


def test_balance_of_known_sizes() -> None:
    assert balance(np.arange(40) % 8, 8) == pytest.approx(1)
    assert balance(np.zeros(40, dtype=np.int64), 8) == pytest.approx(1 / 8)
    assert balance(np.arange(40) % 4, 8) == pytest.approx(1 / 2)


def test_even_order_gives_small_clusters_as_much_as_large_ones() -> None:
    assignments = np.repeat(np.arange(3), [270, 27, 3])
    order = even_order(assignments, rng())
    assert len(order) == 300
    assert np.bincount(assignments[order]).tolist() == [100, 100, 100]
    times = np.bincount(order, minlength=300)
    assert times[:270].max() == 1
    assert set(times[270:297]) <= {3, 4}
    assert set(times[297:]) <= {33, 34}
    assert len(set(np.bincount(assignments[order[:90]]).tolist())) > 1, "no fixed pattern"


def test_pairwise_order_gives_each_picture_company_of_its_cluster() -> None:
    assignments = np.array([0] * 7 + [1] * 2 + [2] * 12 + [3], np.int64)
    order = pairwise_order(assignments, rng(4))
    assert sorted(order) == list(range(22))
    pairs, alone = order[:20].reshape(-1, 2), order[20:]
    assert (assignments[pairs[:, 0]] == assignments[pairs[:, 1]]).all()
    assert sorted(assignments[alone]) == [0, 3]
    # Clusters come mixed, and another time other pictures meet.
    assert len(set(assignments[pairs[:5, 0]])) > 1
    again = pairwise_order(assignments, rng(6))[:20].reshape(-1, 2)
    assert {tuple(sorted(pair)) for pair in pairs} != {tuple(sorted(pair)) for pair in again}

"""Clusters of features: whitening, k-means, how far two clusterings agree, and even sampling."""

from __future__ import annotations

import faiss
import numpy as np
import numpy.typing as npt
import torch
import torch.nn.functional as F
from sklearn.metrics import normalized_mutual_info_score
from torch import Tensor

from hotstart.errors import UsageError

FLAT = 1e-7
"""Share of the largest variance below which a direction counts as one without any."""

Integers = npt.NDArray[np.int64]
Floats = npt.NDArray[np.float32]


def whitening(features: Tensor, components: int) -> tuple[Tensor, Tensor]:
    """PCA-whitening of features (N, D): their mean (D,) and a matrix (D, components), float32.

    (features - mean) @ matrix has variance 1 along each of its columns, which are the directions of
    largest variance in descending order. A direction along which nothing varies (a dead unit; more
    components than pictures) gives 0. Raises UsageError unless 1 <= components <= D.
    """
    dim = features.shape[1]
    if not 1 <= components <= dim:
        raise UsageError(f"components must be 1 .. {dim}, the length of h, got {components}")
    mean = features.double().mean(0)
    centred = features.double() - mean
    variances, directions = torch.linalg.eigh(centred.T @ centred / len(features))
    variances, directions = variances.flip(0)[:components], directions.flip(1)[:, :components]
    varies = variances > FLAT * variances[0]
    scale = torch.where(varies, variances.clamp_min(torch.finfo(torch.float64).tiny).rsqrt(), 0)
    return mean.float(), (directions * scale).float()


def whitened(features: Tensor, mean: Tensor, matrix: Tensor) -> Tensor:
    """Features (N, D), whitened and brought to length 1: (N, components)."""
    return F.normalize((features - mean) @ matrix, dim=1)


def nearest_centroid(points: Tensor, centroids: Tensor) -> Tensor:
    """Which of centroids (K, D) lies nearest to each point (N, D) by Euclidean distance: (N,)."""
    return torch.cdist(points, centroids).argmin(1)


def kmeans(
    points: Tensor, clusters: int, rng: np.random.Generator, iterations: int = 20
) -> tuple[Tensor, Tensor]:
    """Cluster points (N, D) by Lloyd's k-means: centroids (K, D) and assignments int64 (N,).

    FAISS does the work on all points, and splits a cluster where another one becomes empty, as in
    Caron 2018 (DeepCluster, arXiv:1807.05520), section 3.3; `fill_empty` does so for those that the
    last iteration left empty. Deviation: k-means++ (Arthur & Vassilvitskii 2007) sets the first
    centroids; at random most would fall into the largest groups and stay there. The same generator
    gives the same clusters.
    Raises UsageError unless 1 <= clusters <= N.
    """
    if not 1 <= clusters <= len(points):
        raise UsageError(f"clusters must be 1 .. {len(points)}, the pictures, got {clusters}")
    data = np.ascontiguousarray(points.detach().cpu().numpy(), dtype=np.float32)
    lloyd = faiss.Kmeans(
        data.shape[1],
        clusters,
        niter=iterations,
        seed=int(rng.integers(2**31)),
        init_method=faiss.ClusteringInitMethod_KMEANS_PLUS_PLUS,
        # FAISS warns below 39 points a cluster and samples above 256: here all points count.
        min_points_per_centroid=1,
        max_points_per_centroid=len(data),
    )
    lloyd.train(data)
    assert lloyd.centroids is not None
    centroids = lloyd.centroids.reshape(clusters, -1).copy()
    assignments = lloyd.index.search(data, 1)[1][:, 0].astype(np.int64)
    centroids, assignments = fill_empty(data, centroids, assignments, rng)
    return torch.from_numpy(centroids), torch.from_numpy(assignments)


def fill_empty(
    points: Floats, centroids: Floats, assignments: Integers, rng: np.random.Generator
) -> tuple[Floats, Integers]:
    """Leave no cluster empty: Caron 2018 (arXiv:1807.05520), section 3.3.

    points (N, D), centroids (K, D), assignments (N,). An empty cluster's centroid becomes a
    perturbed copy of one with points, drawn at random, whose points the two then share. The two
    move to the means of their points, which the paper leaves to the next iteration. Only where all
    points of every other cluster are equal does a cluster stay empty.
    """
    centroids, assignments = centroids.copy(), assignments.copy()
    for empty in np.flatnonzero(np.bincount(assignments, minlength=len(centroids)) == 0):
        sizes = np.bincount(assignments, minlength=len(centroids))
        for donor in rng.permutation(np.flatnonzero(sizes > 1)):
            members = np.flatnonzero(assignments == donor)
            middle = points[members].mean(0)
            noise = rng.standard_normal(len(middle)).astype(np.float32)
            # Nearer to middle + noise than to middle - noise, however small the noise.
            moves = (points[members] - middle) @ noise > 0
            if moves.any() and not moves.all():
                assignments[members[moves]] = empty
                centroids[empty] = points[members[moves]].mean(0)
                centroids[donor] = points[members[~moves]].mean(0)
                break
    return centroids, assignments


def agreement(first: Integers, second: Integers) -> float:
    """Normalised mutual information of two clusterings of the same pictures, 0..1.

    I(A; B) / sqrt(H(A) H(B)), as in Caron 2018 (arXiv:1807.05520), section 4.1.
    """
    return float(normalized_mutual_info_score(first, second, average_method="geometric"))


def balance(assignments: Integers, clusters: int) -> float:
    """Perplexity of the cluster sizes over K: 1 = all equal, 1/K = all pictures in one cluster.

    assignments: (N,), 0 .. K - 1. clusters: K.
    """
    shares = np.bincount(assignments, minlength=clusters) / len(assignments)
    shares = shares[shares > 0]
    return float(np.exp(-(shares * np.log(shares)).sum()) / clusters)


def even_order(assignments: Integers, rng: np.random.Generator) -> Integers:
    """N positions of (N,) pictures in random order, each cluster as often as every other.

    Within a cluster all pictures come equally often, give or take one. Caron 2018
    (arXiv:1807.05520), section 3.3: sampling uniformly over pseudo-labels.
    """
    by_cluster = np.argsort(assignments, kind="stable")
    starts = np.flatnonzero(np.diff(assignments[by_cluster])) + 1
    groups = np.split(by_cluster, starts)
    share = -(-len(assignments) // len(groups))
    drawn = [np.resize(rng.permutation(group), share) for group in groups]
    return rng.permutation(np.concatenate(drawn))[: len(assignments)].astype(np.int64)


def pairwise_order(assignments: Integers, rng: np.random.Generator) -> Integers:
    """All N positions of (N,) pictures, those of one cluster in pairs, the pairs in random order.

    A picture is paired with one of its cluster drawn at random; those that are left over, one of
    each cluster with an odd number, come last. In a batch of an even number of pictures each then
    has company, but for the last ones.
    """
    shuffled = rng.permutation(len(assignments))
    by_cluster = shuffled[np.argsort(assignments[shuffled], kind="stable")]
    starts = np.flatnonzero(np.diff(assignments[by_cluster])) + 1
    groups = np.split(by_cluster, starts)
    pairs = np.concatenate([group[: len(group) // 2 * 2] for group in groups]).reshape(-1, 2)
    alone = [group[-1] for group in groups if len(group) % 2]
    order = np.concatenate([rng.permutation(pairs).reshape(-1), np.array(alone, np.int64)])
    return order.astype(np.int64)


def named_evenly(truth: Tensor, right: Tensor, clusters: int) -> tuple[float, float]:
    """How often a cluster is named rightly, as the mean over those that occur; and chance.

    truth: int64 (N,), 0 .. K - 1. right: bool (N,), whether it was named. clusters: K. Always to
    name the largest cluster is worth no more than chance, one over the clusters that occur.
    """
    seen = truth.bincount(minlength=clusters)
    named = truth.bincount(right.double(), minlength=clusters)
    occur = seen > 0
    return float((named[occur] / seen[occur]).mean()), 1 / int(occur.sum())

"""A graph of nearest neighbours, and what it says of pairs: cycles, and distances along edges."""

from __future__ import annotations

import faiss
import numpy as np
import numpy.typing as npt
from scipy.sparse import csr_array

Integers = npt.NDArray[np.int64]
Floats = npt.NDArray[np.float32]

SOURCES_AT_ONCE = 1024
"""Points whose ways to others are held in memory."""


def nearest_neighbours(points: Floats, count: int) -> tuple[Integers, Floats]:
    """Of each of N points (N, D) the `count` nearest others, and how far they are: (N, count) each.

    Euclidean distances, ascending. Exact, by FAISS. count: at most N - 1.
    """
    points = np.ascontiguousarray(points, dtype=np.float32)
    index = faiss.IndexFlatL2(points.shape[1])
    index.add(points)
    squared, found = index.search(points, count + 1)
    # A point is its own nearest, unless others equal it: then one of these goes in its place.
    itself = found == np.arange(len(points))[:, None]
    itself[~itself.any(1), -1] = True
    keep = ~itself
    nearest = found[keep].reshape(-1, count).astype(np.int64)
    return nearest, np.sqrt(np.maximum(squared[keep], 0)).reshape(-1, count)


def cycle_pairs(neighbours: Integers, length: int) -> csr_array:
    """Which pairs lie on a short cycle of the graph that leads from each point to its neighbours.

    Li 2016 (ECCV, "graph-based consistent constraints"), section 3.2: j is a positive of i where j
    is reached from i in at most `length` - 1 steps along edges, and i is a neighbour of j, which
    closes the cycle; with `length` 2 the two are neighbours of each other.

    neighbours: (N, k). length: >= 2. Returns bool (N, N), sparse and symmetric, nothing on its
    diagonal.
    """
    edges = _edges(neighbours)
    reached, walks = edges, edges
    for _ in range(length - 2):
        walks = walks @ edges
        walks.data[:] = 1
        reached = reached + walks
    closed = reached.multiply(edges.T)
    both = csr_array(closed + closed.T).astype(bool)
    both.setdiag(False)
    both.eliminate_zeros()
    both.sort_indices()
    return both


def edges_between(
    neighbours: Integers, sources: Integers, targets: Integers, most: int
) -> Integers:
    """Edges of the shortest way from each source to its targets, (S, C); most + 1 = or more.

    The geodesic distance, by which Li 2016 (section 3.3) finds hard negatives: pairs far along the
    graph though near in features. Deviation: the paper adds up the edges' lengths, here each
    counts 1, for between points on a sphere of 64 dimensions they differ little.

    neighbours: (N, k); edges may be gone along both ways. sources: (S,). targets: (S, C).
    """
    edges = _edges(neighbours)
    edges = csr_array((edges + edges.T).astype(bool).astype(np.int32))
    found = np.full(targets.shape, most + 1, np.int64)
    for start in range(0, len(sources), SOURCES_AT_ONCE):
        part = slice(start, start + SOURCES_AT_ONCE)
        walks = edges[sources[part]]
        rows = np.arange(walks.shape[0])[:, None]
        for length in range(1, most + 1):
            if length > 1:
                walks = walks @ edges
                walks.data[:] = 1
            there = np.asarray(walks[rows, targets[part]].todense()) > 0
            found[part] = np.where(there, np.minimum(found[part], length), found[part])
    return found


def _edges(neighbours: Integers) -> csr_array:
    """The graph as a sparse matrix (N, N): 1 where an edge leads from the row to the column."""
    count, nearest = neighbours.shape
    starts = np.arange(0, count * nearest + 1, nearest)
    ones = np.ones(count * nearest, np.int32)
    return csr_array((ones, neighbours.flatten(), starts), shape=(count, count))

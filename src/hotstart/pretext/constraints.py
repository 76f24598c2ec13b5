"""Positive pairs and hard negatives out of a graph of nearest neighbours."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from scipy.sparse import csr_array

from hotstart.pretext.graph import (
    Floats,
    Integers,
    cycle_pairs,
    edges_between,
    nearest_neighbours,
)

TOGETHER = 4
"""Pictures that are loaded side by side: two positive pairs, negatives of each other."""


@dataclass(frozen=True)
class Mined:
    """What a graph gives.

    quadruples: int64 (M, 4): an anchor, its positive, a hard negative of the anchor, and the
    positive of that.
    """

    quadruples: Integers
    linked: float
    """Share of the pictures that are in a positive pair."""
    apart: float
    """Share of the negatives that are as far along the graph as asked."""


def mine(
    points: Floats,
    count: int,
    rng: np.random.Generator,
    *,
    neighbours: int,
    cycle: int,
    candidates: int,
    apart: int,
) -> Mined:
    """`count` quadruples out of N points (N, D): Li 2016 (ECCV), section 3.2 and 3.3.

    neighbours: k, edges that leave each point. cycle: the longest that makes a positive pair (see
    `cycle_pairs`). candidates: the nearest points, of which the first one that lies more than
    `apart` edges off is the hard negative; where none does, the farthest along the graph. Anchors
    are all points with a positive, equally often; a negative has a positive too.
    """
    within = min(candidates, len(points) - 1)
    near = nearest_neighbours(points, within)[0]
    edges = near[:, :neighbours]
    pairs = cycle_pairs(edges, cycle)
    linked = np.diff(pairs.indptr) > 0
    anchors = np.resize(rng.permutation(np.flatnonzero(linked)), count)
    positives = _one_of_each(pairs, anchors, rng)
    nearby = near[anchors]
    steps = edges_between(edges, anchors, nearby, apart)
    # The first of the farthest, which is the nearest in features: they are in ascending order.
    steps[~linked[nearby]] = -1
    best = steps.argmax(1)
    rows = np.arange(count)
    negatives, far = nearby[rows, best], steps[rows, best]
    quadruples = np.stack([anchors, positives, negatives, negatives], 1)
    # Where no picture nearby has a positive, any other anchor stands in.
    lonely = far < 0
    quadruples[lonely, 2] = rng.permutation(anchors)[lonely]
    quadruples[:, 3] = _one_of_each(pairs, quadruples[:, 2], rng)
    return Mined(quadruples, float(linked.mean()), float((far > apart).mean()))


def side_by_side(
    quadruples: Integers, rows: int, slices: int, rng: np.random.Generator
) -> Integers:
    """An order of loading in which each slice of `rows` positions holds whole quadruples.

    A slice is one process's part of a batch; positions that are left over at its end repeat its
    first one and belong to no quadruple. quadruples: (M, 4), taken at random, each once until all
    were. Returns int64 (slices * rows,).
    """
    each = rows // TOGETHER
    order = np.resize(rng.permutation(quadruples), (slices * each, TOGETHER))
    whole = order.reshape(slices, each * TOGETHER)
    rest = np.repeat(whole[:, :1], rows - whole.shape[1], axis=1)
    return np.concatenate([whole, rest], 1).flatten().astype(np.int64)


def _one_of_each(pairs: csr_array, points: Integers, rng: np.random.Generator) -> Integers:
    """One positive of each of the points (S,), at random."""
    starts, counts = pairs.indptr[points], np.diff(pairs.indptr)[points]
    chosen = starts + (rng.random(len(points)) * counts).astype(np.int64)
    found: Integers = pairs.indices[chosen].astype(np.int64)
    return found

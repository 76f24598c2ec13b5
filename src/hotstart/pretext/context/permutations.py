"""Permutations of nine tiles that lie far apart."""

from __future__ import annotations

import functools
import itertools

import numpy as np
import numpy.typing as npt

TILES = 9
Permutations = npt.NDArray[np.uint8]


@functools.lru_cache(maxsize=1)
def every_permutation() -> Permutations:
    """All 362,880 permutations of 0 .. 8, uint8 (362880, 9), in lexical order."""
    flat = itertools.chain.from_iterable(itertools.permutations(range(TILES)))
    return np.fromiter(flat, np.uint8).reshape(-1, TILES)


@functools.lru_cache(maxsize=8)
def distant_permutations(count: int) -> Permutations:
    """`count` permutations, uint8 (count, 9), each as far as can be from those before it.

    The greedy choice of Noroozi & Favaro 2016 (arXiv:1603.09246), algorithm 1, among all 362,880:
    next comes the one whose Hamming distance to the nearest of those chosen is largest; among
    equals the one with the largest sum of distances, then the first in lexical order. The first is
    the identity. (The paper takes the largest sum alone, which lets two of the set come as near as
    2; here the minimum is what is kept large.)
    """
    columns = np.ascontiguousarray(every_permutation().T)
    nearest = np.full(columns.shape[1], TILES, np.uint8)
    total = np.zeros(columns.shape[1], np.int32)
    chosen = np.zeros(count, np.int64)
    for position in range(count):
        if position:
            # The sum is below 16,777,216 for every count that there is.
            chosen[position] = np.argmax(nearest.astype(np.int64) * (1 << 24) + total)
        latest = columns[:, chosen[position]]
        distance = (columns != latest[:, None]).sum(0, dtype=np.uint8)
        np.minimum(nearest, distance, out=nearest)
        total += distance
    found = every_permutation()[chosen]
    found.setflags(write=False)
    return found


def hamming_distances(permutations: Permutations) -> tuple[float, int]:
    """Mean and minimum number of places in which two of (P, 9) differ; of one alone, (9, 9)."""
    if len(permutations) < 2:
        return float(TILES), TILES
    one, other = np.triu_indices(len(permutations), 1)
    distances = np.zeros(len(one), np.uint8)
    for place in permutations.T:
        distances += place[one] != place[other]
    return float(distances.mean()), int(distances.min())

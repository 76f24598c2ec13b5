"""The graph of neighbours, cycles and ways in it, and what is mined out of it."""

from __future__ import annotations

import itertools

import numpy as np
import numpy.typing as npt
import pytest

from hotstart.pretext.constraints import mine, side_by_side
from hotstart.pretext.graph import cycle_pairs, edges_between, nearest_neighbours


def points(count: int, seed: int = 0) -> npt.NDArray[np.float32]:
    return np.random.default_rng(seed).normal(size=(count, 3)).astype(np.float32)


def naive_neighbours(data: npt.NDArray[np.float32], count: int) -> list[list[int]]:
    ranked = []
    for i in range(len(data)):
        others = [j for j in range(len(data)) if j != i]
        ranked.append(sorted(others, key=lambda j: float(((data[i] - data[j]) ** 2).sum()))[:count])
    return ranked


def test_nearest_neighbours_equal_a_naive_search() -> None:
    data = points(40)
    found, distances = nearest_neighbours(data, 5)
    assert found.tolist() == naive_neighbours(data, 5)
    for i, j in itertools.product(range(40), range(5)):
        assert distances[i, j] == pytest.approx(np.linalg.norm(data[i] - data[found[i, j]]), 1e-4)


def test_equal_points_are_neighbours_of_each_other_and_none_of_itself() -> None:
    found, _ = nearest_neighbours(np.zeros((12, 3), np.float32), 3)
    assert found.shape == (12, 3)
    assert not (found == np.arange(12)[:, None]).any()


def naive_reach(neighbours: list[list[int]], start: int, steps: int) -> set[int]:
    """Whatever is 1 to `steps` edges from `start`, along them."""
    reached: set[int] = set()
    now = {start}
    for _ in range(steps):
        now = {j for i in now for j in neighbours[i]}
        reached |= now
    return reached


@pytest.mark.parametrize("length", [2, 3, 4])
def test_cycle_pairs_equal_a_naive_search(length: int) -> None:
    data = points(30, seed=1)
    neighbours = naive_neighbours(data, 3)
    found = cycle_pairs(np.array(neighbours), length).toarray()
    count = 0
    for i, j in itertools.product(range(30), range(30)):
        closes = i in neighbours[j] and j in naive_reach(neighbours, i, length - 1)
        back = j in neighbours[i] and i in naive_reach(neighbours, j, length - 1)
        assert found[i, j] == (i != j and (closes or back))
        count += found[i, j]
    assert 0 < count < 30 * 29


def test_mutual_neighbours_are_cycles_of_two() -> None:
    # 0 -> 1 -> 2 -> 0 is a cycle of three; 2 and 3 point at each other.
    neighbours = np.array([[1, 1], [2, 2], [0, 3], [2, 2]])
    two, three = (set(zip(*cycle_pairs(neighbours, n).nonzero(), strict=True)) for n in (2, 3))
    assert two == {(2, 3), (3, 2)}
    assert three == two | {(0, 1), (1, 0), (1, 2), (2, 1), (0, 2), (2, 0)}


def test_edges_between_equal_a_breadth_first_search() -> None:
    data = points(40, seed=2)
    neighbours = naive_neighbours(data, 2)
    both = [[j for j in range(40) if j in neighbours[i] or i in neighbours[j]] for i in range(40)]
    sources = np.array([3, 17, 3, 39])
    targets = np.array([[j for j in range(40) if j != i] for i in sources])
    found = edges_between(np.array(neighbours), sources, targets, 3)
    for s, i in enumerate(sources):
        for t, j in enumerate(targets[s]):
            steps = [n for n in (1, 2, 3) if j in naive_reach(both, i, n)]
            assert found[s, t] == min(steps, default=4)
    assert set(found.flatten().tolist()) == {1, 2, 3, 4}


def test_mined_are_positives_on_cycles_and_negatives_far_along_the_graph() -> None:
    data = points(120, seed=3)
    rng = np.random.default_rng(0)
    found = mine(data, 200, rng, neighbours=3, cycle=3, candidates=20, apart=2)
    near, _ = nearest_neighbours(data, 20)
    edges = near[:, :3]
    pairs = cycle_pairs(edges, 3).toarray()
    anchors, positives, negatives, partners = found.quadruples.T
    assert pairs[anchors, positives].all()
    assert pairs[negatives, partners].all()
    steps = edges_between(edges, anchors, negatives[:, None], 2)[:, 0]
    assert (steps > 2).mean() == found.apart > 0.5
    for anchor, negative, far in zip(anchors, negatives, steps, strict=True):
        place = near[anchor].tolist().index(negative)
        nearer = near[anchor][:place]
        with_positive = pairs[nearer].any(1)
        ways = edges_between(edges, np.array([anchor]), nearer[None], 2)[0]
        # It is the nearest of those that are as far along the graph.
        assert not (with_positive & (ways >= far)).any()
    assert found.linked == pairs.any(1).mean()
    # Each picture with a positive is an anchor as often as any other.
    times = np.bincount(anchors, minlength=120)[pairs.any(1)]
    assert times.max() - times.min() <= 1


@pytest.mark.parametrize("count", [2, 3, 8])
def test_few_points_are_enough(count: int) -> None:
    rng = np.random.default_rng(1)
    found = mine(points(count), 5, rng, neighbours=5, cycle=3, candidates=50, apart=2)
    assert found.quadruples.shape == (5, 4)
    assert (found.quadruples[:, 0] != found.quadruples[:, 1]).all()
    assert 0 <= found.quadruples.min() <= found.quadruples.max() < count


@pytest.mark.parametrize("rows", [4, 8, 11])
def test_every_process_gets_whole_quadruples(rows: int) -> None:
    quadruples = np.arange(40).reshape(10, 4)
    order = side_by_side(quadruples, rows, 5, np.random.default_rng(0))
    assert len(order) == 5 * rows
    whole = {tuple(row) for row in quadruples.tolist()}
    used = []
    for slice_ in order.reshape(5, rows):
        parts = slice_[: rows // 4 * 4].reshape(-1, 4).tolist()
        assert {tuple(part) for part in parts} <= whole
        used += [part[0] for part in parts]
    times = np.bincount(np.array(used) // 4, minlength=10)
    assert times.max() - times.min() <= 1

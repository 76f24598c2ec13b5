"""Is one better than the other? Paired intervals, corrected p values, agreement of rankings."""

from __future__ import annotations

import itertools
import math
from collections.abc import Hashable, Mapping
from dataclasses import dataclass
from typing import TypeVar

import numpy as np
import numpy.typing as npt
from scipy import stats

from hotstart.downstream.predictions import ClassPredictions, Predictions

Bools = npt.NDArray[np.bool_]
Floats = npt.NDArray[np.float64]
Asked = TypeVar("Asked", bound=Hashable)

DRAWS = 10_000
LEVEL = 0.95
NUMBERS_AT_ONCE = 1 << 22


@dataclass(frozen=True)
class PairedGain:
    """How far one contender is above another, and how sure that is."""

    mean: float
    """Mean over seeds of the difference."""
    low: float
    high: float
    """Ends of the 95 % interval (percentiles of the bootstrap draws)."""
    p: float
    """One-sided: (1 + draws with a gain of 0 or less) / (1 + draws)."""
    by_seed: dict[int, float]
    """The difference in each seed that both have."""
    seeds: int
    """Seeds that were resampled; with 1 the interval speaks of that one pair of networks only."""
    items: int
    """Test items that were resampled; 0: predictions are missing, seeds alone were resampled."""


def predictions_gain(
    ours: Mapping[int, Predictions],
    theirs: Mapping[int, Predictions],
    metric: str = "top1",
    rng: np.random.Generator | None = None,
) -> PairedGain:
    """The gain in `metric`, with an interval that resamples seeds, then test items.

    ours, theirs: for each seed, the answers for the same N items in the same order (see
    `predictions.load_predictions`). Classes go to `paired_gain`, metrics of sets to `set_gain`.
    """
    everyone = [*ours.values(), *theirs.values()]
    if all(isinstance(one, ClassPredictions) for one in everyone):
        return paired_gain(_right(ours), _right(theirs), rng=rng)
    return set_gain(ours, theirs, metric, min(one.draws for one in everyone), rng)


def _right(answers: Mapping[int, Predictions]) -> dict[int, Bools]:
    return {s: one.right for s, one in answers.items() if isinstance(one, ClassPredictions)}


def set_gain(
    ours: Mapping[int, Predictions],
    theirs: Mapping[int, Predictions],
    metric: str,
    draws: int = DRAWS,
    rng: np.random.Generator | None = None,
) -> PairedGain:
    """As `paired_gain`, where the metric is one of all items together and no mean over them.

    Each draw takes N items with replacement, the same ones for both contenders and all seeds, and
    computes the metric anew from how often each item was taken (`Predictions.values`).

    Raises ValueError without a common seed, or for answers to unequally many items.
    """
    rng = np.random.default_rng(0) if rng is None else rng
    seeds, items = _common(
        {seed: len(one.hashes) for seed, one in ours.items()},
        {seed: len(one.hashes) for seed, one in theirs.items()},
    )
    gains = [ours[seed].value(metric) - theirs[seed].value(metric) for seed in seeds]
    at_once = max(1, NUMBERS_AT_ONCE // items)
    drawn = []
    for first in range(0, draws, at_once):
        now = min(at_once, draws - first)
        taken = rng.multinomial(items, np.full(items, 1 / items), size=now)
        found = [ours[s].values(metric, taken) - theirs[s].values(metric, taken) for s in seeds]
        drawn.append((np.stack(found, axis=1) * _seed_counts(len(seeds), now, rng)).sum(axis=1))
    total = np.concatenate(drawn) / len(seeds)
    by_seed = {seed: np.float64(gain) for seed, gain in zip(seeds, gains, strict=True)}
    return _summary(total, total <= 0, by_seed, items)


def _common(ours: Mapping[int, int], theirs: Mapping[int, int]) -> tuple[list[int], int]:
    """The seeds that both have, and how many items all of those have."""
    seeds = sorted(ours.keys() & theirs.keys())
    lengths = {items[seed] for items in (ours, theirs) for seed in seeds}
    if not seeds or len(lengths) != 1 or lengths == {0}:
        raise ValueError(f"a common seed and equally many items are needed, got {seeds}, {lengths}")
    return seeds, lengths.pop()


def paired_gain(
    ours: Mapping[int, Bools],
    theirs: Mapping[int, Bools],
    draws: int = DRAWS,
    rng: np.random.Generator | None = None,
) -> PairedGain:
    """The gain in accuracy, with an interval that resamples seeds, then test items.

    ours, theirs: for each seed, bool (N,): right or not on the same N items in the same order.
    Seeds that only one of them has are left out.
    rng: None is a fresh generator of seed 0.

    Each draw takes as many seeds as there are, with replacement, and N items, with replacement,
    the same ones for both contenders and all seeds (Efron & Tibshirani 1993, chapter 8). Items on
    which the contenders differ in the same way in every seed are interchangeable, so a draw needs
    only how often each such pattern comes: a multinomial count, which is exact.

    A bootstrap of S seeds sees (S - 1) / S of their variance: where seeds differ more than items
    do, the interval of 3 seeds is too short. The gain in each seed stands beside it.

    Raises ValueError without a common seed, or for arrays of unequal length.
    """
    rng = np.random.default_rng(0) if rng is None else rng
    seeds, items = _common(
        {seed: len(right) for seed, right in ours.items()},
        {seed: len(right) for seed, right in theirs.items()},
    )
    difference = np.stack([ours[s].astype(np.int8) - theirs[s].astype(np.int8) for s in seeds])
    patterns, counts = np.unique(difference, axis=1, return_counts=True)
    by_pattern = patterns.T.astype(np.int64)
    at_once = max(1, NUMBERS_AT_ONCE // len(counts))
    totals = []
    for first in range(0, draws, at_once):
        now = min(at_once, draws - first)
        taken = rng.multinomial(items, counts / items, size=now)
        totals.append((taken @ by_pattern * _seed_counts(len(seeds), now, rng)).sum(axis=1))
    # Whole numbers: a gain of exactly 0 is seen as such.
    total = np.concatenate(totals)
    gains = difference.mean(axis=1, dtype=np.float64)
    return _summary(
        total / (len(seeds) * items), total <= 0, dict(zip(seeds, gains, strict=True)), items
    )


def seed_gain(
    ours: Mapping[int, float],
    theirs: Mapping[int, float],
    draws: int = DRAWS,
    rng: np.random.Generator | None = None,
) -> PairedGain:
    """As `paired_gain` where the predictions are missing: seeds alone are resampled.

    ours, theirs: the value in each seed. Raises ValueError unless two seeds are common.
    """
    rng = np.random.default_rng(0) if rng is None else rng
    seeds = sorted(ours.keys() & theirs.keys())
    if len(seeds) < 2:
        raise ValueError(f"two common seeds are needed, got {seeds}")
    gains = np.array([ours[seed] - theirs[seed] for seed in seeds])
    drawn = _seed_counts(len(seeds), draws, rng) @ gains / len(seeds)
    return _summary(drawn, drawn <= 0, dict(zip(seeds, gains, strict=True)), 0)


def _seed_counts(seeds: int, draws: int, rng: np.random.Generator) -> npt.NDArray[np.int64]:
    """(draws, seeds): how often each seed comes in each draw."""
    return rng.multinomial(seeds, np.full(seeds, 1 / seeds), size=draws)


def _summary(drawn: Floats, lost: Bools, by_seed: dict[int, np.float64], items: int) -> PairedGain:
    low, high = np.quantile(drawn, [(1 - LEVEL) / 2, (1 + LEVEL) / 2])
    return PairedGain(
        mean=float(np.mean(list(by_seed.values()))),
        low=float(low),
        high=float(high),
        p=float((1 + lost.sum()) / (1 + len(drawn))),
        by_seed={seed: float(gain) for seed, gain in by_seed.items()},
        seeds=len(by_seed),
        items=items,
    )


def holm(p: Mapping[Asked, float]) -> dict[Asked, float]:
    """P values corrected for asking them all at once (Holm 1979), in the order of `p`.

    The k-th smallest of m is multiplied by m - k + 1; none gets smaller than one before it, none
    larger than 1.
    """
    corrected: dict[Asked, float] = {}
    highest = 0.0
    for position, name in enumerate(sorted(p, key=lambda name: p[name])):
        highest = max(highest, min(1.0, p[name] * (len(p) - position)))
        corrected[name] = highest
    return {name: corrected[name] for name in p}


@dataclass(frozen=True)
class Agreement:
    """Kendall's tau-b between each two columns.

    Entry [i][j] of each table is about `columns[i]` and `columns[j]`; None where it is not defined
    (fewer than two common tasks, or one value for all).
    """

    columns: list[str]
    tau: list[list[float | None]]
    p: list[list[float | None]]
    """Two-sided, of independence; exact for few tasks without ties."""
    tasks: list[list[int]]
    """How many tasks both columns have."""


def kendall_tau(columns: Mapping[str, Mapping[str, float]]) -> Agreement:
    """Do columns put the tasks into the same order? Columns: name -> task -> value."""
    names = list(columns)
    found: dict[tuple[str, str], tuple[float | None, float | None, int]] = {}
    for one, other in itertools.combinations_with_replacement(names, 2):
        common = sorted(columns[one].keys() & columns[other].keys())
        tau, p = _tau(*([columns[name][task] for task in common] for name in (one, other)))
        found[one, other] = found[other, one] = (tau, p, len(common))
    tables = [[[found[i, j][part] for j in names] for i in names] for part in range(3)]
    return Agreement(names, *tables)  # type: ignore[arg-type]


def _tau(one: list[float], other: list[float]) -> tuple[float | None, float | None]:
    if len(set(one)) < 2 or len(set(other)) < 2:
        return None, None
    result = stats.kendalltau(one, other)
    tau, p = float(result.statistic), float(result.pvalue)
    return tau, None if math.isnan(p) else p


def mean_rank(columns: Mapping[str, Mapping[str, float]]) -> dict[str, float]:
    """Mean over columns of each task's rank (1 = highest value; ties share), the best first.

    Only tasks that every column has are ranked: a rank among fewer is another thing.
    """
    tables = list(columns.values())
    tasks = sorted(set.intersection(*(set(table) for table in tables))) if tables else []
    ranks = [stats.rankdata([-table[task] for task in tasks]) for table in tables]
    if not tasks:
        return {}
    means = dict(zip(tasks, np.mean(ranks, axis=0).tolist(), strict=True))
    return dict(sorted(means.items(), key=lambda pair: pair[1]))

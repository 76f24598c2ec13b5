"""Intervals, corrections and agreement, against naive versions and by hand."""

from __future__ import annotations

import itertools

import numpy as np
import numpy.typing as npt
import pytest

from hotstart.downstream.predictions import ClassPredictions, MaskPredictions, Predictions
from hotstart.league.statistics import (
    holm,
    kendall_tau,
    mean_rank,
    paired_gain,
    predictions_gain,
    seed_gain,
    set_gain,
)

Bools = npt.NDArray[np.bool_]


def answers(
    rng: np.random.Generator, items: int, accuracies: dict[int, float], hardness: Bools | None
) -> dict[int, Bools]:
    """Right or not for each seed; where `hardness` is given, nobody solves those items."""
    solvable = np.ones(items, bool) if hardness is None else ~hardness
    return {seed: (rng.random(items) < p) & solvable for seed, p in accuracies.items()}


def naive_draws(
    ours: dict[int, Bools], theirs: dict[int, Bools], draws: int, rng: np.random.Generator
) -> npt.NDArray[np.float64]:
    """One draw after the other: seeds with replacement, then items with replacement."""
    seeds = sorted(ours)
    items = len(ours[seeds[0]])
    gains = []
    for _ in range(draws):
        taken_seeds = rng.choice(seeds, len(seeds))
        taken = rng.integers(0, items, items)
        per_seed = [ours[s][taken].mean() - theirs[s][taken].mean() for s in taken_seeds]
        gains.append(np.mean(per_seed))
    return np.array(gains)


@pytest.mark.parametrize("seeds", [1, 2, 3])
def test_gain_equals_the_naive_bootstrap(seeds: int) -> None:
    rng = np.random.default_rng(seeds)
    hard = rng.random(400) < 0.3
    ours = answers(rng, 400, {s: 0.62 + 0.02 * s for s in range(seeds)}, hard)
    theirs = answers(rng, 400, {s: 0.60 - 0.01 * s for s in range(seeds)}, hard)
    naive = naive_draws(ours, theirs, 4_000, rng)
    gain = paired_gain(ours, theirs, 40_000, rng)
    by_seed = {s: ours[s].mean() - theirs[s].mean() for s in range(seeds)}
    assert gain.by_seed == pytest.approx(by_seed)
    assert gain.mean == pytest.approx(np.mean(list(by_seed.values())))
    assert (gain.seeds, gain.items) == (seeds, 400)
    # A percentile of 4,000 normal draws has a standard error of 0.042 deviations.
    tolerance = 4 * 0.042 * naive.std()
    assert gain.low == pytest.approx(np.quantile(naive, 0.025), abs=tolerance)
    assert gain.high == pytest.approx(np.quantile(naive, 0.975), abs=tolerance)
    share = np.mean(naive <= 0)
    assert gain.p == pytest.approx(share, abs=5 * np.sqrt(share * (1 - share) / 4_000) + 3e-4)


def test_gain_equals_the_enumerated_bootstrap() -> None:
    """Two seeds and three items have 4 x 27 equally likely draws: all of them are known."""
    ours = {0: np.array([1, 1, 0], bool), 1: np.array([0, 1, 1], bool)}
    theirs = {0: np.array([1, 0, 0], bool), 1: np.array([1, 0, 0], bool)}
    gains = [
        np.mean([ours[s][list(t)].mean() - theirs[s][list(t)].mean() for s in seeds])
        for seeds in itertools.product((0, 1), repeat=2)
        for t in itertools.product(range(3), repeat=3)
    ]
    gain = paired_gain(ours, theirs, 100_000)
    share = np.mean(np.array(gains) < 1e-9)
    assert 0 < share < 1
    assert gain.p == pytest.approx(share, abs=4 * np.sqrt(share * (1 - share) / 100_000))
    ends = np.quantile(gains, (0.025, 0.975), method="inverted_cdf")
    assert (gain.low, gain.high) == pytest.approx(tuple(ends))


def test_items_are_paired() -> None:
    """The same items for both: what both get wrong adds no doubt."""
    rng = np.random.default_rng(0)
    theirs = {0: rng.random(1000) < 0.5}
    better = theirs[0].copy()
    better[np.flatnonzero(~better)[:40]] = True
    gain = paired_gain({0: better}, theirs)
    assert gain.mean == pytest.approx(0.04)
    # Unpaired, the deviation would be sqrt(2 * 0.25 / 1000) = 0.022 and the interval hold 0.
    deviation = np.sqrt(0.04 * 0.96 / 1000)
    assert gain.high - gain.low == pytest.approx(2 * 1.96 * deviation, rel=0.1)
    assert gain.p == 1 / 10_001


def test_no_difference_and_a_difference_everywhere() -> None:
    same = {s: np.arange(50) % 2 == 0 for s in range(3)}
    nothing = paired_gain(same, same)
    assert (nothing.mean, nothing.low, nothing.high, nothing.p) == (0, 0, 0, 1)
    all_right = {s: np.ones(50, bool) for s in range(3)}
    none_right = {s: np.zeros(50, bool) for s in range(3)}
    everything = paired_gain(all_right, none_right, 500)
    assert (everything.mean, everything.low, everything.high) == (1, 1, 1)
    assert everything.p == 1 / 501


def test_seeds_that_disagree_widen_the_interval() -> None:
    theirs = {s: np.arange(10_000) % 2 == 0 for s in range(3)}
    ours = {s: right.copy() for s, right in theirs.items()}
    ours[0][1:3000:2] = True
    one = paired_gain({0: ours[0]}, {0: theirs[0]})
    three = paired_gain(ours, theirs)
    assert one.low > 0.14
    assert three.low == 0.0
    # No draw that leaves seed 0 out (8 of 27) gains anything.
    assert three.p == pytest.approx(8 / 27, abs=0.02)


def test_only_common_seeds_count_and_what_cannot_be_compared_is_refused() -> None:
    rng = np.random.default_rng(0)
    ours = answers(rng, 60, {0: 0.9, 1: 0.8, 5: 0.1}, None)
    theirs = answers(rng, 60, {1: 0.5, 0: 0.4, 7: 0.9}, None)
    assert list(paired_gain(ours, theirs, 100).by_seed) == [0, 1]
    with pytest.raises(ValueError, match="common seed"):
        paired_gain({0: ours[0]}, {1: theirs[1]})
    with pytest.raises(ValueError, match="equally many"):
        paired_gain({0: ours[0]}, {0: theirs[0][:-1]})


def test_the_same_generator_gives_the_same_interval() -> None:
    rng = np.random.default_rng(0)
    ours, theirs = (answers(rng, 300, {0: p, 1: p}, None) for p in (0.56, 0.5))
    first = paired_gain(ours, theirs, rng=np.random.default_rng(3))
    assert first == paired_gain(ours, theirs, rng=np.random.default_rng(3))
    assert first != paired_gain(ours, theirs, rng=np.random.default_rng(5))
    assert paired_gain(ours, theirs) == paired_gain(ours, theirs)


def test_the_interval_covers_the_truth_as_often_as_it_says() -> None:
    """One network each, judged on items drawn from an endless supply: 95 % within sampling."""
    rng = np.random.default_rng(0)
    ours, theirs, items, trials = 0.65, 0.6, 400, 300
    covered = 0
    for _ in range(trials):
        hard = rng.random(items) < 0.2
        gain = paired_gain(
            answers(rng, items, {0: ours}, hard), answers(rng, items, {0: theirs}, hard), 1_000, rng
        )
        covered += gain.low <= (ours - theirs) * 0.8 <= gain.high
    assert covered / trials == pytest.approx(0.95, abs=4 * np.sqrt(0.95 * 0.05 / trials))


def test_seeds_alone() -> None:
    ours, theirs = {0: 0.5, 1: 0.6, 2: 0.7, 9: 0.1}, {0: 0.45, 1: 0.5, 2: 0.55}
    gain = seed_gain(ours, theirs)
    assert gain.by_seed == pytest.approx({0: 0.05, 1: 0.1, 2: 0.15})
    assert gain.mean == pytest.approx(0.1)
    assert (gain.seeds, gain.items) == (3, 0)
    possible = sorted(np.mean(t) for t in itertools.product((0.05, 0.1, 0.15), repeat=3))
    # The extreme draws have a probability of 1/27 each, above the 2.5 % that are cut off.
    assert (gain.low, gain.high) == pytest.approx((possible[0], possible[-1]))
    assert gain.p == 1 / 10_001
    with pytest.raises(ValueError, match="two common seeds"):
        seed_gain({0: 0.5}, {0: 0.4})


def test_holm_by_hand() -> None:
    # 0.005 * 4 = 0.02; 0.01 * 3 = 0.03; 0.03 * 2 = 0.06; 0.04 * 1 -> not below the one before.
    given = {"a": 0.01, "b": 0.04, "c": 0.03, "d": 0.005}
    assert holm(given) == pytest.approx({"a": 0.03, "b": 0.06, "c": 0.06, "d": 0.02})
    assert list(holm(given)) == ["a", "b", "c", "d"]
    assert holm({"a": 0.6, "b": 0.7}) == {"a": 1.0, "b": 1.0}
    assert holm({"a": 0.3}) == {"a": 0.3}
    assert holm({}) == {}


def test_kendall_by_hand() -> None:
    columns = {
        "linear": {"a": 0.9, "b": 0.8, "c": 0.7, "d": 0.6},
        "knn": {"a": 0.5, "b": 0.7, "c": 0.4, "d": 0.3, "e": 0.9},
        "reversed": {"a": 1.0, "b": 2.0, "c": 3.0, "d": 4.0},
        "flat": {"a": 0.5, "b": 0.5, "c": 0.5, "d": 0.5},
        "alone": {"a": 0.5},
    }
    found = kendall_tau(columns)
    assert found.columns == list(columns)
    # Of 6 pairs, a-b alone is the other way round: (5 - 1) / 6.
    assert found.tau[0][1] == pytest.approx(4 / 6)
    assert found.tau[1][0] == found.tau[0][1]
    assert found.tau[0][0] == pytest.approx(1.0)
    assert found.tau[0][2] == pytest.approx(-1.0)
    assert found.tau[0][3] is None
    assert found.tau[0][4] is None
    assert found.tasks[0] == [4, 4, 4, 4, 1]
    assert found.tasks[1][1] == 5
    # Of the 24 orders of four, one agrees wholly and one is its reverse.
    assert found.p[0][2] == pytest.approx(2 / 24)
    assert kendall_tau({}).tau == []


def test_kendall_with_ties_against_its_formula() -> None:
    rng = np.random.default_rng(0)
    one, other = (rng.integers(0, 4, 9).astype(float) for _ in range(2))
    names = "abcdefghi"
    found = kendall_tau(
        {"one": dict(zip(names, one, strict=True)), "other": dict(zip(names, other, strict=True))}
    )
    pairs = list(itertools.combinations(range(9), 2))
    signs = [(np.sign(one[i] - one[j]), np.sign(other[i] - other[j])) for i, j in pairs]
    agreeing = sum(a * b for a, b in signs)
    untied = [sum(sign[part] != 0 for sign in signs) for part in (0, 1)]
    assert found.tau[0][1] == pytest.approx(agreeing / np.sqrt(untied[0] * untied[1]))


def test_mean_rank_by_hand() -> None:
    columns = {
        "linear": {"a": 0.9, "b": 0.8, "c": 0.7},
        "knn": {"a": 0.5, "b": 0.6, "c": 0.5, "only here": 1.0},
    }
    assert mean_rank(columns) == {"b": 1.5, "a": 1.75, "c": 2.75}
    assert mean_rank({}) == {}
    assert mean_rank({"linear": {"a": 1.0}, "knn": {"b": 1.0}}) == {}


def masks(rng: np.random.Generator, items: int, right: float) -> MaskPredictions:
    """Pictures of 60 pixels and three classes, of which a share is named rightly."""
    truth = rng.multinomial(60, [0.6, 0.3, 0.1], items)
    both = rng.binomial(truth, right)
    wrong = truth - both
    return MaskPredictions(np.arange(items).astype(np.uint64), both, truth, both + wrong[:, ::-1])


@pytest.mark.parametrize("metric", ["miou", "pixel_accuracy"])
def test_gain_of_a_set_metric_equals_the_naive_bootstrap(metric: str) -> None:
    rng = np.random.default_rng(5)
    ours = {seed: masks(rng, 30, 0.62 + 0.02 * seed) for seed in range(2)}
    theirs = {seed: masks(rng, 30, 0.6) for seed in range(2)}

    def value(one: MaskPredictions, taken: npt.NDArray[np.int64]) -> float:
        both, truth, predicted = (
            part[taken].sum(axis=0) for part in (one.both, one.truth, one.predicted)
        )
        if metric == "pixel_accuracy":
            return float(both.sum() / truth.sum())
        return float(np.mean(both / (truth + predicted - both)))

    naive = []
    for _ in range(3_000):
        seeds, taken = rng.choice(2, 2), rng.integers(0, 30, 30)
        naive.append(np.mean([value(ours[s], taken) - value(theirs[s], taken) for s in seeds]))
    gain = set_gain(ours, theirs, metric, 20_000, rng)
    every = np.arange(30)
    by_seed = {s: value(ours[s], every) - value(theirs[s], every) for s in range(2)}
    assert gain.by_seed == pytest.approx(by_seed)
    assert (gain.seeds, gain.items) == (2, 30)
    tolerance = 4 * 0.05 * np.std(naive)
    assert gain.low == pytest.approx(np.quantile(naive, 0.025), abs=tolerance)
    assert gain.high == pytest.approx(np.quantile(naive, 0.975), abs=tolerance)


def test_answers_by_class_and_as_a_set_agree() -> None:
    """Accuracy is a mean over items, so both ways must tell the same interval."""
    rng = np.random.default_rng(6)
    hashes, labels = np.arange(200).astype(np.uint64), rng.integers(0, 4, 200)
    ours, theirs = (
        {s: ClassPredictions(hashes, labels, np.where(rng.random(200) < p, labels, 9))}
        for s, p in ((0, 0.7), (0, 0.6))
    )
    kept: tuple[dict[int, Predictions], dict[int, Predictions]] = ({**ours}, {**theirs})
    fast, slow = predictions_gain(*kept), set_gain(*kept, "top1")
    assert fast.mean == pytest.approx(slow.mean)
    assert fast.low == pytest.approx(slow.low, abs=0.01)
    assert fast.high == pytest.approx(slow.high, abs=0.01)
    exact = paired_gain({0: ours[0].right}, {0: theirs[0].right})
    assert fast == exact


def test_mean_iou_is_over_the_classes_that_are_there() -> None:
    zero = np.zeros((1, 1), int)
    one = MaskPredictions(
        np.array([1], np.uint64),
        both=np.c_[3, 1, 0, zero],
        truth=np.c_[4, 2, 0, zero],
        predicted=np.c_[4, 1, 1, zero],
    )
    iou = one.iou(np.ones((1, 1), int))[0]
    assert iou[:3] == pytest.approx([3 / 5, 1 / 2, 0])
    assert np.isnan(iou[3])
    assert one.value("miou") == pytest.approx((3 / 5 + 1 / 2 + 0) / 3)
    assert one.value("pixel_accuracy") == pytest.approx(4 / 6)

"""Rungs, the budget, RankMe, and what a race may be asked: nothing is trained here."""

from __future__ import annotations

import math
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from hotstart.errors import DataError, UsageError
from hotstart.league.halving import LEAST_STEPS, make_plan, make_rungs, stops, whole_run_seconds
from hotstart.league.judge import Judged
from hotstart.league.laps import LAPS, Lap, read_laps, write_laps
from hotstart.league.race_settings import Race, check_race, read_race, same_race
from hotstart.pretext.spread import effective_rank, rankme


@pytest.mark.parametrize(
    ("contenders", "halving", "sizes"),
    [
        (1, 2, [1]),
        (2, 2, [2]),
        (3, 2, [3, 2]),
        (5, 2, [5, 3, 2]),
        (8, 2, [8, 4, 2]),
        (9, 3, [9, 3]),
        (10, 3, [10, 4, 2]),
        (4, 100, [4]),
    ],
)
def test_the_better_part_goes_on_until_one_is_left(
    contenders: int, halving: int, sizes: list[int]
) -> None:
    rungs = make_rungs(contenders, halving)
    assert [rung.contenders for rung in rungs] == sizes
    assert rungs[-1].share == 1
    shares = [0.0, *(rung.share for rung in rungs)]
    each_rung = [
        rung.contenders * (after - before)
        for rung, before, after in zip(rungs, shares, shares[1:], strict=False)
    ]
    # Jamieson & Talwalkar: every rung is given the same part of the budget.
    assert np.allclose(each_rung, each_rung[0])


def test_the_whole_race_takes_its_budget_and_everyone_the_same_time() -> None:
    step_seconds = {"quick": 0.1, "middle": 0.25, "slow": 0.5}
    beside = {"quick": 1.0, "middle": 2.0, "slow": 4.0}
    plan = make_plan(600.0, step_seconds, beside, 7.0)
    assert list(plan.steps) == list(step_seconds)
    assert not plan.slow
    took = {name: steps * step_seconds[name] for name, steps in plan.steps.items()}
    assert max(took.values()) - min(took.values()) < 0.5
    whole = took["slow"]
    training, before = 0.0, 0.0
    for rung in plan.rungs:
        training += rung.contenders * (rung.share - before) * whole
        before = rung.share
    # Three are judged in the first rung, in the second the two that cost most.
    assert training + (1 + 2 + 4) + (2 + 4) + 7 == pytest.approx(600, abs=1)
    assert whole == pytest.approx(whole_run_seconds(plan.rungs, 600 - 20), abs=0.5)


def test_who_is_too_slow_for_the_first_rung_is_left_out_and_the_others_get_its_time() -> None:
    step_seconds = {"glacial": 30.0, "a": 0.1, "b": 0.1, "c": 0.1}
    plan = make_plan(300.0, step_seconds, dict.fromkeys(step_seconds, 0.0), 0.0)
    assert plan.slow == ("glacial",)
    assert plan.rungs == make_rungs(3)
    assert (
        plan.steps
        == make_plan(300.0, dict.fromkeys("abc", 0.1), dict.fromkeys("abc", 0.0), 0.0).steps
    )
    nothing = make_plan(2.0, step_seconds, dict.fromkeys(step_seconds, 3.0), 1.0)
    assert not nothing.steps
    assert set(nothing.slow) == set(step_seconds)


def test_stops_end_at_the_last_step_and_the_first_has_enough() -> None:
    for contenders in range(1, 40):
        rungs = make_rungs(contenders)
        for steps in (100, 1001, 77_777):
            found = stops(rungs, steps)
            assert found[-1] == steps
            assert found == sorted(set(found))
    plan = make_plan(40.0, {"a": 0.2, "b": 0.7}, {"a": 0.0, "b": 0.0}, 0.0)
    assert min(stops(plan.rungs, steps)[0] for steps in plan.steps.values()) >= LEAST_STEPS


def naive_rankme(features: np.ndarray[Any, Any]) -> float:
    """Equation 1 of Garrido et al. 2023, term by term; singular values as roots of eigenvalues."""
    gram = features.astype(np.float64).T @ features.astype(np.float64)
    sigmas = [math.sqrt(max(value, 0.0)) for value in np.linalg.eigvalsh(gram)]
    sigmas = sorted(sigmas, reverse=True)[: min(features.shape)]
    norm = sum(abs(sigma) for sigma in sigmas)
    entropy = 0.0
    for sigma in sigmas:
        p = sigma / norm + 1e-7
        entropy -= p * math.log(p)
    return math.exp(entropy)


@pytest.mark.parametrize("shape", [(300, 40), (30, 64), (64, 64)])
def test_rankme_is_that_of_the_paper(shape: tuple[int, int]) -> None:
    rng = np.random.default_rng(0)
    decaying = 0.8 ** np.arange(shape[1])
    for features in (rng.normal(size=shape), rng.normal(size=shape) * decaying + 1.0):
        found = float(rankme(torch.from_numpy(features.astype(np.float32))))
        assert found == pytest.approx(naive_rankme(features), rel=1e-3)


def test_rankme_of_known_spectra() -> None:
    assert float(rankme(torch.eye(16))) == pytest.approx(16, rel=1e-4)
    assert float(rankme(torch.ones(50, 8))) == pytest.approx(1, abs=1e-3)
    # The mean stays in, which `effective_rank` takes away.
    far = torch.randn(200, 16) + 100
    assert float(rankme(far)) < 3 < float(effective_rank(far))


def test_by_labels_where_there_are_some_by_rank_where_not() -> None:
    assert check_race({"data": "d"}).by == "rank"
    assert check_race({"data": "d", "on": "classify=e"}).by == "labels"
    assert check_race({"data": "d", "by": "labels"}).judged == ("classify", "d", ("knn",))
    beside = check_race({"data": "d", "by": "rank", "on": "classify@linear=e"})
    assert (beside.by, beside.judged) == ("rank", ("classify", "e", ("linear",)))
    assert "supervised" not in check_race({"data": "d"}).names
    assert {"rotation", "simclr", "dino"} < set(check_race({"data": "d"}).names)


@pytest.mark.parametrize(
    ("values", "told"),
    [
        ({"tasks": ("rotatoin",)}, "nearest: rotation"),
        ({"tasks": ("rotation", "rotation")}, "more than once"),
        ({"tasks": ("supervised",)}, "a control does not race"),
        ({"tasks": ("random",)}, "a control does not race"),
        ({"on": "detect=e"}, "judged by classify alone"),
        ({"on": "classify@finetune=e"}, "one protocol, knn or linear"),
        ({"on": "classify@knn,linear=e"}, "one protocol"),
        ({"on": "clasify"}, "valid:"),
        ({"minutes": 0}, "minutes"),
        ({"halving": 1}, "halving"),
        ({"labels": 0}, "labels"),
        ({"by": "magic"}, "by"),
        ({"task_settings": {"jigsaw": {"permutations": 3}}, "tasks": ("rotation",)}, "--set"),
    ],
)
def test_what_cannot_be_asked_is_said_in_a_sentence(values: dict[str, Any], told: str) -> None:
    with pytest.raises(UsageError, match=told):
        check_race({"data": "d", **values})


def test_the_file_of_a_race_holds_all_of_it(tmp_path: Path) -> None:
    own = {"rotation": {"view": {"flip": 0.0}}}
    asked = check_race({"data": "d", "tasks": ("rotation",), "task_settings": own})
    race = Race(
        asked,
        {"d": "f"},
        3.5,
        {"rotation": 0.1},
        {"rotation": 100},
        make_rungs(3),
        {"dino": 'needs "more"'},
        "rotation",
        2.5,
    )
    race.write(tmp_path)
    assert read_race(tmp_path) == race
    same_race(tmp_path, asked, asked.model_copy(update={"accelerator": "cpu"}))
    with pytest.raises(UsageError, match=r"minutes is 60\.0 there, 5\.0 here"):
        same_race(tmp_path, asked, asked.model_copy(update={"minutes": 5.0}))
    with pytest.raises(DataError, match="holds no race"):
        read_race(tmp_path / "nowhere")


def test_laps_are_written_and_read(tmp_path: Path) -> None:
    assert read_laps(tmp_path) == []
    laps = [
        Lap(0, "random", 0, 1.0, Judged(8.5, 0.1)),
        Lap(1, "rotation", 7, 2.0, Judged(problem="no")),
    ]
    write_laps(tmp_path, laps)
    assert read_laps(tmp_path) == laps
    assert not list(tmp_path.glob("*.part"))
    with (tmp_path / LAPS).open("a") as file:
        file.write('{"rung": 1}\n')
    with pytest.raises(DataError, match="line 3: not a lap"):
        read_laps(tmp_path)

"""The choice of a learning rate: on parts that a trial did not see, then all items."""

from __future__ import annotations

import math
from collections.abc import Callable

import numpy as np
import numpy.typing as npt
import pytest

from hotstart.downstream.search import Searched, search_ended, train_with_best_rate

Int64s = npt.NDArray[np.int64]
TRAIN = np.arange(100, 110)
PARTS = [np.array([0, 1]), np.array([2, 3])]


class Told:
    """A training that only notes what it was given."""

    def __init__(self, worth: Callable[[float], float]) -> None:
        self.worth = worth
        self.fits: list[tuple[list[int], float, int, bool]] = []
        self.scored: list[tuple[float, list[int]]] = []
        self.ticks: list[tuple[str, int, int]] = []

    def fit(
        self, items: Int64s, rate: float, steps: int, tick: Callable[[], None], *, final: bool
    ) -> float:
        self.fits.append((items.tolist(), rate, steps, final))
        for _ in range(steps):
            tick()
        return rate

    def score(self, model: float, items: Int64s) -> float:
        self.scored.append((model, items.tolist()))
        return self.worth(model)

    def run(self, rates: tuple[float, ...], parts: list[Int64s]) -> Searched[float]:
        def progress(*told: str | int) -> None:
            self.ticks.append(told)  # type: ignore[arg-type]

        return train_with_best_rate(
            self.fit, self.score, TRAIN, parts, rates, steps=5, trial_steps=2, name="fit",
            progress=progress,
        )  # fmt: skip


def test_trials_are_scored_on_what_they_did_not_see() -> None:
    told = Told({0.1: 1.0, 0.2: 3.0, 0.3: 3.0}.__getitem__)
    found = told.run((0.1, 0.2, 0.3), PARTS)
    assert found.rate == found.model == 0.2
    assert found.trials == {0.1: 2.0, 0.2: 6.0, 0.3: 6.0}
    *trials, last = told.fits
    assert last == (TRAIN.tolist(), 0.2, 5, True)
    assert len(trials) == len(told.scored) == 6
    for (items, rate, steps, final), (model, held) in zip(trials, told.scored, strict=True):
        assert (steps, final, model) == (2, False, rate)
        assert sorted(items + held) == TRAIN.tolist()
    assert told.ticks[-1] == ("fit", 17, 17)
    assert [done for _, done, _ in told.ticks] == list(range(1, 18))
    assert found.detail(5, 10, 2)["trials"] == {"0.1": 1.0, "0.2": 3.0, "0.3": 3.0}


@pytest.mark.parametrize(("rates", "parts"), [((0.1,), PARTS), ((0.1, 0.2), [])])
def test_nothing_to_choose_is_not_tried(rates: tuple[float, ...], parts: list[Int64s]) -> None:
    told = Told(lambda _: 1.0)
    assert told.run(rates, parts).rate == 0.1
    assert told.fits == [(TRAIN.tolist(), 0.1, 5, True)]
    assert told.ticks[-1] == ("fit", 5, 5)


@pytest.mark.parametrize(
    "tried",
    [
        {3e-4: 4, 1e-3: 6, 3e-3: 4},
        {3e-4: 0, 1e-3: 2, 3e-3: 4, 1e-2: 6, 3e-2: 4},
        {3e-4: 2, 1e-3: 0, 1e-4: 4, 3e-5: 6, 1e-5: 4},
        {3e-4: 0, 1e-3: 2, 3e-3: 4, 1e-2: 6, 3e-2: 8},
    ],
)
def test_the_search_goes_on_while_the_best_is_at_the_edge(tried: dict[float, float]) -> None:
    told = Told(lambda rate: tried[rate] / len(PARTS))
    found = told.run((3e-4, 1e-3), PARTS)
    assert found.trials == tried
    assert found.rate == max(tried, key=lambda rate: tried[rate])
    assert told.ticks[-1] == ("fit", 5 + 4 * len(tried), 5 + 4 * len(tried))


def test_rates_that_are_all_alike_end_the_search() -> None:
    told = Told(lambda _: 0.0)
    assert told.run((3e-4, 1e-3), PARTS).rate == 3e-4
    assert len(told.fits) == 2 * 3 + 1


@pytest.mark.parametrize(
    ("rate", "trials", "ended"),
    [
        (1e-4, {"0.0001": 0.5, "0.0003": 0.4}, False),
        (3e-4, {"0.0001": 0.4, "0.0003": 0.5}, False),
        (3e-4, {"0.0001": 0.4, "0.0003": 0.5, "0.001": 0.3}, True),
        (1e-5, {"1e-05": 0.5, "3e-05": 0.4}, True),
        (1e-3, {"0.001": 0.0, "0.003": 0.0}, True),
        (1e-3, {}, True),
    ],
)
def test_a_record_tells_whether_its_search_ended_at_an_edge(
    rate: float, trials: dict[str, float], ended: bool
) -> None:
    assert search_ended({"learning_rate": rate, "trials": trials}) is ended


def test_what_a_search_tells_of_itself_has_ended() -> None:
    found = Told(lambda rate: -abs(math.log(rate / 3e-3))).run((1e-4, 3e-4), PARTS)
    assert found.rate == 3e-3
    assert search_ended(found.detail(5, 10))
    assert search_ended({})

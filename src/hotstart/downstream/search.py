"""Trainings around one choice: short trials with each learning rate, then the training that counts.

Whatever is trained (a classifier, a head for pixels or boxes), the rate is chosen in the same way,
on parts of the training items that the trial did not see.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Generic, Protocol, TypeVar

import numpy as np
import numpy.typing as npt

from hotstart.downstream.outcome import Progress

Int64s = npt.NDArray[np.int64]
RATES = (1e-5, 3e-5, 1e-4, 3e-4, 1e-3, 3e-3, 1e-2, 3e-2)
"""Where a search goes on when the best rate is the lowest or the highest that was tried."""
Model = TypeVar("Model")
MadeModel = TypeVar("MadeModel", covariant=True)


class Fit(Protocol[MadeModel]):
    """Trains a model on some items; `tick` is called after every step."""

    def __call__(
        self, items: Int64s, rate: float, steps: int, tick: Callable[[], None], *, final: bool
    ) -> MadeModel: ...


@dataclass(frozen=True)
class Searched(Generic[Model]):
    """What came of it.

    trials: for each rate the sum over parts of the score, higher is better; 0 where it was the only
    one and nothing had to be tried
    """

    model: Model
    rate: float
    trials: dict[float, float]
    seconds: float

    def detail(self, steps: int, items: int, tried_on: int = 1) -> dict[str, Any]:
        """What a record tells of it. tried_on: what the sum of scores is divided by."""
        return {
            "label_count": items,
            "learning_rate": self.rate,
            "trials": {
                f"{rate:g}": score / tried_on for rate, score in sorted(self.trials.items())
            },
            "steps": steps,
            "seconds": self.seconds,
        }


def train_with_best_rate(
    fit: Fit[Model],
    score: Callable[[Model, Int64s], float],
    train: Int64s,
    parts: Sequence[Int64s],
    rates: Sequence[float],
    *,
    steps: int,
    trial_steps: int,
    name: str,
    progress: Progress | None = None,
) -> Searched[Model]:
    """Try each of `rates` for `trial_steps`, then train on all of `train` with the best.

    While the best is the lowest or the highest tried, the next of `RATES` in that direction is
    tried too: a start that needs a rate outside the given ones must not lose for that.

    parts: rows of `train` (see `subsets.inner_folds`) that a trial leaves out and is scored on, one
    trial for each part and rate; without any, or with one rate, nothing is tried and the first rate
    counts. Among equals the first wins.
    """
    began = time.perf_counter()
    parts = parts if len(rates) > 1 else []
    trials: dict[float, float] = {}
    done, ahead = 0, list(rates)

    def tick() -> None:
        nonlocal done
        done += 1
        if progress is not None:
            tries = (len(trials) + len(ahead)) * len(parts)
            progress(name, done, steps + trial_steps * tries)

    while ahead:
        rate = ahead[0]
        scores = [
            score(fit(np.delete(train, part), rate, trial_steps, tick, final=False), train[part])
            for part in parts
        ]
        trials[ahead.pop(0)] = sum(scores)
        best = max(trials, key=lambda tried: trials[tried])
        if parts and not ahead:
            ahead = beyond(best, trials)
    model = fit(train, best, steps, tick, final=True)
    return Searched(model, best, trials, time.perf_counter() - began)


def beyond(best: float, tried: Collection[float]) -> list[float]:
    """The next of `RATES` below the lowest or above the highest tried, where that is the best."""
    if best == max(tried):
        return [rate for rate in RATES if rate > best][:1]
    if best == min(tried):
        return [rate for rate in RATES if rate < best][-1:]
    return []


def search_ended(detail: Mapping[str, Any]) -> bool:
    """Whether the search that a record's `detail` tells of ended where this one would.

    Searches once ended at the lowest or highest rate given. Without trials, or where all of them
    scored 0, there is nothing to go on from.
    """
    trials = {float(rate): score for rate, score in detail.get("trials", {}).items()}
    return not any(trials.values()) or not beyond(float(detail["learning_rate"]), trials)

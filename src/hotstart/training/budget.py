"""From a budget in minutes or epochs to a number of steps; from then on only steps count."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass

from hotstart.training.loop import Loop

TIMED_STEPS = 20
LEAST_TIMED_STEPS = 3
SHARE_FOR_TIMING = 0.1


@dataclass(frozen=True)
class Pace:
    """How fast a task learns on this machine, as it is now."""

    prepare_seconds: float
    """Before the first step."""
    step_seconds: float
    """With its share of what comes once an epoch."""
    spent_seconds: float
    """On finding out."""


def steps_for_epochs(epochs: float, items: int, batch_size: int) -> int:
    """Steps in `epochs` passes over `items` pictures."""
    return max(round(epochs * max(items // batch_size, 1)), 1)


def steps_for_minutes(minutes: float, start: Callable[[], Loop]) -> int:
    """Time the first steps of a trial that is then thrown away, and see how many more fit.

    Timed are 20 steps, or as many as fit a tenth of the budget, but at least 3; `prepare` and
    `before_epoch` count, and so does the trial itself. Beginning anew costs those few steps and
    buys that a run given in minutes equals, bit for bit, the same run given in steps.
    """
    budget = minutes * 60
    pace = measure_pace(start, budget * SHARE_FOR_TIMING)
    left = budget - pace.spent_seconds - pace.prepare_seconds
    return max(round(left / pace.step_seconds), 1)


def measure_pace(start: Callable[[], Loop], seconds: float) -> Pace:
    """Time the first 20 steps of a trial, or as many as fit `seconds`, but at least 3."""
    began = time.perf_counter()
    loop = start()
    prepared = time.perf_counter() - began
    marks: list[float] = []
    for done in loop.run(TIMED_STEPS):
        marks.append(time.perf_counter())
        enough = done >= LEAST_TIMED_STEPS and marks[-1] - began > seconds
        # All processes stop at the same step: one that went on alone would wait for the others.
        if loop.fabric.broadcast(enough):
            break
    spent = time.perf_counter() - began
    # The first step pays for warming up and for `before_epoch`, which comes again every epoch.
    each = (marks[-1] - marks[0]) / (len(marks) - 1)
    first = max(marks[0] - began - prepared - each, 0.0)
    each += first / loop.epoch_steps
    return Pace(prepared, each, spent)

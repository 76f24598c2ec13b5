"""Successive halving: how many contenders each rung has, and how far it takes them.

Karnin et al. 2013 and Jamieson & Talwalkar 2016, arXiv:1502.07943, figure 1: every rung is given
the same part of the budget, which its contenders share; the better half (rounded up) goes on.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

LEAST_STEPS = 10
"""In the first rung: after fewer nothing can be told."""


@dataclass(frozen=True)
class Rung:
    """contenders: how many run in it; share: how much of a whole run they have behind them then."""

    contenders: int
    share: float


@dataclass(frozen=True)
class Plan:
    """rungs: first to last; steps: of a whole run, by contender; slow: who has no room in it."""

    rungs: tuple[Rung, ...]
    steps: dict[str, int]
    slow: tuple[str, ...]


def make_rungs(contenders: int, halving: int = 2) -> tuple[Rung, ...]:
    """1 / `halving` of a rung's contenders, rounded up, are in the next; the last one leaves one.

    contenders: 1 or more; halving: 2 or more
    """
    sizes = [contenders]
    while sizes[-1] > halving:
        sizes.append(-(-sizes[-1] // halving))
    # A contender of a rung gets this much of what each rung is given.
    each = [1 / size for size in sizes]
    return tuple(
        Rung(size, sum(each[: number + 1]) / sum(each)) for number, size in enumerate(sizes)
    )


def whole_run_seconds(rungs: Sequence[Rung], seconds: float) -> float:
    """Training of a contender that is in every rung, where all of them together take `seconds`."""
    return seconds / len(rungs) * sum(1 / rung.contenders for rung in rungs)


def stops(rungs: Sequence[Rung], steps: int) -> list[int]:
    """At which step of its `steps` a run is at the end of each rung; the last is its end."""
    return [max(round(rung.share * steps), 1) for rung in rungs]


def make_plan(
    seconds: float,
    step_seconds: Mapping[str, float],
    beside_seconds: Mapping[str, float],
    finish_seconds: float,
    halving: int = 2,
) -> Plan:
    """Steps for every contender, so that the race takes `seconds`.

    step_seconds: of each contender; everyone gets the same time, not the same number of steps
    beside_seconds: what it costs in each of its rungs beside training: to begin, to be judged
    finish_seconds: what the winner costs at the end

    The slowest are left out, one by one, until all others have 10 steps in the first rung.
    """
    names = sorted(step_seconds, key=lambda name: step_seconds[name])
    slow: list[str] = []
    while names:
        rungs = make_rungs(len(names), halving)
        # Who comes how far is not known: the costliest may.
        costs = sorted((beside_seconds[name] for name in names), reverse=True)
        beside = sum(sum(costs[: rung.contenders]) for rung in rungs)
        whole = whole_run_seconds(rungs, seconds - beside - finish_seconds)
        steps = {name: round(whole / step_seconds[name]) for name in names}
        if stops(rungs, steps[names[-1]])[0] >= LEAST_STEPS:
            asked = {name: steps[name] for name in step_seconds if name in steps}
            return Plan(rungs, asked, tuple(slow))
        slow.append(names.pop())
    return Plan((), {}, tuple(slow))

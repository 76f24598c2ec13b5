"""Neither too hard nor too easy: pretext metric and downstream gain against a setting's value."""

from __future__ import annotations

import statistics
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from hotstart.league.arena import Arena, Who
from hotstart.league.kinds import ranks_by
from hotstart.league.records import Record
from hotstart.league.variants import SETTINGS, in_order, read_variant, value_in, write_variant

LEAST_POINTS = 2


@dataclass(frozen=True)
class Gain:
    """Of one column of the last stage: what is above the control, with its 95 % interval."""

    downstream: str
    data: str
    split: str
    metric: str
    protocol: str
    labels: float | None
    control: str
    gain: float
    low: float | None
    high: float | None


@dataclass(frozen=True)
class Point:
    """One value of the setting. variant: None for the task as the league has it."""

    value: Any
    variant: str | None
    pretext: float | None
    """Mean over seeds of the task's own metric on held-out pictures."""
    deviation: float | None
    trivial: float | None
    n: int
    gains: list[Gain]


@dataclass(frozen=True)
class Sweep:
    """One setting of one task at several values, in their order. metric: the task's own."""

    task: str
    encoder: str
    setting: str
    metric: str | None
    points: list[Point]


def sweeps(records: Iterable[Record], arenas: Iterable[Arena]) -> list[Sweep]:
    """Every setting that was swept, from the records of a league and what they came to.

    The plain contender's own value is what its `pretext` record says; it is left out where none
    does.
    """
    records = list(records)
    own: dict[Who, dict[int, Record]] = {}
    swept: dict[tuple[str, str, str], dict[str, tuple[Any, str | None]]] = {}
    for record in records:
        if record.downstream == "pretext" and record.split == "heldout":
            who = Who(record.task, record.encoder, record.variant)
            # The headline comes first, then what else the task measures.
            own.setdefault(who, {}).setdefault(record.seed, record)
        if record.variant is not None:
            setting, value = read_variant(record.variant)
            values = swept.setdefault((record.task, record.encoder, setting), {})
            values[record.variant] = (value, record.variant)
    gains = _gains(arenas)
    found = []
    for (task, encoder, setting), values in swept.items():
        for record in own.get(Who(task, encoder), {}).values():
            plain = value_in(record.detail.get(SETTINGS), setting)
            if plain is not None:
                values[write_variant(setting, plain)] = (plain, None)
        points = [
            _point(value, Who(task, encoder, variant), own, gains)
            for value in in_order(value for value, _ in values.values())
            for variant in [values[write_variant(setting, value)][1]]
        ]
        metrics = {r.metric for who in own if who[:2] == (task, encoder) for r in own[who].values()}
        metric = metrics.pop() if len(metrics) == 1 else None
        if len(points) >= LEAST_POINTS:
            found.append(Sweep(task, encoder, setting, metric, points))
    return found


def _gains(arenas: Iterable[Arena]) -> dict[Who, list[Gain]]:
    found: dict[Who, list[Gain]] = {}
    for arena in arenas:
        where = (arena.downstream, arena.data, arena.split, arena.metric)
        for column in arena.columns:
            if column.stage not in ("last", None) or not ranks_by(
                arena.downstream, column.protocol, arena.metric
            ):
                continue
            for one in column.standings:
                if one.gain is not None and one.control is not None:
                    asked = (*where, column.protocol, column.labels, one.control)
                    gain = Gain(*asked, one.gain, one.low, one.high)
                    found.setdefault(one.who, []).append(gain)
    return found


def _point(
    value: Any,
    who: Who,
    own: Mapping[Who, Mapping[int, Record]],
    gains: Mapping[Who, list[Gain]],
) -> Point:
    records = list(own.get(who, {}).values())
    values = [record.value for record in records]
    trivial = [record.chance for record in records if record.chance is not None]
    return Point(
        value,
        who.variant,
        statistics.fmean(values) if values else None,
        statistics.stdev(values) if len(values) > 1 else None,
        statistics.fmean(trivial) if trivial else None,
        len(values),
        gains.get(who, []),
    )

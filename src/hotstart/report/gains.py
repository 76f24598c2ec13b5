"""The page's first picture: from the control's value to each contender's, with an interval."""

from __future__ import annotations

from dataclasses import dataclass

from hotstart.report.cells import Arena, Cell
from hotstart.report.evidence import Gain
from hotstart.report.reading import Reading, columns_of, main_question, ranking
from hotstart.report.standings import Contender
from hotstart.report.ticks import scale, short
from hotstart.report.words import (
    heading,
    interval,
    label_count,
    number,
)

SHOWN = 10
"""Tasks that are shown unasked where there are many; controls always are."""


@dataclass(frozen=True)
class Bar:
    """One row; places in 0..100. whisker: ends of the interval around `end`; seeds: single ones."""

    name: str
    tone: str
    value: str
    gain: str
    interval: str
    start: float | None
    end: float
    whisker: tuple[float, float] | None
    seeds: list[float]


@dataclass(frozen=True)
class Picture:
    """The gains under one question. ticks: position and text; more: the tasks further down."""

    title: str
    bars: list[Bar]
    more: list[Bar]
    ticks: list[tuple[float, str]]


def gain_pictures(reading: Reading, arena: Arena) -> list[Picture]:
    """Control to contender on one scale, with most labels and with fewest; [] for one alone."""
    standings = reading.standings
    main = main_question(standings, arena)
    same = [q for q in columns_of(standings, arena) if q.protocol == main.protocol]
    asked = list(dict.fromkeys([main, *same[:1]]))
    ranked = {q: ranking(standings, arena, q) for q in asked}
    if len(ranked[main]) < 2:
        return []
    gains = {(q, who): reading.evidence.gain(arena, who, q) for q in asked for who, _ in ranked[q]}
    ends = [v for q in asked for who, cell in ranked[q] for v in _extent(cell, gains[q, who])]
    percent = arena.percent
    low, high, ticks = scale(ends, fractions=percent)

    def place(value: float) -> float:
        return 100 * (value - low) / (high - low)

    def bar(who: Contender, cell: Cell, gain: Gain | None) -> Bar:
        known = gain.paired if gain else None
        start = cell.mean - gain.mean if gain else None
        return Bar(
            reading.names[who],
            reading.styles[who].tone,
            number(cell.mean, arena.metric),
            number(gain.mean, arena.metric, sign=True) if gain else "",
            interval(known.low, known.high, arena.metric) if known else "",
            place(start) if start is not None else None,
            place(cell.mean),
            (place(start + known.low), place(start + known.high))
            if known and start is not None
            else None,
            [place(value) for value in cell.values] if cell.n > 1 and not known else [],
        )

    pictures = []
    for q, pairs in ranked.items():
        tasks = [who for who, _ in pairs if who.role == "task"]
        hidden = set(tasks[SHOWN:]) if len(tasks) > SHOWN + 2 else set()
        bars = {who: bar(who, cell, gains[q, who]) for who, cell in pairs}
        known = label_count(cell.label_count for _, cell in pairs)
        title = q.title + (f" ({known})" if known else "")
        pictures.append(
            Picture(
                heading(title),
                [shown for who, shown in bars.items() if who not in hidden],
                [shown for who, shown in bars.items() if who in hidden],
                [(place(tick), short(round(100 * tick if percent else tick, 9))) for tick in ticks],
            )
        )
    return pictures


def _extent(cell: Cell, gain: Gain | None) -> list[float]:
    """Every value that its row must have room for."""
    if gain is None:
        return cell.values
    start = cell.mean - gain.mean
    known = gain.paired
    return [*cell.values, start, *((start + known.low, start + known.high) if known else ())]

"""The tasks' own metrics on held-out pictures, beside chance or a trivial answer."""

from __future__ import annotations

from dataclasses import dataclass

from hotstart.report.reading import Reading
from hotstart.report.words import (
    MISSING,
    count,
    metric_name,
    number,
    quantity,
    sought_among,
    split_name,
)


@dataclass(frozen=True)
class PretextRow:
    """One task's answer to its own questions."""

    name: str
    tone: str
    metric: str
    value: str
    deviation: str
    chance: str
    where: str
    seeds: str


def pretext_rows(reading: Reading) -> list[PretextRow]:
    """In the order of the page; `random` was asked nothing. Values of two tasks do not compare."""
    return [
        PretextRow(
            name,
            reading.styles[who].tone,
            metric_name(arena.metric) + sought_among(cell.detail),
            quantity(cell.mean, arena.metric),
            number(cell.deviation, arena.metric) if cell.deviation is not None else "",
            quantity(cell.chance, arena.metric) if cell.chance is not None else MISSING,
            f"{arena.name}, {split_name(arena.split)}",
            count(cell.n),
        )
        for who, name in reading.names.items()
        if who.role != "random"
        for arena, cell in reading.standings.pretext.get(who, {}).items()
    ]

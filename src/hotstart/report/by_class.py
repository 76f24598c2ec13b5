"""What a mean over classes is the mean of: IoU or average precision of each class."""

from __future__ import annotations

import math
import statistics
from collections.abc import Sequence
from dataclasses import dataclass

from hotstart.report.cells import Arena, Cell, Question
from hotstart.report.reading import Reading
from hotstart.report.standings import Contender
from hotstart.report.words import MISSING, heading, number

ACCURACY = "pixel_accuracy"


@dataclass(frozen=True)
class ClassRow:
    """One contender. values: of each class, in percent; accuracy: of pixels, or empty."""

    name: str
    tone: str
    values: list[str]
    accuracy: str


@dataclass(frozen=True)
class ClassTable:
    """One column of the league table: protocol and share of the labels."""

    title: str
    classes: list[str]
    rows: list[ClassRow]

    @property
    def accuracies(self) -> bool:
        return any(row.accuracy for row in self.rows)


def class_tables(
    reading: Reading, arena: Arena, questions: Sequence[Question], order: Sequence[Contender]
) -> list[ClassTable]:
    """A table for each of `questions` whose records tell of classes; means over the seeds."""
    found = []
    for question in questions:
        cells = {who: reading.standings.cell(arena, who, question) for who in order}
        told = {
            who: cell
            for who, cell in cells.items()
            if cell is not None and any(one.record.by_class for one in cell.replicates)
        }
        classes = dict.fromkeys(
            name
            for cell in told.values()
            for one in cell.replicates
            for name in one.record.by_class
        )
        if classes:
            rows = [_row(reading, arena, who, cell, list(classes)) for who, cell in told.items()]
            found.append(ClassTable(heading(question.title), list(classes), rows))
    return found


def _row(
    reading: Reading, arena: Arena, who: Contender, cell: Cell, classes: Sequence[str]
) -> ClassRow:
    records = [one.record for one in cell.replicates]
    accuracies = [record.detail.get(ACCURACY) for record in records if record.by_class]
    return ClassRow(
        reading.names[who],
        reading.styles[who].tone,
        [
            _mean([record.by_class.get(name) for record in records], arena.metric) or MISSING
            for name in classes
        ],
        _mean(accuracies, ACCURACY),
    )


def _mean(values: Sequence[object], metric: str) -> str:
    """Of those that are numbers; empty where none is."""
    known = [one for one in values if isinstance(one, int | float) and math.isfinite(one)]
    return number(statistics.fmean(known), metric) if known else ""

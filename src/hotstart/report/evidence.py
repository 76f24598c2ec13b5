"""How sure: intervals of gains, from the predictions that runs have kept."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np

from hotstart.downstream.predictions import Predictions
from hotstart.errors import DataError
from hotstart.league.predictions import find_predictions, load_predictions
from hotstart.league.records import Record
from hotstart.league.statistics import PairedGain, holm, predictions_gain
from hotstart.report.cells import Arena, Cell, Question
from hotstart.report.standings import Contender, Standings

LEVEL = 0.05
"""A gain whose corrected p is below this is marked."""


@dataclass(frozen=True)
class Gain:
    """What a contender is above its control.

    mean: over the seeds that both have, each paired with its own; where they share none, the
    difference of the means, without `pairs`. paired: interval and p, where both have kept their
    predictions. p: corrected over the tasks that answered the same question, of a variant over the
    variants too.
    """

    mean: float
    pairs: tuple[float, ...]
    baseline: Contender
    paired: PairedGain | None = None
    p: float | None = None

    @property
    def sure(self) -> bool:
        """Whether it is above zero beyond chance, after correction."""
        return self.p is not None and self.p < LEVEL


@dataclass
class Evidence:
    """Gains with their intervals, computed when asked for, each once."""

    standings: Standings
    unreadable: Counter[str] = field(default_factory=Counter)
    """Why predictions that are there could not be used."""
    _answers: dict[tuple[Any, ...], Predictions | None] = field(default_factory=dict)
    _gains: dict[tuple[Arena, Question], dict[Contender, Gain]] = field(default_factory=dict)

    def gain(self, arena: Arena, who: Contender, question: Question) -> Gain | None:
        """Above the control that had the same network, data and labels; None without one."""
        if (arena, question) not in self._gains:
            self._gains[arena, question] = self._all(arena, question)
        return self._gains[arena, question].get(who)

    def between(
        self, arena: Arena, question: Question, one: Contender, other: Contender
    ) -> PairedGain | None:
        """How far `one` is above `other`; None where predictions are missing."""
        cells = [self.standings.cell(arena, who, question) for who in (one, other)]
        ours, theirs = cells
        return self._paired(ours, theirs) if ours is not None and theirs is not None else None

    def level(
        self, arena: Arena, question: Question, ranked: Sequence[Contender]
    ) -> list[Contender]:
        """Who cannot be told from the first of `ranked`: the interval between them holds zero.

        ranked: best first. The search ends after three in a row that are surely behind.
        """
        found, behind = [], 0
        for other in ranked[1:]:
            gap = self.between(arena, question, ranked[0], other)
            if gap is None:
                break
            if gap.low <= 0:
                found.append(other)
            behind = 0 if gap.low <= 0 else behind + 1
            if behind == 3:
                break
        return found

    def _all(self, arena: Arena, question: Question) -> dict[Contender, Gain]:
        found = {}
        for who, cells in self.standings.arenas[arena].items():
            gain = self._gain(arena, who, cells[question], question) if question in cells else None
            if gain is not None:
                found[who] = gain
        told = {
            who: gain.paired.p
            for who, gain in found.items()
            if gain.paired is not None and who.role == "task"
        }
        # What a task's variants came to changes nothing of what is said of the tasks.
        plain = {who: p for who, p in told.items() if who.plain}
        corrected = {**holm(told), **holm(plain)}
        return {who: replace(gain, p=corrected.get(who)) for who, gain in found.items()}

    def _gain(self, arena: Arena, who: Contender, own: Cell, question: Question) -> Gain | None:
        if who.role in ("random", "scratch"):
            return None
        baseline = self.standings.baseline(arena, who, question)
        if baseline is None:
            return None
        control, cell = baseline
        ours, theirs = own.by_seed(), cell.by_seed()
        pairs = tuple(ours[seed] - theirs[seed] for seed in sorted(ours.keys() & theirs.keys()))
        mean = sum(pairs) / len(pairs) if pairs else own.mean - cell.mean
        return Gain(mean, pairs, control, self._paired(own, cell))

    def _paired(self, own: Cell, cell: Cell) -> PairedGain | None:
        """Only where every seed that both have can be paired item by item."""
        mine, others = own.records(), cell.records()
        seeds = sorted(mine.keys() & others.keys())
        ours = [self._load(mine[seed]) for seed in seeds]
        theirs = [self._load(others[seed]) for seed in seeds]
        known = [one for one in (*ours, *theirs) if one is not None]
        if not seeds or len(known) < 2 * len(seeds):
            return None
        if any(not np.array_equal(known[0].hashes, one.hashes) for one in known):
            self.unreadable["contenders were asked about different pictures"] += 1
            return None
        return predictions_gain(
            dict(zip(seeds, known[: len(seeds)], strict=True)),
            dict(zip(seeds, known[len(seeds) :], strict=True)),
            mine[seeds[0]].metric,
        )

    def _load(self, record: Record) -> Predictions | None:
        if record.key not in self._answers:
            self._answers[record.key] = self._read(record)
        return self._answers[record.key]

    def _read(self, record: Record) -> Predictions | None:
        for folder in self.standings.folders.get(record.key, []):
            if find_predictions(folder, record) is not None:
                try:
                    return load_predictions(folder, record)
                except DataError as error:
                    self.unreadable[str(error)] += 1
        return None

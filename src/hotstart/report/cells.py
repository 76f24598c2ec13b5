"""What a measurement is: where it may be compared, what was asked, how often it was repeated."""

from __future__ import annotations

import statistics
from dataclasses import dataclass, field
from typing import Any, NamedTuple

from hotstart.league.kinds import ranks_by
from hotstart.league.records import Record
from hotstart.report.words import (
    DOWNSTREAM,
    ONE_FRAME,
    is_fraction,
    metric_name,
    protocol,
    share,
    split_name,
)


class Arena(NamedTuple):
    """Numbers that may be compared: one downstream task, data set, split and metric."""

    downstream: str
    data: str
    split: str
    metric: str
    fingerprint: str
    """Of the pictures measured on; empty where the record does not tell."""
    name: str
    """What the page calls `data`: no two data sets alike."""

    @property
    def title(self) -> str:
        """`Classification on cifar10, validation split`; with the metric, unless it is top-1."""
        task = DOWNSTREAM.get(self.downstream, self.downstream)
        metric = "" if self.metric == "top1" else f", {metric_name(self.metric)}"
        return f"{task} on {self.name}, {split_name(self.split)}{metric}"

    @property
    def one_frame(self) -> Arena:
        """The same of one frame of each video."""
        return self._replace(metric=self.metric + ONE_FRAME)

    def ranks(self, protocol: str) -> bool:
        """Whether that protocol ranks the tasks by this metric."""
        return ranks_by(self.downstream, protocol, self.metric)

    @property
    def unit(self) -> str:
        """What stands on an axis: `top-1 accuracy, %`."""
        return metric_name(self.metric) + (", %" if self.percent else "")

    @property
    def percent(self) -> bool:
        return is_fraction(self.metric)


class Question(NamedTuple):
    """One column: a protocol, a share of the labels, a stage of the encoder."""

    protocol: str
    labels: float
    stage: str | int

    @property
    def share(self) -> str:
        """`all labels`, `1 % of the labels`."""
        return "all labels" if self.labels == 1 else f"{share(self.labels)} of the labels"

    @property
    def title(self) -> str:
        """`linear probe, 1 % of the labels`."""
        return f"{protocol(self.protocol)}, {self.share}"


class Replicate(NamedTuple):
    """One repetition: its seed, its value, and the record that tells it."""

    seed: int
    value: float
    record: Record


@dataclass
class Cell:
    """The repetitions of one measurement."""

    chance: float | None = None
    replicates: list[Replicate] = field(default_factory=list)
    label_count: int | None = None

    def add(self, record: Record) -> None:
        """The same seed with the same value to the last digit is one measurement, read twice."""
        if not any((r.seed, r.value) == (record.seed, record.value) for r in self.replicates):
            self.replicates.append(Replicate(record.seed, record.value, record))
        self.chance = record.chance if self.chance is None else self.chance
        told = record.detail.get("label_count") if isinstance(record.detail, dict) else None
        self.label_count = told if isinstance(told, int) else self.label_count

    @property
    def detail(self) -> dict[str, Any]:
        """What the first record found on its way; empty where it does not tell."""
        told = self.replicates[0].record.detail if self.replicates else {}
        return told if isinstance(told, dict) else {}

    @property
    def n(self) -> int:
        return len(self.replicates)

    @property
    def values(self) -> list[float]:
        return [replicate.value for replicate in self.replicates]

    @property
    def mean(self) -> float:
        return statistics.fmean(self.values)

    @property
    def deviation(self) -> float | None:
        """Sample standard deviation over repetitions; None for a single one."""
        return statistics.stdev(self.values) if self.n > 1 else None

    def by_seed(self) -> dict[int, float]:
        """One value a seed: the mean, where one seed was measured more than once."""
        values: dict[int, list[float]] = {}
        for replicate in self.replicates:
            values.setdefault(replicate.seed, []).append(replicate.value)
        return {seed: statistics.fmean(found) for seed, found in values.items()}

    def records(self) -> dict[int, Record]:
        """The record of each seed, the first where there are several."""
        found: dict[int, Record] = {}
        for replicate in self.replicates:
            found.setdefault(replicate.seed, replicate.record)
        return found

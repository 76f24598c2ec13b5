"""From records to contenders and cells: who was measured, in what, how often, beside whom."""

from __future__ import annotations

import statistics
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any, Literal, NamedTuple

from hotstart.league.records import Record
from hotstart.report.runs import Run

Role = Literal["task", "random", "scratch", "supervised"]
Twin = tuple[str, Any, Any]
"""Encoder, picture size, stem: the same network, whatever was learnt."""

# Settings in which repetitions of one experiment may differ.
NOT_THE_EXPERIMENT = frozenset(
    {"seed", "checkpoint_seconds", "accelerator", "devices", "nodes", "out"}
)


class Arena(NamedTuple):
    """Numbers that may be compared: one downstream task, data set, split and metric."""

    downstream: str
    data: str
    split: str
    metric: str
    fingerprint: str
    """Of the pictures measured on; empty where the record does not tell."""


class Question(NamedTuple):
    """One column: a protocol, a share of the labels, a stage of the encoder."""

    protocol: str
    labels: float
    stage: str | int


@dataclass(frozen=True)
class Contender:
    """One experiment, repeated by seed: a task with its settings, or a control."""

    role: Role
    task: str
    twin: Twin
    settings: tuple[tuple[str, str], ...] = ()


@dataclass
class Cell:
    """The repetitions of one measurement."""

    chance: float | None = None
    replicates: list[tuple[int, float]] = field(default_factory=list)
    """Seed and value."""
    label_count: int | None = None

    def add(self, record: Record) -> None:
        """The same seed with the same value to the last digit is one measurement, read twice."""
        pair = (record.seed, record.value)
        if pair not in self.replicates:
            self.replicates.append(pair)
        self.chance = record.chance if self.chance is None else self.chance
        told = record.detail.get("label_count") if isinstance(record.detail, dict) else None
        self.label_count = told if isinstance(told, int) else self.label_count

    @property
    def n(self) -> int:
        return len(self.replicates)

    @property
    def mean(self) -> float:
        return statistics.fmean(value for _, value in self.replicates)

    @property
    def deviation(self) -> float | None:
        """Sample standard deviation over repetitions; None for a single one."""
        return statistics.stdev(value for _, value in self.replicates) if self.n > 1 else None

    def by_seed(self) -> dict[int, float]:
        values: dict[int, list[float]] = {}
        for seed, value in self.replicates:
            values.setdefault(seed, []).append(value)
        return {seed: statistics.fmean(found) for seed, found in values.items()}


@dataclass(frozen=True)
class Gain:
    """What a contender is above its control. `pairs`: the gain in each seed that both have."""

    mean: float
    pairs: tuple[float, ...]
    baseline: Contender


@dataclass
class Standings:
    """Everything that was measured."""

    arenas: dict[Arena, dict[Contender, dict[Question, Cell]]] = field(default_factory=dict)
    pretext: dict[Contender, dict[Arena, Cell]] = field(default_factory=dict)
    budgets: dict[Contender, list[Mapping[str, Any]]] = field(default_factory=dict)
    runs: dict[Contender, list[Run]] = field(default_factory=dict)

    @property
    def contenders(self) -> list[Contender]:
        seen = [c for table in self.arenas.values() for c in table]
        return list(dict.fromkeys([*self.runs, *seen, *self.pretext]))

    def cell(self, arena: Arena, who: Contender, question: Question) -> Cell | None:
        return self.arenas.get(arena, {}).get(who, {}).get(question)

    def gain(self, arena: Arena, who: Contender, question: Question) -> Gain | None:
        """Above the control that had the same network, data and labels; None without one."""
        own = self.cell(arena, who, question)
        if own is None or who.role in ("random", "scratch"):
            return None
        baseline = self.baseline(arena, who, question)
        if baseline is None:
            return None
        control, cell = baseline
        ours, theirs = own.by_seed(), cell.by_seed()
        pairs = tuple(ours[seed] - theirs[seed] for seed in sorted(ours.keys() & theirs.keys()))
        return Gain(own.mean - cell.mean, pairs, control)

    def baseline(
        self, arena: Arena, who: Contender, question: Question
    ) -> tuple[Contender, Cell] | None:
        """Random weights; for fine-tuning the same network trained from scratch."""
        roles = ("scratch", "random") if question.protocol == "finetune" else ("random",)
        for role in roles:
            found = [
                (other, cells[question])
                for other, cells in self.arenas.get(arena, {}).items()
                if other.role == role and question in cells and _same_network(other, who)
            ]
            if found:
                return found[0]
        return None

    def cost(self, who: Contender, name: str) -> float | None:
        """Mean of `seconds`, `images`, `peak_memory_bytes`, or `images_per_second`."""
        values = [_spent(budget, name) for budget in self.budgets.get(who, [])]
        known = [value for value in values if value is not None]
        return statistics.fmean(known) if known else None


def _spent(budget: Mapping[str, Any], name: str) -> float | None:
    if name == "images_per_second":
        images, seconds = _spent(budget, "images"), _spent(budget, "seconds")
        return images / seconds if images and seconds else None
    value = budget.get(name)
    return float(value) if isinstance(value, int | float) else None


def _same_network(one: Contender, other: Contender) -> bool:
    return all(
        a == b for a, b in zip(one.twin, other.twin, strict=True) if a is not None and b is not None
    )


def compute_standings(runs: Iterable[Run]) -> Standings:
    """Sort the records of all runs; a record that two folders hold counts once."""
    standings = Standings()
    seen: set[tuple[Any, ...]] = set()
    names: dict[str, str] = {}
    # Folders that tell their settings first: of two copies of a record, theirs says more.
    for run in sorted(runs, key=lambda run: not run.settings):
        if run.task is not None:
            own = _contender(run, run.task, None)
            standings.runs.setdefault(own, []).append(run)
            standings.budgets.setdefault(own, []).append(_budget(run))
        for record in run.records:
            if record.key in seen:
                continue
            seen.add(record.key)
            _add(standings, run, record, names)
    return standings


def _add(standings: Standings, run: Run, record: Record, names: dict[str, str]) -> None:
    """names: of each fingerprint, since one set of pictures may be typed in two ways."""
    fingerprint = str((record.data_fingerprints or {}).get("evaluate", ""))
    data = names.setdefault(fingerprint, record.data) if fingerprint else record.data
    arena = Arena(record.downstream, data, record.split, record.metric, fingerprint)
    who = _contender(run, record.task, record.encoder)
    if record.downstream == "pretext":
        standings.pretext.setdefault(who, {}).setdefault(arena, Cell()).add(record)
    elif record.protocol is not None:
        protocol = record.protocol
        if protocol == "scratch":
            who, protocol = Contender("scratch", "from scratch", who.twin), "finetune"
        stage = "last" if record.stage is None else record.stage
        labels = 1.0 if record.labels is None else record.labels
        table = standings.arenas.setdefault(arena, {}).setdefault(who, {})
        table.setdefault(Question(protocol, labels, stage), Cell()).add(record)
    if who.role != "scratch" and who not in standings.runs and record.budget:
        told = standings.budgets.setdefault(who, [])
        if record.budget not in told:
            told.append(record.budget)


def _contender(run: Run, task: str, encoder: str | None) -> Contender:
    told = run.settings
    name = encoder or str(told.get("encoder", ""))
    same = told.get("encoder") in (None, name)
    twin = (name, told.get("size") if same else None, told.get("stem") if same else None)
    if task == "random":
        return Contender("random", task, twin)
    role: Role = "supervised" if task == "supervised" else "task"
    if task != run.task:
        return Contender(role, task, twin)
    ignored = set(NOT_THE_EXPERIMENT)
    if "minutes" in told or "epochs" in told:
        ignored.add("steps")
    kept = tuple(sorted((key, str(told[key])) for key in told if key not in ignored))
    return Contender(role, task, twin, kept)


def _budget(run: Run) -> Mapping[str, Any]:
    """What the run's records say that it cost; before there are any, what its log says."""
    for record in run.records:
        if record.task == run.task and record.budget:
            return record.budget
    ends = run.events("end")
    return ends[-1] if ends else {}


def labels_of(contenders: Iterable[Contender]) -> dict[Contender, str]:
    """A name for each: the task, and where one task was run in several ways, what differs."""
    everyone = list(contenders)
    traits = {
        who: dict(who.settings)
        or dict(zip(("encoder", "size", "stem"), map(str, who.twin), strict=True))
        for who in everyone
    }
    names = {}
    for who, own in traits.items():
        rivals = [
            traits[other] for other in everyone if (other.role, other.task) == (who.role, who.task)
        ]
        differing = [key for key in own if any(rival.get(key) != own[key] for rival in rivals)]
        names[who] = " · ".join([who.task, *(f"{key} {own[key]}" for key in differing)])
    return names

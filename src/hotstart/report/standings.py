"""From records to contenders and cells: who was measured, in what, how often, beside whom."""

from __future__ import annotations

import statistics
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

from hotstart.league.records import Record
from hotstart.league.variants import full_name
from hotstart.pretext.registry import TASKS
from hotstart.report.cells import Arena, Cell, Question
from hotstart.report.runs import Run
from hotstart.report.words import data_name

Role = Literal["task", "random", "scratch", "supervised", "control"]
"""`control`: one that is there only when it was asked for, told by its task."""
CONTROL_ROLES: frozenset[Role] = frozenset({"random", "scratch", "supervised", "control"})
Twin = tuple[str, Any, Any]
"""Encoder, picture size, stem: the same network, whatever was learnt."""

# Settings in which repetitions of one experiment may differ; and what `init` says shorter.
NOT_THE_EXPERIMENT = frozenset(
    {
        *("seed", "variant", "checkpoint_seconds", "accelerator", "devices", "nodes", "compile"),
        *("out", "init_digest"),
    }
)
BUDGETS = ("minutes", "epochs")
Pairs = tuple[tuple[str, str], ...]
"""Names and values of settings."""
Timed = Mapping[Pairs, Pairs]
Names = Mapping[str, tuple[str, str]]
"""Of each data set, as it was typed, and what the page calls it."""


@dataclass(frozen=True)
class Contender:
    """One experiment, repeated by seed: a task with its settings, or a control.

    variant: how a league's sweep changed those of its task, as `permutations=10`.
    """

    role: Role
    task: str
    twin: Twin
    settings: Pairs = ()
    variant: str | None = None

    @property
    def plain(self) -> bool:
        """Whether it is a task as it was asked for: no control, no variant."""
        return self.role == "task" and self.variant is None


@dataclass
class Standings:
    """Everything that was measured."""

    arenas: dict[Arena, dict[Contender, dict[Question, Cell]]] = field(default_factory=dict)
    pretext: dict[Contender, dict[Arena, Cell]] = field(default_factory=dict)
    budgets: dict[Contender, list[Mapping[str, Any]]] = field(default_factory=dict)
    runs: dict[Contender, list[Run]] = field(default_factory=dict)
    folders: dict[tuple[Any, ...], list[Path]] = field(default_factory=dict)
    """Of each record, by its key, the folders that hold it: one has its predictions."""

    @property
    def contenders(self) -> list[Contender]:
        seen = [c for table in self.arenas.values() for c in table]
        return list(dict.fromkeys([*self.runs, *seen, *self.pretext]))

    def cell(self, arena: Arena, who: Contender, question: Question) -> Cell | None:
        return self.arenas.get(arena, {}).get(who, {}).get(question)

    def baseline(
        self, arena: Arena, who: Contender, question: Question
    ) -> tuple[Contender, Cell] | None:
        """Random weights; for fine-tuning the same network trained from scratch."""
        roles = ("scratch", "random") if question.protocol == "finetune" else ("random",)
        for role in roles:
            found = [
                (other, cells[question])
                for other, cells in self.arenas.get(arena, {}).items()
                if other.role == role and question in cells and same_network(other, who)
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


def same_network(one: Contender, other: Contender) -> bool:
    return all(
        a == b for a, b in zip(one.twin, other.twin, strict=True) if a is not None and b is not None
    )


def compute_standings(runs: Iterable[Run]) -> Standings:
    """Sort the records of all runs; a record that two folders hold counts once.

    A file of merged records beside the runs of a league repeats theirs, and may know some whose
    run is gone: these join the one experiment that they can belong to.
    """
    # Folders that tell their settings first: of two copies of a record, theirs says more.
    runs = sorted(runs, key=lambda run: not run.settings)
    standings = Standings()
    names = _names(record for run in runs for record in run.records)
    timed = {_plan(run): _time(run) for run in runs if _time(run)}
    for run in runs:
        if run.task is not None:
            own = _contender(run, run.task, run.variant, None, timed)
            standings.runs.setdefault(own, []).append(run)
            standings.budgets.setdefault(own, []).append(_budget(run))
        for record in run.records:
            folders = standings.folders.setdefault(record.key, [])
            folders.append(run.path)
            if len(folders) == 1:
                _add(standings, run, record, names, timed)
    return standings


def _add(standings: Standings, run: Run, record: Record, names: Names, timed: Timed) -> None:
    fingerprint = _fingerprint(record)
    data, name = names[fingerprint or record.data]
    arena = Arena(record.downstream, data, record.split, record.metric, fingerprint, name)
    who = _contender(run, record.task, record.variant, record.encoder, timed)
    if record.protocol == "scratch":
        who = Contender("scratch", "from scratch", who.twin)
    who = _known(standings, who)
    if record.downstream == "pretext":
        standings.pretext.setdefault(who, {}).setdefault(arena, Cell()).add(record)
    elif record.protocol is not None:
        protocol = "finetune" if record.protocol == "scratch" else record.protocol
        stage = "last" if record.stage is None else record.stage
        labels = 1.0 if record.labels is None else record.labels
        table = standings.arenas.setdefault(arena, {}).setdefault(who, {})
        table.setdefault(Question(protocol, labels, stage), Cell()).add(record)
    if who.role != "scratch" and who not in standings.runs and record.budget:
        told = standings.budgets.setdefault(who, [])
        if record.budget not in told:
            told.append(record.budget)


def _names(records: Iterable[Record]) -> Names:
    """By fingerprint, since one set of pictures may be typed in two ways; else as it was typed."""
    typed: dict[str, str] = {}
    for record in records:
        typed.setdefault(_fingerprint(record) or record.data, record.data)
    names = {data: data_name(data, typed.values()) for data in typed.values()}
    return {key: (data, names[data]) for key, data in typed.items()}


def _fingerprint(record: Record) -> str:
    """Of the data measured on; empty where the record does not tell."""
    return str((record.data_fingerprints or {}).get("evaluate", ""))


def _known(standings: Standings, who: Contender) -> Contender:
    """Of a record without settings of its own: the one contender seen so far that it fits."""
    if who.settings or None not in who.twin:
        return who
    fitting = [
        other
        for other in standings.contenders
        if _name(other) == _name(who) and same_network(other, who)
    ]
    return fitting[0] if len(fitting) == 1 else who


def _name(who: Contender) -> tuple[Role, str, str | None]:
    return who.role, who.task, who.variant


def _contender(
    run: Run, task: str, variant: str | None, encoder: str | None, timed: Timed
) -> Contender:
    told = run.settings
    name = encoder or str(told.get("encoder", ""))
    same = told.get("encoder") in (None, name)
    twin = (name, told.get("size") if same else None, told.get("stem") if same else None)
    if task == "random":
        return Contender("random", task, twin)
    role: Role = "task"
    if task in TASKS and TASKS[task].family == "control":
        role = "supervised" if task == "supervised" else "control"
    if (task, variant) != (run.task, run.variant):
        return Contender(role, task, twin, variant=variant)
    plan = _plan(run)
    time = timed.get(plan)
    if time is None:
        return Contender(role, task, twin, plan, variant)
    others = [pair for pair in plan if pair[0] != "steps"]
    return Contender(role, task, twin, tuple(sorted([*others, *time])), variant)


def _plan(run: Run) -> Pairs:
    """Its settings without those in which repetitions may differ; its budget in steps."""
    ignored = {*NOT_THE_EXPERIMENT, *BUDGETS}
    return tuple(
        sorted((key, str(told)) for key, told in run.settings.items() if key not in ignored)
    )


def _time(run: Run) -> Pairs:
    """Its budget where it is not given in steps; the steps that came of it may vary by seed.

    A run of exactly those steps is a repetition of it: so a league repeats what it timed once.
    """
    return tuple((key, str(run.settings[key])) for key in BUDGETS if key in run.settings)


def _budget(run: Run) -> Mapping[str, Any]:
    """What the run's records say that it cost; before there are any, what its log says."""
    for record in run.records:
        if (record.task, record.variant) == (run.task, run.variant) and record.budget:
            return record.budget
    ends = run.events("end")
    return ends[-1] if ends else {}


def labels_of(contenders: Iterable[Contender]) -> dict[Contender, str]:
    """A name for each: task and variant, and where one was run in several ways, what differs."""
    everyone = list(contenders)
    traits = {
        who: dict(who.settings)
        or dict(zip(("encoder", "size", "stem"), map(str, who.twin), strict=True))
        for who in everyone
    }
    names = {}
    for who, own in traits.items():
        rivals = [traits[other] for other in everyone if _name(other) == _name(who)]
        differing = [key for key in own if any(rival.get(key) != own[key] for rival in rivals)]
        name = full_name(who.task, who.variant)
        names[who] = " · ".join([name, *(f"{key} {own[key]}" for key in differing)])
    return names

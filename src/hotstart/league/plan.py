"""The grid of a league: who takes part, every pretraining and evaluation, and what is known."""

from __future__ import annotations

import itertools
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path
from typing import Any

from hotstart.config import PretrainSettings, Protocol
from hotstart.data import Dataset
from hotstart.encoders import EncoderSpec, build_encoder, encoder_kind
from hotstart.errors import UsageError
from hotstart.league.cell import Cell
from hotstart.league.contenders import Contender, pretrain_arguments
from hotstart.league.evaluation import evaluation_hash
from hotstart.league.kinds import DOWNSTREAM
from hotstart.league.measures import MEASURES, data_key
from hotstart.league.pretraining import run_hash, settled_own
from hotstart.league.records import Record
from hotstart.league.settings import League, LeagueSettings
from hotstart.league.variants import SETTINGS
from hotstart.training import folder as files

Question = tuple[str, str, str | None, str | int | None, float | None, str, int, str | None]
"""Settings hash, downstream, protocol, stage, labels, split, seed, metric (None for a pretext
task's own): what a record answers."""


def question(record: Record) -> Question:
    """The question that `record` answers."""
    return (
        record.settings_hash,
        record.downstream,
        record.protocol,
        record.stage,
        record.labels,
        record.split,
        record.seed,
        None if record.downstream == "pretext" else record.metric,
    )


@dataclass(frozen=True)
class Pretraining:
    """One run. settings_hash: of its record."""

    name: str
    title: str
    settings: PretrainSettings
    settings_hash: str
    folder: Path

    def question(self) -> Question:
        """What its record answers."""
        seed = self.settings.seed
        return (self.settings_hash, "pretext", None, None, None, "heldout", seed, None)

    def done(self, known: Mapping[Question, Record]) -> bool:
        """Whether the encoder and its record are there."""
        return self.question() in known and (self.folder / files.ENCODER).exists()

    def cell(self) -> Cell:
        """Train, or go on where a killed run stopped."""
        started = (self.folder / files.SETTINGS).exists()
        arguments = (
            {"resume": str(self.folder)}
            if started
            else {**pretrain_arguments(self.settings), "out": str(self.folder)}
        )
        return Cell(self.name, self.title, "pretrain", arguments)


@dataclass(frozen=True)
class Evaluation:
    """One run on one downstream task."""

    name: str
    title: str
    run: Pretraining
    arguments: dict[str, Any]
    questions: tuple[Question, ...]

    def done(self, known: Mapping[Question, Record]) -> bool:
        """Whether all its records are there."""
        return all(asked in known for asked in self.questions)

    def cell(self) -> Cell:
        """Evaluate the finished run."""
        return Cell(self.name, self.title, "evaluate", self.arguments, after=self.run.name)


@dataclass(frozen=True)
class Plan:
    """Every cell of the league, in the order in which it is to be run."""

    pretrainings: list[Pretraining]
    evaluations: list[Evaluation]

    @cached_property
    def runs(self) -> dict[str, Pretraining]:
        """By the settings hashes of all records that belong to this league."""
        evaluated = {asked[0]: e.run for e in self.evaluations for asked in e.questions}
        return {**evaluated, **{run.settings_hash: run for run in self.pretrainings}}

    def ours(self, records: Iterable[Record]) -> list[Record]:
        """Those of `records` that belong to this league, as it tells them.

        Another league may have measured as a task's own setting what is a variant here.
        """
        found = []
        for record in records:
            run = self.runs.get(record.settings_hash)
            if run is not None:
                detail = record.detail
                if record.downstream == "pretext":
                    detail = {
                        **detail,
                        SETTINGS: settled_own(run.settings).model_dump(mode="json"),
                    }
                found.append(replace(record, variant=run.settings.variant, detail=detail))
        return found

    def asks(self, record: Record) -> bool:
        """Whether one of its evaluations asks for what `record` tells, at whatever stage."""
        asked = (record.settings_hash, record.downstream, record.protocol, record.labels)
        return record.downstream == "pretext" or asked in self._asked

    @cached_property
    def _asked(self) -> set[tuple[str, str, str | None, float | None]]:
        return {(q[0], q[1], q[2], q[4]) for e in self.evaluations for q in e.questions}

    def left(self, known: Mapping[Question, Record]) -> list[Cell]:
        """Cells still to be run: a pretraining only where an evaluation waits for it."""
        waiting = [e for e in self.evaluations if not e.done(known)]
        needed = {e.run.name for e in waiting}
        cells = []
        for run in self.pretrainings:
            if run.name in needed and not run.done(known):
                cells.append(run.cell())
            cells += [e.cell() for e in waiting if e.run.name == run.name]
        return cells


def make_plan(
    league: League, folder: Path, field: Mapping[str, Contender], datasets: Mapping[str, Dataset]
) -> Plan:
    """Every cell. datasets: opened, by the name that `league` gives them."""
    asked = league.asked
    plan = Plan([], [])
    stages: dict[EncoderSpec, int] = {}
    for seed, who in itertools.product(asked.seeds, field.values()):
        settings = who.with_seed(seed, league.steps[who.name])
        run = Pretraining(
            name=f"{who.name}-{seed}",
            title=f"{who.title} seed {seed}: pretraining",
            settings=settings,
            settings_hash=run_hash(settings, datasets[asked.data].fingerprint),
            folder=folder / f"{who.name}-{seed}",
        )
        plan.pretrainings.append(run)
        spec = EncoderSpec(name=settings.encoder, size=settings.size, stem=settings.stem)
        if spec not in stages:
            stages[spec] = len(build_encoder(spec, 0).stage_dims)
        for number, (kind, data, named) in enumerate(asked.evaluations):
            protocols = DOWNSTREAM[kind].protocols(settings.task, named)
            if protocols and encoder_kind(settings.encoder) in DOWNSTREAM[kind].encoders:
                pictures = datasets[data_key(kind, data)].fingerprint
                plan.evaluations.append(
                    _evaluation(asked, run, number, protocols, pictures, stages[spec])
                )
    return plan


def _evaluation(
    asked: LeagueSettings,
    run: Pretraining,
    number: int,
    protocols: tuple[Protocol, ...],
    pictures: str,
    stages: int,
) -> Evaluation:
    kind, data, _ = asked.evaluations[number]
    seed = run.settings.seed
    several = len(asked.evaluations) > 1
    hashed = {p: evaluation_hash(run.settings_hash, seed, pictures, kind, p) for p in protocols}
    questions = [
        (hashed[protocol], kind, protocol, stage, share, asked.split, seed, metric)
        for share in asked.labels
        for protocol in protocols
        for stage in ("last", *range(1, stages + 1))
        if stage == "last" or (asked.stages and protocol == "linear" and MEASURES[kind].stages)
        for metric in DOWNSTREAM[kind].measured(protocol, stage)
    ]
    arguments = {
        "subject": str(run.folder),
        "data": data,
        "on": kind,
        "protocols": list(protocols),
        "labels": list(asked.labels),
        "split": asked.split,
        "seed": seed,
        "stages": asked.stages,
        **asked.reading_for(data, kind),
        "accelerator": asked.accelerator,
    }
    who = run.title.rpartition(":")[0]
    title = f"{who}: {kind}" + (f" {data}" if several else "")
    name = f"{run.name}-{kind}" + (f"-{number}" if several else "")
    return Evaluation(name, title, run, arguments, tuple(questions))


def check_folder(plan: Plan, records: Iterable[Record]) -> None:
    """Raise UsageError where its run folders, or the `records` there, are another league's."""
    for run in plan.pretrainings:
        if (run.folder / files.SETTINGS).exists():
            there = files.load_run(run.folder)
            ours = run.settings.model_dump(exclude={"accelerator", "checkpoint_seconds"})
            other = there.model_dump(exclude={"accelerator", "checkpoint_seconds"})
            differing = [k for k in ours if ours[k] != other[k] and k not in ("minutes", "epochs")]
            if differing:
                raise UsageError(
                    f"{run.folder} holds another run ({', '.join(differing)} differ): give another "
                    "--out, or move that folder away"
                )
    foreign = [record for record in records if record.settings_hash not in plan.runs]
    if foreign:
        one = foreign[0]
        raise UsageError(
            f"results.jsonl there holds {len(foreign)} records of another league ({one.task}, seed "
            f"{one.seed}, settings {one.settings_hash}, ...): give another --out, and the file as "
            "--known for what fits"
        )

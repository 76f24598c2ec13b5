"""The statistics of a league, from its records and predictions."""

from __future__ import annotations

import statistics as plain
from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import NamedTuple

import numpy as np

from hotstart.downstream.predictions import Hashes, Predictions
from hotstart.errors import DataError
from hotstart.league.arena import Arena, Column, Resampled, Standing, Who, is_control
from hotstart.league.difficulty import Sweep, sweeps
from hotstart.league.kinds import ranks_by
from hotstart.league.predictions import Kept
from hotstart.league.records import Record, read_records
from hotstart.league.statistics import (
    Agreement,
    PairedGain,
    holm,
    kendall_tau,
    mean_rank,
    predictions_gain,
    seed_gain,
)
from hotstart.league.variants import full_name

RESULTS = "results.jsonl"


@dataclass(frozen=True)
class Statistics:
    """All of it, ready to be written as JSON."""

    arenas: list[Arena]
    agreement: Agreement
    """Kendall's tau between the columns of the last stage, over the tasks without controls and
    variants."""
    mean_rank: dict[str, float]
    """Over the same columns."""
    notes: list[str]
    """Sentences on what is missing."""
    ranked: dict[str, dict[str, float]] = field(default_factory=dict)
    """Those columns by name: mean of each task."""
    difficulty: list[Sweep] = field(default_factory=list)
    """Each setting that was swept, with what its values came to."""


def league_statistics(folder: Path) -> Statistics:
    """Means, deviations, gains over the control, p values and agreement of all records of `folder`.

    Read is its `results.jsonl`, or where there is none those up to two levels below. A control has
    the same encoder, and is `random`, or `scratch` for `finetune`. The interval resamples seeds,
    then test items (`statistics.predictions_gain`); where predictions are missing, as with records
    alone, seeds. Each comparison begins with the same random numbers, so that it does not depend
    on who else takes part.

    Raises DataError without records, or where one contender has two results for one seed.
    """
    kept = Kept(folder)
    tables: dict[tuple[str, str, str, str, str], dict[_Question, dict[Who, dict[int, Record]]]] = {}
    chances: dict[tuple[str, str, str, str, str], float | None] = {}
    records = _records(folder)
    for record in records:
        if record.downstream == "pretext" or record.protocol is None:
            continue
        fingerprint = record.data_fingerprints.get("evaluate", "")
        arena = (record.downstream, record.data, record.split, record.metric, fingerprint)
        chances.setdefault(arena, record.chance)
        protocol, task = record.protocol, record.task
        if protocol == "scratch":
            protocol, task = "finetune", "scratch"
        column = _Question(protocol, record.labels, record.stage)
        cell = tables.setdefault(arena, {}).setdefault(column, {})
        _add(cell.setdefault(Who(task, record.encoder, record.variant), {}), record, folder)
    notes: list[str] = []
    arenas = [
        Arena(
            *arena,
            chance=chances[arena],
            columns=[
                Column(*asked, standings=_standings(asked, columns[asked], kept, notes))
                for asked in sorted(columns, key=_order)
            ],
        )
        for arena, columns in tables.items()
    ]
    # What the tasks are ranked by comes first.
    arenas.sort(
        key=lambda one: (
            not any(ranks_by(one.downstream, c.protocol, one.metric) for c in one.columns)
        )
    )
    ranked = _ranked(arenas)
    told = [f"{text} In {count} column(s)." for text, count in Counter(notes).items()]
    agreement, ranks = kendall_tau(ranked), mean_rank(ranked)
    return Statistics(arenas, agreement, ranks, told, ranked, sweeps(records, arenas))


class _Question(NamedTuple):
    protocol: str
    labels: float | None
    stage: str | int | None


def _records(folder: Path) -> list[Record]:
    if (folder / RESULTS).exists():
        paths = [folder / RESULTS]
    else:
        paths = sorted([*folder.glob(f"*/{RESULTS}"), *folder.glob(f"*/*/{RESULTS}")])
    found = {record.key: record for path in paths for record in read_records(path)}
    if not found:
        raise DataError(f"{folder} holds no records: {RESULTS} is missing or empty")
    return list(found.values())


def _add(seeds: dict[int, Record], record: Record, folder: Path) -> None:
    other = seeds.setdefault(record.seed, record)
    if other is not record:
        raise DataError(
            f"{folder} holds two results of {full_name(record.task, record.variant)} "
            f"({record.encoder}) with seed "
            f"{record.seed} for {record.protocol} at {record.labels} of the labels, of different "
            f"settings ({other.settings_hash}, {record.settings_hash}): one league a folder"
        )


def _standings(
    asked: _Question, cell: Mapping[Who, Mapping[int, Record]], kept: Kept, notes: list[str]
) -> list[Standing]:
    found: dict[Who, Standing] = {}
    answers: dict[Who, _Answers] = {}
    for who, records in cell.items():
        values = {seed: records[seed].value for seed in sorted(records)}
        deviation = plain.stdev(values.values()) if len(values) > 1 else None
        mean = plain.fmean(values.values())
        found[who] = Standing(
            who.task, who.encoder, values, len(values), mean, deviation, variant=who.variant
        )
        answers[who] = _Answers.load(records, kept)
    for who in cell:
        control = Who("scratch" if asked.protocol == "finetune" else "random", who.encoder)
        if control in cell and who.task not in ("random", "scratch"):
            found[who] = _compare(found[who], found[control], answers[who], answers[control], notes)
    tested = {w: one.p for w, one in found.items() if one.p is not None and not is_control(w.task)}
    # What a task's variants came to changes nothing of what is said of the tasks.
    tasks = {who: p for who, p in tested.items() if who.variant is None}
    for who, p_holm in {**holm(tested), **holm(tasks)}.items():
        found[who] = replace(found[who], p_holm=p_holm)
    # Names decide between equals, so that the order of the records does not.
    return sorted(
        found.values(), key=lambda one: (-one.mean, one.task, one.encoder, one.variant or "")
    )


@dataclass(frozen=True)
class _Answers:
    """Answers for each test item, by seed; empty unless known for every seed, on one set."""

    hashes: Hashes | None
    by_seed: dict[int, Predictions]
    metric: str

    @classmethod
    def load(cls, records: Mapping[int, Record], kept: Kept) -> _Answers:
        found = {seed: kept.find(record) for seed, record in records.items()}
        hashes, by_seed = None, {}
        for seed, one in found.items():
            if one is None or not (hashes is None or np.array_equal(hashes, one[1].hashes)):
                return cls(None, {}, "")
            hashes, by_seed[seed] = one[1].hashes, one[1]
        return cls(hashes, by_seed, next(iter(records.values())).metric)


def _compare(
    own: Standing, control: Standing, ours: _Answers, theirs: _Answers, notes: list[str]
) -> Standing:
    """`own` with its gain over `control`."""
    seeds = sorted(own.values.keys() & control.values.keys())
    if not seeds:
        notes.append(f"{own.who.name} has no seed in common with {control.task}.")
        return own
    by_seed = {seed: own.values[seed] - control.values[seed] for seed in seeds}
    told = replace(
        own, control=control.task, gain=plain.fmean(by_seed.values()), gain_by_seed=by_seed
    )
    same = ours.hashes is not None and theirs.hashes is not None
    if same and np.array_equal(ours.hashes, theirs.hashes):  # type: ignore[arg-type]
        gain = predictions_gain(ours.by_seed, theirs.by_seed, ours.metric)
        return _with(told, gain, "seeds and items" if len(seeds) > 1 else "items")
    notes.append(
        f"Predictions of {own.who.name} or {control.task} are missing: seeds alone resampled."
    )
    return told if len(seeds) < 2 else _with(told, seed_gain(own.values, control.values), "seeds")


def _with(standing: Standing, gain: PairedGain, resampled: Resampled) -> Standing:
    return replace(
        standing,
        gain=gain.mean,
        low=gain.low,
        high=gain.high,
        p=gain.p,
        resampled=resampled,
        items=gain.items,
    )


def _ranked(arenas: Iterable[Arena]) -> dict[str, dict[str, float]]:
    """Name of each column of the last stage -> task -> mean, without controls and variants.

    A protocol ranks by one of its metrics (`settings.Downstream`).
    """
    columns: dict[str, dict[Who, float]] = {}
    for arena in arenas:
        for column in arena.columns:
            if not ranks_by(arena.downstream, column.protocol, arena.metric):
                continue
            tasks = [
                one for one in column.standings if not is_control(one.task) and not one.variant
            ]
            if column.stage in ("last", None) and tasks:
                words = [arena.downstream, arena.data, arena.split, arena.metric, column.protocol]
                name = " ".join(words + ([] if column.labels is None else [f"{column.labels:.4g}"]))
                columns[name] = {one.who: one.mean for one in tasks}
    everyone = {who for column in columns.values() for who in column}
    times = Counter(who.task for who in everyone)
    names = {w: w.task if times[w.task] == 1 else f"{w.task} ({w.encoder})" for w in everyone}
    return {c: {names[who]: mean for who, mean in cell.items()} for c, cell in columns.items()}


def _order(asked: _Question) -> tuple[str, float, bool, str]:
    return (asked.protocol, asked.labels or 0.0, asked.stage != "last", str(asked.stage))

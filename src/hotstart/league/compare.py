"""Runs a league from whatever state its folder is in to its statistics."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path

from hotstart.data import Dataset
from hotstart.errors import UsageError
from hotstart.league.alone import alone
from hotstart.league.cell import Cell
from hotstart.league.contenders import Contender, contenders, variants
from hotstart.league.executor import Executor, open_executor
from hotstart.league.found import tell_found
from hotstart.league.known import known_steps, read_known, take_over
from hotstart.league.measures import data_key
from hotstart.league.opening import Caching, exclude_tests, fingerprints_of, open_all
from hotstart.league.plan import (
    Evaluation,
    Plan,
    Pretraining,
    Question,
    check_folder,
    make_plan,
    question,
)
from hotstart.league.records import Record, read_records, write_records
from hotstart.league.schedule import Listener, Schedule
from hotstart.league.settings import (
    LEAGUE,
    League,
    LeagueSettings,
    read_league,
    same_league,
)
from hotstart.league.summary import Statistics, league_statistics
from hotstart.league.table import markdown
from hotstart.league.whole import write_whole
from hotstart.training.folder import RESULTS, SETTINGS

LOCK, LOGS = "league.lock", "logs"
STATISTICS, TABLE = "statistics.json", "table.md"


@dataclass(frozen=True)
class Comparison:
    """What a league found."""

    folder: Path
    steps: dict[str, int]
    """Of each contender."""
    records: list[Record]
    statistics: Statistics | None
    """None where only the budget was measured."""
    problems: dict[str, str] = field(default_factory=dict)
    """For each contender or cell that could not be run, why, in one sentence."""


def run_league(
    asked: LeagueSettings,
    folder: Path,
    *,
    known: Sequence[Path] = (),
    workers: int | None = None,
    calibrate_only: bool = False,
    listener: Listener | None = None,
    caching: Caching = None,
    executor: Executor | str = "local",
) -> Comparison:
    """Begin the league in `folder`, or go on with it: what is finished is never run again.

    known: files of records that count as finished where they answer this league's questions; a
        budget in minutes comes to as many steps as there.
    executor: where cells run; by name as in `open_executor`, `workers` at once.
    listener: called with each event of `schedule`, and before them with one of kind `found` for
        each downstream data set: `sentences` on what is in it and what was left out; one more on
        what is not pretrained on, being in a test split of these
    Raises UsageError where `folder` holds another league, or one that is being run.
    """
    tell = listener or (lambda event: None)
    folder.mkdir(parents=True, exist_ok=True)
    with alone(folder, LOCK, "compare") as lock:
        if isinstance(executor, str):
            logs = folder / LOGS
            executor = open_executor(executor, logs, workers, lock, asked.accelerator, tell)
        try:
            return _run(asked, folder, known, calibrate_only, tell, caching, executor)
        finally:
            executor.stop()


def _run(
    asked: LeagueSettings,
    folder: Path,
    known: Sequence[Path],
    calibrate_only: bool,
    tell: Listener,
    caching: Caching,
    executor: Executor,
) -> Comparison:
    datasets = open_all(asked, caching)
    league = _begin(asked, folder, datasets)
    for one in asked.evaluations:
        told = tell_found(datasets[data_key(one.kind, one.data)], one.kind, folder)
        tell({"kind": "found", "data": one.data, "sentences": told})
    left_out = exclude_tests(asked, datasets)
    if left_out:
        tell({"kind": "found", "data": asked.data, "sentences": left_out})
    swept = {task: [one.name for one in variants(asked, task)] for task in asked.sweep}
    league = replace(league, variants=swept)
    entered, problems = contenders(asked, datasets[asked.data])
    for name, problem in problems.items():
        tell({"kind": "cell_failed", "cell": name, "title": name, "problem": problem})
    league = _adopt_steps(league, known, entered)
    league, failed = _calibrate(league, folder, entered, executor, tell)
    problems |= failed
    ready = {name: one for name, one in entered.items() if name in league.steps}
    if calibrate_only or not ready:
        return Comparison(folder, league.steps, [], None, problems)
    plan = make_plan(league, folder, ready, datasets)
    check_folder(plan, read_records(folder / RESULTS))
    for file in known:
        take_over(file, folder, plan)
    _collect(folder, plan, plan.pretrainings)
    found = {question(record): record for record in read_records(folder / RESULTS)}
    cells = plan.left(found)
    total = len(plan.pretrainings) + len(plan.evaluations)

    def ended(cell: Cell, value: int | None) -> str | None:
        runs = [run for run in plan.pretrainings if run.name in (cell.name, cell.after)]
        found.update(_collect(folder, plan, runs))
        return _unanswered(cell, plan.evaluations, found)

    schedule = Schedule(
        cells,
        executor,
        tell,
        done=total - len(cells),
        ended=ended,
        expected=lambda cell: _budget_seconds(asked, cell),
    )
    problems |= schedule.run()
    statistics = league_statistics(folder)
    written = asdict(statistics)
    write_whole(folder / STATISTICS, json.dumps(written, indent=1) + "\n")
    write_whole(folder / TABLE, markdown(written))
    return Comparison(folder, league.steps, read_records(folder / RESULTS), statistics, problems)


def _begin(asked: LeagueSettings, folder: Path, datasets: dict[str, Dataset]) -> League:
    """The league of the folder, written down before anything is run."""
    if (folder / SETTINGS).exists():
        raise UsageError(f"{folder} is the folder of a run; give a league one of its own by --out")
    fingerprints = fingerprints_of(datasets, asked)
    if not (folder / LEAGUE).exists():
        league = League(asked, fingerprints)
        league.write(folder)
        return league
    league = read_league(folder)
    same_league(folder, league.asked, asked)
    changed = [name for name, seen in fingerprints.items() if league.fingerprints.get(name) != seen]
    if changed:
        raise UsageError(
            f"{', '.join(changed)} changed since the league in {folder} began: pictures or labels "
            "differ; bring them back, or give another --out"
        )
    return League(asked, fingerprints, league.steps)


def _adopt_steps(league: League, known: Sequence[Path], entered: dict[str, Contender]) -> League:
    """Steps that minutes came to where the same run was timed before, so that it counts."""
    records = [record for file in known for record in read_known(file)]
    for one in entered.values():
        if one.name not in league.steps:
            steps = known_steps(records, one, league.fingerprints[league.asked.data])
            league = league if steps is None else league.with_steps(one.name, steps)
    return league


def _calibrate(
    league: League,
    folder: Path,
    entered: dict[str, Contender],
    executor: Executor,
    tell: Listener,
) -> tuple[League, dict[str, str]]:
    """Everyone's steps. What has to be timed is timed once, one after the other."""
    for one in entered.values():
        if one.counted is not None and one.name not in league.steps:
            league = league.with_steps(one.name, one.counted)
    league.write(folder)
    timed = {one.calibration().name: one for one in entered.values() if one.counted is None}
    cells = [one.calibration() for one in timed.values() if one.name not in league.steps]

    def ended(cell: Cell, value: int | None) -> str | None:
        nonlocal league
        if value is None:
            return "its timing gave no number of steps"
        league = league.with_steps(timed[cell.name].name, value)
        league.write(folder)
        return None

    problems: dict[str, str] = {}
    for number, cell in enumerate(cells):
        # One schedule a cell: another process beside it would be timed with it.
        schedule = Schedule([cell], executor, tell, done=number, total=len(cells), ended=ended)
        problems |= {timed[name].name: problem for name, problem in schedule.run().items()}
    return league, problems


def _collect(folder: Path, plan: Plan, runs: Sequence[Pretraining]) -> dict[Question, Record]:
    """The league's records in the folders of `runs`, merged into its `results.jsonl`."""
    records = [record for run in runs for record in read_records(run.folder / RESULTS)]
    ours = plan.ours(records)
    write_records(folder / RESULTS, ours)
    return {question(record): record for record in ours}


def _unanswered(
    cell: Cell, evaluations: Sequence[Evaluation], found: dict[Question, Record]
) -> str | None:
    """What is wrong with an evaluation that ended without the records it was to give."""
    asked = [e for e in evaluations if e.name == cell.name and not e.done(found)]
    if not asked:
        return None
    missing = [question for question in asked[0].questions if question not in found]
    return (
        f"{len(missing)} of its {len(asked[0].questions)} records are missing, such as "
        f"{missing[0]}: did the data change while the league was run?"
    )


def _budget_seconds(asked: LeagueSettings, cell: Cell) -> float | None:
    if cell.function == "pretrain" and asked.minutes is not None:
        return asked.minutes * 60
    return None

"""Where the numbers come from: settings, versions, and files that were put aside."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from hotstart.report.reading import Reading
from hotstart.report.runs import QUARANTINE, Run
from hotstart.report.words import MISSING

SHOWN_FILES = 100


@dataclass(frozen=True)
class SettingsRow:
    """One experiment. values: for each differing setting the value, and whether it is unusual."""

    name: str
    runs: str
    """The names of its runs."""
    tone: str
    values: list[tuple[str, bool]]


@dataclass(frozen=True)
class Settings:
    """Settings that all runs share, and a table of those that differ, one row an experiment."""

    shared: list[tuple[str, str]]
    differing: list[str]
    rows: list[SettingsRow]
    told: int
    """How many runs tell their settings."""


def settings_of(reading: Reading) -> Settings:
    """`task.name` settings of runs of different tasks stand together in one column.

    A value is unusual where more than half of the experiments have another one, all the same.
    """
    known = {
        who: [run for run in reading.standings.runs.get(who, []) if run.settings]
        for who in reading.names
    }
    told = {
        who: [{k: v for k, v in run.settings.items() if k != "variant"} for run in runs]
        for who, runs in known.items()
        if runs
    }
    if len({who.task for who in told}) > 1:
        told = {who: [_one_column(one) for one in own] for who, own in told.items()}
    everyone = [one for own in told.values() for one in own]
    keys = list(dict.fromkeys(key for one in everyone for key in one))
    shared, differing = [], []
    for key in keys:
        values = {str(one.get(key, MISSING)) for one in everyone}
        if len(values) == 1:
            shared.append((key, values.pop()))
        elif key != "task":  # which names the row
            differing.append(key)
    columns = {key: [_values(own, key) for own in told.values()] for key in differing}
    usual = {key: _usual(values) for key, values in columns.items()}
    rows = [
        SettingsRow(
            reading.names[who],
            ", ".join(run.name for run in known[who]),
            reading.styles[who].tone,
            [(columns[key][i], usual[key] not in (None, columns[key][i])) for key in differing],
        )
        for i, who in enumerate(told)
        if differing or len(told) > 1
    ]
    return Settings(shared, differing, rows, len(everyone))


def _values(runs: Sequence[dict[str, Any]], key: str) -> str:
    """Of one experiment: `256`, or `0, 1, 2` where its repetitions differ."""
    return ", ".join(dict.fromkeys(str(one.get(key, MISSING)) for one in runs))


def _usual(values: Sequence[str]) -> str | None:
    value, times = Counter(values).most_common(1)[0]
    return value if 2 * times > len(values) else None


def _one_column(settings: dict[str, Any]) -> dict[str, Any]:
    """`rotation.all_four: True` as part of `task settings: all_four True`."""
    own = {key: value for key, value in settings.items() if "." in key}
    if not own:
        return settings
    words = ", ".join(f"{key.partition('.')[2]} {value}" for key, value in own.items())
    rest = {key: value for key, value in settings.items() if key not in own}
    return {**rest, "task settings": words}


def versions_of(runs: Sequence[Run]) -> list[tuple[str, str]]:
    """Package and version; several versions of one package stand side by side."""
    found: dict[str, dict[str, None]] = {}
    for run in runs:
        for record in run.records:
            for package, version in (record.versions or {}).items():
                found.setdefault(package, {})[str(version)] = None
    return [(package, ", ".join(versions)) for package, versions in sorted(found.items())]


@dataclass(frozen=True)
class Quarantine:
    """Files put aside, once for all runs that put aside the same ones.

    on: the downstream task in whose data they are; empty: in that of pretraining. file: of the list
    """

    on: str
    file: str
    runs: list[str]
    total: int
    reasons: list[tuple[str, int]]
    files: list[tuple[str, str]]
    """Path and reason of the first ones."""


def quarantines_of(runs: Sequence[Run]) -> list[Quarantine]:
    """Lists that hold at least one file."""
    lists: dict[tuple[str, tuple[tuple[str, str], ...]], list[str]] = {}
    for run in runs:
        for file, found in {QUARANTINE: run.quarantine, **run.left_out}.items():
            if found:
                lists.setdefault((file, tuple(found)), []).append(run.name)
    return [
        Quarantine(
            "" if file == QUARANTINE else file.split("-")[1],
            file,
            names,
            len(files),
            Counter(reason for _, reason in files).most_common(12),
            list(files[:SHOWN_FILES]),
        )
        for (file, files), names in sorted(lists.items(), key=lambda one: one[0][0] != QUARANTINE)
    ]

"""Where the numbers come from: settings, versions, and files that were put aside."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from hotstart.report.runs import Run
from hotstart.report.words import MISSING

SHOWN_FILES = 100


@dataclass(frozen=True)
class Settings:
    """Settings of all runs: those that are shared, and a table of those that differ."""

    shared: list[tuple[str, str]]
    differing: list[str]
    rows: list[tuple[str, list[str]]]


def settings_of(runs: Sequence[Run]) -> Settings:
    """`task.name` settings of runs of different tasks stand together in one column."""
    told = [(run.name, dict(run.settings)) for run in runs if run.settings]
    if len({run.task for run in runs}) > 1:
        told = [(name, _one_column(settings)) for name, settings in told]
    keys = list(dict.fromkeys(key for _, settings in told for key in settings))
    shared, differing = [], []
    for key in keys:
        values = {str(settings.get(key, MISSING)) for _, settings in told}
        if len(values) == 1:
            shared.append((key, values.pop()))
        else:
            differing.append(key)
    rows = [
        (name, [str(settings.get(key, MISSING)) for key in differing])
        for name, settings in told
        if differing
    ]
    return Settings(shared, differing, rows)


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
    """Files put aside, once for all runs that put aside the same ones."""

    runs: list[str]
    total: int
    reasons: list[tuple[str, int]]
    files: list[tuple[str, str]]
    """Path and reason of the first ones."""


def quarantines_of(runs: Sequence[Run]) -> list[Quarantine]:
    """Lists that hold at least one file."""
    lists: dict[tuple[tuple[str, str], ...], list[str]] = {}
    for run in runs:
        if run.quarantine:
            lists.setdefault(tuple(run.quarantine), []).append(run.name)
    return [
        Quarantine(
            names,
            len(files),
            Counter(reason for _, reason in files).most_common(12),
            list(files[:SHOWN_FILES]),
        )
        for files, names in lists.items()
    ]

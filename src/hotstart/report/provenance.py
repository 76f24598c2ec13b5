"""Where the numbers come from: settings, versions, and files that were put aside."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass

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
    told = [run for run in runs if run.settings]
    keys = list(dict.fromkeys(key for run in told for key in run.settings))
    shared, differing = [], []
    for key in keys:
        values = {str(run.settings.get(key, "")) for run in told}
        if len(values) == 1:
            shared.append((key, values.pop()))
        else:
            differing.append(key)
    rows = [
        (run.name, [str(run.settings.get(key, MISSING)) for key in differing])
        for run in told
        if differing
    ]
    return Settings(shared, differing, rows)


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

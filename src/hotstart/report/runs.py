"""What run folders hold, read so that a damaged or half-written file costs a note, not the page."""

from __future__ import annotations

import csv
import json
import math
import tomllib
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from hotstart.errors import DataError
from hotstart.league.records import Record

SETTINGS, RESULTS, LOG = "run.toml", "results.jsonl", "log.jsonl"
PANELS, QUARANTINE, LEAGUE = "panels", "quarantine.csv", "league.toml"
LEFT_OUT = "quarantine-*.csv"
MAP = "map"
DEPTH = 3
INSIDE_A_RUN = frozenset({PANELS, "checkpoint", "predictions", "tensorboard"})
PNG_START = b"\x89PNG\r\n\x1a\n"


@dataclass(frozen=True)
class Picture:
    """A sheet of pictures and its words. png: the file's bytes; width, height in pixels."""

    title: str
    caption: str
    columns: tuple[str, ...]
    kind: str
    png: bytes
    width: int
    height: int
    sounds: tuple[tuple[bytes | None, ...], ...] = ()
    """WAV files, row by row, one for each column or None; empty where nothing is heard."""


@dataclass
class Run:
    """One run folder. `name` is its path below the reported folder, for the reader."""

    name: str
    path: Path
    settings: dict[str, Any] = field(default_factory=dict)
    """`run.toml`, flat: `steps`, `rotation.all_four`."""
    records: list[Record] = field(default_factory=list)
    log: list[dict[str, Any]] = field(default_factory=list)
    """Events in order; steps that a resumed run repeated are there once."""
    panels: list[Picture] = field(default_factory=list)
    quarantine: list[tuple[str, str]] | None = None
    """Path and reason of each file put aside; None where there is no list."""
    left_out: dict[str, list[tuple[str, str]]] = field(default_factory=dict)
    """The same of the data of evaluations, by the name of the list's file."""
    asked: list[tuple[str, str | None, int]] = field(default_factory=list)
    """Task, variant and seed of everything that a league here was to compare."""
    notes: list[str] = field(default_factory=list)
    """Sentences on what could not be read."""

    @property
    def task(self) -> str | None:
        """The task that was trained here; None where nothing says so."""
        told = self.settings.get("task")
        if told is None:
            told = next((event.get("task") for event in self.events("start")), None)
        return None if told is None else str(told)

    @property
    def variant(self) -> str | None:
        """How its settings differ from its league's for that task."""
        told = self.settings.get("variant")
        return None if told is None else str(told)

    def events(self, kind: str) -> list[dict[str, Any]]:
        return [event for event in self.log if event.get("kind") == kind]


def read_runs(folder: Path) -> list[Run]:
    """Every run in `folder` and up to three levels below it, in order of their names.

    Raises DataError where there is none.
    """
    if not folder.is_dir():
        raise DataError(f"{folder} is no folder: give a run folder, or a folder that holds some")
    runs = [_read_run(folder, path) for path in _run_folders(folder, DEPTH)]
    if not runs:
        raise DataError(
            f"{folder} holds no run: neither {SETTINGS} nor {RESULTS} nor {LOG} within {DEPTH} "
            "levels; `hotstart pretrain DATA --out FOLDER` makes one"
        )
    return runs


def _run_folders(folder: Path, depth: int) -> Iterator[Path]:
    if any((folder / name).is_file() for name in (SETTINGS, RESULTS, LOG, LEAGUE)):
        yield folder
    if depth:
        for below in sorted(folder.iterdir()):
            hidden = below.name.startswith(".") or below.name in INSIDE_A_RUN
            if below.is_dir() and not hidden:
                yield from _run_folders(below, depth - 1)


def _read_run(root: Path, path: Path) -> Run:
    name = path.name or str(path) if path == root else str(path.relative_to(root))
    run = Run(name, path)
    run.settings = _read_settings(run)
    run.asked = _read_asked(run)
    run.records = _read_records(run)
    run.log = _without_repeats(_read_lines(run, LOG))
    run.panels = list(_read_panels(run))
    if (path / QUARANTINE).is_file():
        run.quarantine = _read_quarantine(path / QUARANTINE)
    run.left_out = {own.name: _read_quarantine(own) for own in sorted(path.glob(LEFT_OUT))}
    return run


def _read_toml(run: Run, file: str) -> dict[str, Any]:
    path = run.path / file
    if not path.is_file():
        return {}
    try:
        return tomllib.loads(path.read_text(encoding="utf-8"))
    except (tomllib.TOMLDecodeError, UnicodeDecodeError, OSError) as error:
        run.notes.append(f"{run.name}: {file} could not be read ({error}).")
        return {}


def _read_asked(run: Run) -> list[tuple[str, str | None, int]]:
    tables = _read_toml(run, LEAGUE)
    told, variants = (
        table if isinstance(table, dict) else {}
        for table in (tables.get("league"), tables.get("variants"))
    )
    tasks, seeds = told.get("tasks", []), told.get("seeds", [])
    if not (isinstance(tasks, list) and isinstance(seeds, list)):
        return []
    everyone = dict.fromkeys([*map(str, tasks), *(("random", "supervised") if tasks else ())])
    return [
        (task, variant, seed)
        for task in everyone
        for variant in (None, *_texts(variants.get(task)))
        for seed in seeds
        if isinstance(seed, int)
    ]


def _texts(told: Any) -> list[str]:
    return list(map(str, told)) if isinstance(told, list) else []


def _read_settings(run: Run) -> dict[str, Any]:
    tables = _read_toml(run, SETTINGS)
    own = tables.pop("run", {})
    flat = dict(own) if isinstance(own, dict) else {}
    if isinstance(flat.get("exclude"), list):  # thousands, which nobody reads
        flat["exclude"] = f"{len(flat['exclude']):,} items"
    flat.update(_flatten(tables.pop("task", {})))
    flat.update(_flatten(tables))
    return flat


def _flatten(table: Any, above: str = "") -> Iterator[tuple[str, Any]]:
    if not isinstance(table, dict):
        yield above, table
        return
    for key, value in table.items():
        yield from _flatten(value, f"{above}.{key}" if above else key)


def _read_lines(run: Run, file: str) -> list[dict[str, Any]]:
    """The JSON objects of a file, one a line; other lines are counted and left out."""
    path = run.path / file
    if not path.is_file():
        return []
    found, bad = [], 0
    for line in path.read_text(encoding="utf-8", errors="replace").split("\n"):
        if not line.strip():
            continue
        try:
            value = json.loads(line)
        except json.JSONDecodeError:
            value = None
        if isinstance(value, dict):
            found.append(value)
        else:
            bad += 1
    if bad:
        run.notes.append(f"{run.name}: {bad} unreadable line(s) of {file} left out.")
    return found


def _read_records(run: Run) -> list[Record]:
    found: list[Record] = []
    bad: Counter[str] = Counter()
    for values in _read_lines(run, RESULTS):
        try:
            record = Record(**values)
        except TypeError as error:
            bad[f"not a record of this version: {error}"] += 1
            continue
        if not (_is_number(record.value) and isinstance(record.seed, int)):
            bad[f"the value of {record.task} is no finite number"] += 1
        elif not (record.variant is None or isinstance(record.variant, str)):
            bad[f"the variant of {record.task} is no text"] += 1
        elif not (record.chance is None or _is_number(record.chance)):
            bad[f"the chance value of {record.task} is no finite number"] += 1
        else:
            found.append(record)
    for reason, times in bad.items():
        run.notes.append(f"{run.name}: {times} line(s) of {RESULTS} left out: {reason}.")
    return found


def _is_number(value: Any) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool) and math.isfinite(value)


def _without_repeats(events: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """What a run resumed from a checkpoint did again replaces what it had done after it."""
    kept: list[dict[str, Any]] = []
    for event in events:
        first = event.get("resumed_at")
        if event.get("kind") == "resume" and _is_number(first):
            kept = [old for old in kept if "step" not in old or old["step"] < first]
        if "step" not in event or _is_number(event["step"]):
            kept.append(event)
    return kept


def _read_panels(run: Run) -> Iterator[Picture]:
    for path in sorted((run.path / PANELS).glob("*.png")):
        if path.stem == MAP:  # thumbnails in a grid, which `map.py` reads
            continue
        png = path.read_bytes()
        if len(png) < 24 or not png.startswith(PNG_START):
            run.notes.append(f"{run.name}: {PANELS}/{path.name} is no PNG file.")
            continue
        told: Any = {}
        words = path.with_suffix(".json")
        if words.is_file():
            try:
                told = json.loads(words.read_text(encoding="utf-8"))
            except (json.JSONDecodeError, UnicodeDecodeError) as error:
                run.notes.append(f"{run.name}: {PANELS}/{words.name} is unreadable ({error}).")
        told = told if isinstance(told, dict) else {}
        yield Picture(
            title=str(told.get("title") or path.stem),
            caption=str(told.get("caption") or ""),
            columns=tuple(str(column) for column in told.get("columns") or ()),
            kind=str(told.get("kind") or "views"),
            png=png,
            width=int.from_bytes(png[16:20], "big"),
            height=int.from_bytes(png[20:24], "big"),
            sounds=tuple(_read_sounds(path.parent, told.get("sounds"))),
        )


def _read_sounds(folder: Path, rows: Any) -> Iterator[tuple[bytes | None, ...]]:
    """The files that a panel names, of its own folder alone; what is not there is silent."""
    for row in rows if isinstance(rows, list) else []:
        names = [Path(str(name)).name if name else "" for name in row]
        paths = [folder / name for name in names]
        yield tuple(
            path.read_bytes() if path.suffix == ".wav" and path.is_file() else None
            for path in paths
        )


def _read_quarantine(path: Path) -> list[tuple[str, str]]:
    with path.open(encoding="utf-8", errors="replace", newline="") as file:
        rows = [row for row in csv.reader(file) if row]
    if rows and rows[0][:2] == ["path", "reason"]:
        rows = rows[1:]
    return [(row[0], row[1] if len(row) > 1 else "no reason given") for row in rows]

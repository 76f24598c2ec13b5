"""The answer for every test item of an evaluation, kept for paired comparisons."""

from __future__ import annotations

from pathlib import Path
from typing import Any
from zipfile import BadZipFile

import numpy as np

from hotstart.downstream.predictions import ClassPredictions, Predictions, kind_of
from hotstart.errors import DataError
from hotstart.league.records import Record

PREDICTIONS = "predictions"


def predictions_path(run: Path, record: Record) -> Path:
    """The file that holds the predictions behind `record`, in the run folder `run`.

    Its name ends in the record's settings hash: one run may be evaluated on several data sets.
    """
    return run / PREDICTIONS / _names(record)[0]


def write_predictions(run: Path, record: Record, predictions: Predictions) -> None:
    """Keep the answers behind `record`; whole or not at all."""
    path = predictions_path(run, record)
    arrays: dict[str, Any] = {**predictions.arrays()}
    path.parent.mkdir(exist_ok=True)
    part = path.with_suffix(".part")
    with part.open("wb") as file:
        np.savez_compressed(file, **arrays)
    part.replace(path)


class Kept:
    """All files of predictions in a folder and two levels below it."""

    def __init__(self, folder: Path) -> None:
        self._paths: dict[str, list[Path]] = {}
        for below in ("", "*/", "*/*/"):
            for path in sorted(folder.glob(f"{below}{PREDICTIONS}/*.npz")):
                self._paths.setdefault(path.name, []).append(path)

    def find(self, record: Record) -> tuple[Path, Predictions] | None:
        """The file behind `record` and what `load_predictions` reads; None where there is none."""
        for path in (path for name in _names(record) for path in self._paths.get(name, [])):
            try:
                return path, _read(path, record)
            except DataError:  # another run's of the same, older name
                continue
        return None


def find_predictions(run: Path, record: Record) -> Path | None:
    """The file of `record`'s predictions; None where there is none. Older names are found too."""
    candidates = (run / PREDICTIONS / name for name in _names(record))
    return next((path for path in candidates if path.is_file()), None)


def load_predictions(run: Path, record: Record) -> Predictions:
    """The answer for each test item behind `record`, of the kind that tells its metric.

    Items are in the order of their hashes, so two records whose hashes are equal are aligned.
    Raises DataError where the predictions are missing, unreadable or another record's.
    """
    path = find_predictions(run, record)
    if path is None:
        raise DataError(f"{run / PREDICTIONS} has no predictions of {' '.join(_parts(record))}")
    return _read(path, record)


def _read(path: Path, record: Record) -> Predictions:
    kind = kind_of(record.metric)
    try:
        with np.load(path, allow_pickle=False) as file:
            found = kind.of(file).by_hash()
    except (OSError, ValueError, KeyError, IndexError, EOFError, BadZipFile) as error:
        raise DataError(f"{path}: predictions cannot be read ({error})") from None
    value = found.value(record.metric)
    if record.metric in kind.metrics and abs(value - record.value) > 1e-6:
        told = "of its answers are right" if isinstance(found, ClassPredictions) else record.metric
        raise DataError(
            f"{path}: {value:.4f} {told}, the record says {record.value:.4f}; these are another "
            "measurement's predictions"
        )
    return found


def _parts(record: Record) -> list[str]:
    labels = None if record.labels is None else f"{record.labels:g}"
    named = (record.task, record.downstream, record.protocol, record.stage)
    # One file serves every metric that its kind of answers can tell.
    metric = "" if record.metric in kind_of(record.metric).metrics else record.metric
    return [str(part) for part in (*named, labels, record.split, record.seed, metric)]


def _names(record: Record) -> tuple[str, str]:
    """Safe names, for what comes from data never becomes a path: ours, and the older one."""
    named = "-".join(part for part in _parts(record) if part)
    names = (f"{named}-{record.settings_hash[:8]}", named)
    safe = ("".join(c if c.isalnum() or c in "-._" else "_" for c in name) for name in names)
    one, older = (f"{name}.npz" for name in safe)
    return one, older

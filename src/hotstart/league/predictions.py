"""The answer for every test item of an evaluation, kept for paired comparisons."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import numpy.typing as npt

from hotstart.errors import DataError
from hotstart.league.records import Record

PREDICTIONS = "predictions"
Hashes = npt.NDArray[np.uint64]
Int64s = npt.NDArray[np.int64]
Bools = npt.NDArray[np.bool_]


def predictions_path(run: Path, record: Record) -> Path:
    """The file that holds the predictions behind `record`, in the run folder `run`.

    Its name ends in the record's settings hash: one run may be evaluated on several data sets.
    """
    return run / PREDICTIONS / _names(record)[0]


def write_predictions(
    run: Path, record: Record, hashes: Hashes, labels: Int64s, predicted: Int64s
) -> None:
    """Keep content hash, label and answer of each item, each (N,); whole or not at all."""
    path = predictions_path(run, record)
    path.parent.mkdir(exist_ok=True)
    part = path.with_suffix(".part")
    with part.open("wb") as file:
        np.savez_compressed(file, hashes=hashes, labels=labels, predicted=predicted)
    part.replace(path)


class Kept:
    """All files of predictions in a folder and two levels below it."""

    def __init__(self, folder: Path) -> None:
        self._paths: dict[str, list[Path]] = {}
        for below in ("", "*/", "*/*/"):
            for path in sorted(folder.glob(f"{below}{PREDICTIONS}/*.npz")):
                self._paths.setdefault(path.name, []).append(path)

    def right(self, record: Record) -> tuple[Path, Hashes, Bools] | None:
        """The file behind `record` and what `load_right` reads there; None where there is none."""
        for path in (path for name in _names(record) for path in self._paths.get(name, [])):
            try:
                return path, *_read_right(path, record)
            except DataError:  # another run's of the same, older name
                continue
        return None


def find_predictions(run: Path, record: Record) -> Path | None:
    """The file of `record`'s predictions; None where there is none. Older names are found too."""
    candidates = (run / PREDICTIONS / name for name in _names(record))
    return next((path for path in candidates if path.is_file()), None)


def load_right(run: Path, record: Record) -> tuple[Hashes, Bools]:
    """Content hash, uint64 (N,), and right or not, bool (N,), of each test item behind `record`.

    Items are in the order of their hashes, so two records whose hashes are equal are aligned.
    Raises DataError where the predictions are missing, unreadable or another record's.
    """
    path = find_predictions(run, record)
    if path is None:
        raise DataError(f"{run / PREDICTIONS} has no predictions of {' '.join(_parts(record))}")
    return _read_right(path, record)


def _read_right(path: Path, record: Record) -> tuple[Hashes, Bools]:
    try:
        with np.load(path, allow_pickle=False) as file:
            hashes, labels, predicted = (file[key] for key in ("hashes", "labels", "predicted"))
    except (OSError, ValueError, KeyError) as error:
        raise DataError(f"{path}: predictions cannot be read ({error})") from None
    order = np.argsort(hashes, kind="stable")
    right = (predicted == labels)[order]
    if record.metric == "top1" and abs(right.mean() - record.value) > 1e-6:
        raise DataError(
            f"{path}: {right.mean():.4f} of its answers are right, the record says "
            f"{record.value:.4f}; these are another measurement's predictions"
        )
    return hashes[order], right


def _parts(record: Record) -> list[str]:
    labels = None if record.labels is None else f"{record.labels:g}"
    named = (record.task, record.downstream, record.protocol, record.stage)
    return [str(part) for part in (*named, labels, record.split, record.seed)]


def _names(record: Record) -> tuple[str, str]:
    """Safe names, for what comes from data never becomes a path: ours, and the older one."""
    named = "-".join(part for part in _parts(record) if part)
    names = (f"{named}-{record.settings_hash[:8]}", named)
    safe = ("".join(c if c.isalnum() or c in "-._" else "_" for c in name) for name in names)
    one, older = (f"{name}.npz" for name in safe)
    return one, older

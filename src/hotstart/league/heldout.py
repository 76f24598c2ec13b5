"""What a run was not trained on, told by content: the same whatever name its data have today."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import numpy.typing as npt

from hotstart.data import Dataset
from hotstart.data.leaks import read_hashes, write_hashes
from hotstart.errors import DataError
from hotstart.training.folder import HELDOUT

OWN = 0.5
"""Data that hold at least this share of what a run held out are its own: some may have gone."""


def write_heldout(run: Path, hashes: npt.NDArray[np.uint64]) -> None:
    """`heldout.txt`: the content hash of each item held out, 16 hexadecimal digits a line."""
    part = run / (HELDOUT + ".part")
    part.write_text("".join(f"{word}\n" for word in write_hashes(hashes)), encoding="ascii")
    part.replace(run / HELDOUT)


def heldout_in(run: Path, dataset: Dataset) -> npt.NDArray[np.int64] | None:
    """Positions in `dataset` of what `run` held out; None where these are not its own data.

    Int64 (n,), in the order of their hashes, as a run scores them. Labels, groups and the place of
    the files do not matter.

    Raises DataError where the run does not tell what it held out, or held nothing out.
    """
    kept = _read(run)
    if np.isin(kept, dataset.hashes).mean() < OWN:
        return None
    items = np.flatnonzero(np.isin(dataset.hashes, kept)).astype(np.int64)
    return items[np.argsort(dataset.hashes[items], kind="stable")]


def _read(run: Path) -> npt.NDArray[np.uint64]:
    path = run / HELDOUT
    again = f"`hotstart pretrain --resume {run}` writes it anew"
    try:
        kept = read_hashes(path.read_text(encoding="ascii").split())
    except FileNotFoundError:
        raise DataError(
            f"{path} is missing, so what the run was not trained on is not known; {again}"
        ) from None
    except (ValueError, OverflowError):
        raise DataError(f"{path}: not one hexadecimal number a line; {again}") from None
    if not len(kept):
        raise DataError(
            f"{run} held nothing out ({HELDOUT} is empty), so whether data are new to it is not "
            "known; train it on more data, or with a --group of smaller groups"
        )
    return kept

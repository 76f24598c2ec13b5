"""What a run was trained on, told by content, so that nothing of it is asked in a test."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from hotstart.data import Dataset
from hotstart.data.splits import Hashes
from hotstart.errors import DataError
from hotstart.training.folder import TRAINED_ON

SHOWN = 3


def write_trained_on(run: Path, hashes: Hashes) -> None:
    """`trained_on.npy`: the content hashes, uint64 (M,), each once, ascending."""
    part = run / (TRAINED_ON + ".part")
    with part.open("wb") as file:
        np.save(file, np.unique(hashes))
    part.replace(run / TRAINED_ON)


def check_trained_on(run: Path, dataset: Dataset, *, allowed: bool) -> None:
    """Raise DataError where `run` was trained on labelled items of the test split of `dataset`.

    Where that is allowed, note how many. Of a run that does not tell, nothing is known.
    """
    try:
        hashes = np.load(run / TRAINED_ON)
    except (OSError, ValueError):
        return
    test = dataset.indices("test")
    test = test[dataset.labels[test] >= 0]
    seen = test[np.isin(dataset.hashes[test], hashes)]
    noun = "pictures" if dataset.stretches is None else "videos"
    found = f"{len(seen)} of the {len(test)} {noun} of its test split were pretrained on by {run}"
    if len(seen) and allowed:
        dataset.notes += (f"warning: {found}: the score counts what was learnt of them by heart",)
    elif len(seen):
        shown = ", ".join(dataset.path(int(item)) for item in seen[:SHOWN])
        more = f", and {len(seen) - SHOWN} more" if len(seen) > SHOWN else ""
        raise DataError(
            f"{dataset.name}: {found}, so that the score would count what was learnt by heart: "
            f"{shown}{more}; pretrain without them, as `hotstart compare` does with whatever its "
            "--on holds, give --split val, or say --allow-leak"
        )

"""Which pictures a task is trained on, and which are held out."""

from __future__ import annotations

import numpy as np

from hotstart.data import Dataset, pretraining_split
from hotstart.errors import DataError
from hotstart.pretext.registry import task_class
from hotstart.training.loop import Material

LEAST_PICTURES = 8
FEWER_FRAMES = (
    ", which may be pieces of long ones: frames:FOLDER?frames=20 cuts folders of frames into such, "
    "a lower number into more"
)


def material_of(task: str, dataset: Dataset) -> Material:
    """What may be trained on; the controls that read labels keep to the labelled train split."""
    cls = task_class(task)
    for key in cls.needs:
        if key not in dataset.keys:
            raise DataError(
                f"{task} needs {key!r}, which {dataset.name} does not have; "
                f"it has {', '.join(sorted(dataset.keys))}{dataset.hint((key,))}"
            )
    train_items, heldout = pretraining_split(dataset, dataset.excluded)
    there = np.flatnonzero(dataset.having(cls.needs))
    train_items, heldout = np.intersect1d(train_items, there), np.intersect1d(heldout, there)
    if cls.uses_labels:
        usable = np.intersect1d(dataset.indices("train"), np.flatnonzero(dataset.labels >= 0))
        train_items, heldout = np.intersect1d(train_items, usable), np.intersect1d(heldout, usable)
    if len(train_items) < LEAST_PICTURES:
        videos = dataset.stretches is not None
        left_out = int(np.isin(dataset.hashes, dataset.excluded).sum())
        raise DataError(
            f"{dataset.name}: {len(train_items)} readable {'videos' if videos else 'pictures'} to "
            f"train on, at least {LEAST_PICTURES} are needed{FEWER_FRAMES * videos}"
            + (f"; {left_out} are left out, being in another test split" if left_out else "")
        )
    # Data come class by class; in the order of their hashes every batch holds a bit of everything.
    heldout = heldout[np.argsort(dataset.hashes[heldout], kind="stable")]
    return Material(dataset, train_items, heldout)

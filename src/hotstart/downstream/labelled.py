"""A labelled set as a downstream task sees it: which items are learnt from, and which are asked."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, get_args

import numpy as np
import numpy.typing as npt
from torch import Tensor

from hotstart.config import Protocol, Split
from hotstart.data.dataset import Dataset
from hotstart.downstream.predictions import ClassPredictions
from hotstart.downstream.subsets import inner_folds, label_subset
from hotstart.errors import DataError, UsageError

Int64s = npt.NDArray[np.int64]


@dataclass(frozen=True)
class Labelled:
    """Which items are learnt from and which are asked."""

    dataset: Dataset
    split: Split
    train: Int64s
    asked: Int64s
    detail: dict[str, Any]

    @property
    def classes(self) -> int:
        return len(self.dataset.classes)

    @property
    def watched(self) -> Int64s:
        """Items on which training may be watched: a test split is asked once, at the end."""
        return self.asked if self.split == "val" else labelled_items(self.dataset, "val")

    @property
    def truth(self) -> Int64s:
        return self.dataset.labels[self.asked]

    @property
    def chance(self) -> float:
        return float(np.bincount(self.truth).max() / len(self.truth))

    def subset(self, fraction: float, seed: int) -> Int64s:
        """Items (n,) whose labels may be used: a share of the training items."""
        labels, hashes = self.dataset.labels[self.train], self.dataset.hashes[self.train]
        return self.train[label_subset(labels, hashes, fraction, seed)]

    def folds(self, items: Int64s, seed: int) -> list[Int64s]:
        data = self.dataset
        return inner_folds(data.labels[items], data.hashes[items], data.groups[items], seed)

    def predictions(self, predicted: Tensor) -> ClassPredictions:
        answer = predicted.cpu().numpy().astype(np.int64)
        return ClassPredictions(self.dataset.hashes[self.asked], self.truth, answer)


def labelled(
    dataset: Dataset, split: Split, protocols: Sequence[str], fractions: Sequence[float]
) -> Labelled:
    """Check what is asked against what the data has.

    Raises UsageError for an argument that is not allowed, DataError for data without labels, with
    fewer than two classes, or with a class to be recognised that has no training example.
    """
    for name, value, allowed in (
        *(("protocol", protocol, get_args(Protocol)) for protocol in protocols),
        ("split", split, get_args(Split)),
    ):
        if value not in allowed:
            raise UsageError(f"{name} {value!r}: the choice is {', '.join(allowed)}")
    for fraction in fractions:
        if not 0 < fraction <= 1:
            raise UsageError(f"label share {fraction:g}: give shares above 0 and up to 1 (100%)")
    if not protocols or not fractions:
        raise UsageError("nothing to do: give at least one protocol and one share of the labels")
    found = dataset.labels
    noun = "picture" if dataset.stretches is None else "video"
    if not (found >= 0).any():
        raise DataError(
            f"{dataset.name} has no labels, so nothing can be classified; put the {noun}s into "
            "one folder per class, or give a table of paths with --label COLUMN, or tar shards "
            "with a cls in each sample"
        )
    train, asked = (labelled_items(dataset, part) for part in ("train", split))
    for part, items in (("train", train), (split, asked)):
        if not len(items):
            raise DataError(
                f"{dataset.name}: no labelled {noun} in its {part} split; "
                f"give more {noun}s, or another cut into train, val and test"
            )
    learnt = np.unique(found[train])
    if len(learnt) < 2:
        raise DataError(
            f"{dataset.name}: its train split has one class only, "
            f"{dataset.classes[learnt[0]]!r}; two or more are needed"
        )
    unseen = np.setdiff1d(found[asked], found[train])
    if len(unseen):
        names = ", ".join(repr(dataset.classes[label]) for label in unseen[:5])
        raise DataError(
            f"{dataset.name}: {len(unseen)} of {len(dataset.classes)} classes are asked in the "
            f"{split} split but have no example in train: {names}; add some, or remove the class"
        )
    missing = np.setdiff1d(np.arange(len(dataset.classes)), found[asked])
    detail = {"classes_not_asked": [dataset.classes[label] for label in missing]}
    return Labelled(dataset, split, train, asked, detail if len(missing) else {})


def labelled_items(dataset: Dataset, split: str) -> Int64s:
    """Items (n,) of the split that have a label."""
    items = dataset.indices(split)
    return items[dataset.labels[items] >= 0]

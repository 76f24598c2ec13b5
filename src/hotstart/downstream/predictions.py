"""The answer for every item of the reported split, and the metric over any choice of the items.

A metric of a set (mean IoU, average precision) is no mean over items, so that an interval needs
more of each item than whether it was right. What is kept of an item is what the metric adds up.
This file knows no torch: reports read it.
"""

from __future__ import annotations

import hashlib
from abc import ABC, abstractmethod
from collections.abc import Mapping
from dataclasses import dataclass, fields, replace
from typing import Any, ClassVar, Self

import numpy as np
import numpy.typing as npt

Hashes = npt.NDArray[np.uint64]
Int64s = npt.NDArray[np.int64]
Floats = npt.NDArray[np.float64]
NUMBERS_AT_ONCE = 1 << 22
RECALLS = np.linspace(0, 1, 101)
"""COCO's, at which precision is read off."""


@dataclass(frozen=True)
class Predictions(ABC):
    """What was answered for N items. Every field is an array, and is kept in a file by its name.

    hashes: uint64 (N,), the items' content hashes
    """

    metrics: ClassVar[tuple[str, ...]]
    """Those that `values` can tell."""
    draws: ClassVar[int] = 10_000
    """Of a bootstrap; fewer where a draw is dear."""

    hashes: Hashes

    @abstractmethod
    def values(self, metric: str, counts: Int64s) -> Floats:
        """The metric over the items, item i taken counts[d, i] times: (D,) for counts (D, N).

        All items once, `counts` of one row of ones, is the reported value.
        """

    def value(self, metric: str) -> float:
        """The metric over all items."""
        return float(self.values(metric, np.ones((1, len(self.hashes)), np.int64))[0])

    def by_hash(self) -> Self:
        """The same with the items in the order of their hashes; every field has N rows."""
        order = np.argsort(self.hashes, kind="stable")
        return replace(self, **{name: array[order] for name, array in self.arrays().items()})

    def arrays(self) -> dict[str, npt.NDArray[Any]]:
        """Every field by its name."""
        return {field.name: getattr(self, field.name) for field in fields(self)}

    @classmethod
    def of(cls, arrays: Mapping[str, npt.NDArray[Any]]) -> Self:
        """From what `arrays` gave. Raises KeyError where a field is missing."""
        return cls(**{field.name: arrays[field.name] for field in fields(cls)})


@dataclass(frozen=True)
class ClassPredictions(Predictions):
    """One class for each item.

    labels, predicted: int64 (N,)
    """

    metrics: ClassVar[tuple[str, ...]] = ("top1",)

    labels: Int64s
    predicted: Int64s

    @property
    def right(self) -> npt.NDArray[np.bool_]:
        """Bool (N,): whether the prediction is the label."""
        same: npt.NDArray[np.bool_] = self.predicted == self.labels
        return same

    @property
    def accuracy(self) -> float:
        """Share of items whose prediction is their label."""
        return float(np.mean(self.right))

    def values(self, metric: str, counts: Int64s) -> Floats:
        """Share of the items taken that are right."""
        share: Floats = counts @ self.right / counts.sum(axis=1)
        return share


@dataclass(frozen=True)
class MaskPredictions(Predictions):
    """A class for every pixel of each item, as counts of pixels; those to be ignored left out.

    both, truth, predicted: int64 (N, K): pixels of item i that are of class k in truth and in the
        prediction, in truth, in the prediction
    """

    metrics: ClassVar[tuple[str, ...]] = ("miou", "pixel_accuracy")

    both: Int64s
    truth: Int64s
    predicted: Int64s

    def iou(self, counts: Int64s) -> Floats:
        """Intersection over union of each class, (D, K); NaN for one that is nowhere.

        Pixels of all items are added up before the division (Everingham 2015, PASCAL VOC).
        """
        # Counts of pixels stay below 2^53: sums in float64 are exact, and faster than of integers.
        taken = counts.astype(np.float64)
        both, truth, predicted = (taken @ part for part in (self.both, self.truth, self.predicted))
        union = truth + predicted - both
        return np.divide(both, union, out=np.full_like(both, np.nan), where=union > 0)

    def values(self, metric: str, counts: Int64s) -> Floats:
        """Mean IoU over the classes that are in truth or prediction; or share of right pixels."""
        if metric == "pixel_accuracy":
            taken = counts.astype(np.float64)
            right, all_ = taken @ self.both.sum(axis=1), taken @ self.truth.sum(axis=1)
            share: Floats = right / np.maximum(all_, 1)
            return share
        iou = self.iou(counts)
        seen = np.isfinite(iou)
        mean: Floats = np.where(seen, iou, 0).sum(axis=1) / np.maximum(seen.sum(axis=1), 1)
        return mean


@dataclass(frozen=True)
class BoxPredictions(Predictions):
    """Boxes with a class and a score in each item, and whether each found an object.

    Up to D boxes of an item, the surest first. boxes: float32 (N, D, 4) in shares of the picture;
    scores: float32 (N, D); classes: int64 (N, D), -1 where there are fewer
    found, ignored: bool (N, D, 10): at each overlap of 0.5, 0.55, ..., 0.95, whether it found an
        object, or one that is to be ignored, and so counts neither as right nor as wrong
    asked: int64 (N, K): objects of each class, ignored ones aside
    """

    metrics: ClassVar[tuple[str, ...]] = ("ap", "ap50", "ap75")
    draws: ClassVar[int] = 1_000

    boxes: npt.NDArray[np.float32]
    scores: npt.NDArray[np.float32]
    classes: Int64s
    found: npt.NDArray[np.bool_]
    ignored: npt.NDArray[np.bool_]
    asked: Int64s

    def values(self, metric: str, counts: Int64s) -> Floats:
        """Mean over overlaps and classes that are asked; 0 where none is."""
        # Every comparison of a report draws the same items again: each draw is computed once.
        known: dict[tuple[str, bytes], Floats] = self.__dict__.setdefault("_known", {})
        asked = (metric, hashlib.blake2b(np.ascontiguousarray(counts).data).digest())
        if asked not in known:
            overlaps = {"ap": slice(None), "ap50": slice(0, 1), "ap75": slice(5, 6)}[metric]
            each = self.by_class(counts, overlaps)
            seen = np.isfinite(each)
            mean: Floats = np.where(seen, each, 0).sum(axis=1) / np.maximum(seen.sum(axis=1), 1)
            known[asked] = mean
        return known[asked]

    def by_class(self, counts: Int64s, overlaps: slice = slice(None)) -> Floats:
        """COCO's average precision of each class, (D, K); NaN for one of which no object is asked.

        The mean, over recalls of 0, 0.01, ..., 1, of the best precision at that recall or above
        (`COCOeval.accumulate`), then over the overlaps.
        """
        result = np.full((len(counts), self.asked.shape[1]), np.nan)
        for k in range(self.asked.shape[1]):
            items, places = np.nonzero(self.classes == k)
            order = np.argsort(-self.scores[items, places], kind="mergesort")
            items, places = items[order], places[order]
            counted = ~self.ignored[items, places, overlaps]
            right = self.found[items, places, overlaps] & counted
            at_once = max(1, NUMBERS_AT_ONCE // max(1, len(items)))
            for first in range(0, len(counts), at_once):
                rows = slice(first, first + at_once)
                asked = counts[rows] @ self.asked[:, k]
                found = _average_precision(right, counted, counts[rows][:, items], asked)
                result[rows, k] = np.where(asked > 0, found, np.nan)
        return result


def _average_precision(
    right: npt.NDArray[np.bool_], counted: npt.NDArray[np.bool_], taken: Int64s, asked: Int64s
) -> Floats:
    """Mean over overlaps T, (D,). right, counted: (n, T), the surest first.

    taken: (D, n), how often each answer's item was drawn; asked: (D,), objects drawn
    """
    total = np.zeros(len(taken))
    everything = np.cumsum(taken, axis=1, dtype=np.float64)
    for t in range(right.shape[1]):
        # Between two right answers precision only falls: the best is at one of them.
        at = np.flatnonzero(right[:, t])
        all_ = everything
        if not counted[:, t].all():
            all_ = np.cumsum(taken * counted[:, t], axis=1, dtype=np.float64)
        hits = np.cumsum(taken[:, at], axis=1, dtype=np.float64)
        precision = hits / (all_[:, at] + np.spacing(1))
        best = np.maximum.accumulate(precision[:, ::-1], axis=1)[:, ::-1]
        recall = hits / np.maximum(asked, 1)[:, None]
        for d in range(len(taken)):
            reached = np.searchsorted(recall[d], RECALLS, side="left")
            total[d] += best[d, reached[reached < len(at)]].sum() / len(RECALLS)
    mean: Floats = total / right.shape[1]
    return mean


KINDS: tuple[type[Predictions], ...] = (ClassPredictions, MaskPredictions, BoxPredictions)


def kind_of(metric: str) -> type[Predictions]:
    """What keeps the answers behind a record of `metric`; classes, where no other kind knows it."""
    return next((kind for kind in KINDS if metric in kind.metrics), ClassPredictions)

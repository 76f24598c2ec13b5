"""What is asked of a data set with label maps, checked before anything is computed."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, get_args

import numpy as np
import numpy.typing as npt

from hotstart.config import Protocol, Split
from hotstart.data.dataset import Dataset
from hotstart.data.masked import MaskedDataset
from hotstart.downstream.predictions import MaskPredictions
from hotstart.downstream.subsets import inner_folds, label_subset
from hotstart.encoders.encoder import Encoder
from hotstart.errors import DataError, UsageError

Int64s = npt.NDArray[np.int64]
ALLOWED: tuple[Protocol, ...] = ("linear", "finetune", "scratch")


@dataclass(frozen=True)
class SegmentTask:
    """Which pictures are learnt from and which are asked."""

    dataset: MaskedDataset
    train: Int64s
    asked: Int64s

    def subset(self, fraction: float, seed: int) -> Int64s:
        """Pictures (n,) whose label maps may be used."""
        alike = np.zeros(len(self.train), np.int64)
        return self.train[label_subset(alike, self.dataset.hashes[self.train], fraction, seed)]

    def folds(self, items: Int64s, seed: int) -> list[Int64s]:
        """Parts of `items` on which settings are chosen."""
        data = self.dataset
        alike = np.zeros(len(items), np.int64)
        return inner_folds(alike, data.hashes[items], data.groups[items], seed)

    def described(self, found: MaskPredictions) -> dict[str, Any]:
        """What a record tells beside its value."""
        each = found.iou(np.ones((1, len(found.hashes)), np.int64))[0]
        return {
            "left_out": len(self.dataset.quarantine),
            "pixel_accuracy": found.value("pixel_accuracy"),
            "iou": {
                name: None if np.isnan(value) else float(value)
                for name, value in zip(self.dataset.mask_classes, each, strict=True)
            },
        }


def prepare(
    encoder: Encoder,
    dataset: Dataset,
    split: Split,
    protocols: Sequence[str],
    fractions: Sequence[float],
) -> SegmentTask:
    """Check what is asked against what encoder and data have."""
    if not isinstance(dataset, MaskedDataset):
        raise DataError(f"{dataset.name} has no label maps, so nothing can be segmented")
    if encoder.kind not in ("cnn", "vit"):
        raise UsageError(
            f"{encoder.spec.name} has no maps of pictures, so --on segment cannot be asked of it; "
            "give a CNN or a ViT"
        )
    for name, value, allowed in (
        *(("protocol", protocol, get_args(Protocol)) for protocol in protocols),
        ("split", split, get_args(Split)),
    ):
        if value not in allowed:
            raise UsageError(f"{name} {value!r}: the choice is {', '.join(allowed)}")
    if not set(protocols) & set(ALLOWED) or not fractions:
        raise UsageError(f"--on segment is measured by {', '.join(ALLOWED)}; give one of them")
    for fraction in fractions:
        if not 0 < fraction <= 1:
            raise UsageError(f"label share {fraction:g}: give shares above 0 and up to 1 (100%)")
    train, asked = dataset.indices("train"), dataset.indices(split)
    for part, items in (("train", train), (split, asked)):
        if not len(items):
            raise DataError(
                f"{dataset.name}: no picture with a label map in its {part} split; give more "
                "pictures, or another cut into train, val and test"
            )
    pixels = dataset.pixels
    unseen = np.flatnonzero((pixels[asked].sum(axis=0) > 0) & (pixels[train].sum(axis=0) == 0))
    if len(unseen):
        names = ", ".join(repr(dataset.mask_classes[k]) for k in unseen[:5])
        raise DataError(
            f"{dataset.name}: {len(unseen)} classes are asked in the {split} split but have no "
            f"example in train: {names}; add some, or ignore them (--ignore-index)"
        )
    return SegmentTask(dataset, train, asked)

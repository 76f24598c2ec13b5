"""Whole pictures with their label maps: how they are read, and how an answer is counted."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence

import numpy as np
import numpy.typing as npt
import torch
import torch.nn.functional as F
from torch import Tensor
from torchmetrics.functional.classification import multiclass_confusion_matrix

from hotstart.data.label_maps import IGNORED
from hotstart.data.loader import Loader
from hotstart.data.masked import MaskedDataset
from hotstart.downstream.outcome import Progress
from hotstart.downstream.predictions import MaskPredictions
from hotstart.encoders.encoder import Encoder

Int64s = npt.NDArray[np.int64]
AT_ONCE = 8
"""Pictures; those of one size go through the encoder together."""

Read = Callable[[Tensor, tuple[int, int]], Sequence[Tensor]]
"""Images (B, 3, h, w) and the size (H, W) of their label maps -> one or more answers, each int64
(B, H, W)."""


def coarsest_stride(encoder: Encoder) -> int:
    """Pixels that the sides of a picture must be a multiple of, for every map to fit it."""
    return max(encoder.stage_strides)


def whole_pictures(
    dataset: MaskedDataset, items: Int64s, multiple: int, device: torch.device
) -> Iterator[tuple[Int64s, Tensor, Tensor]]:
    """Places in `items`, pictures float (B, 3, h, w) in 0..1, label maps int64 (B, H, W).

    A picture keeps its shape, but for its sides being rounded to a multiple of `multiple`; label
    maps keep their own resolution. Pictures of a batch that differ in size come one size at a time.
    """
    begun = 0
    for batch in Loader(dataset, frozenset({"image", "mask"}), items, AT_ONCE, drop_last=False):
        pictures, maps = batch["image"], batch["mask"].maps
        alike: dict[tuple[int, ...], list[int]] = {}
        for row in range(len(maps)):
            size = (int(pictures.heights[row]), int(pictures.widths[row]), *maps[row].shape)
            alike.setdefault(size, []).append(row)
        for size, rows in alike.items():
            images = torch.stack([pictures[row] for row in rows]).to(device)
            images = images.permute(0, 3, 1, 2).float() / 255
            sides = tuple(max(round(side / multiple), 1) * multiple for side in size[:2])
            if sides != size[:2]:
                images = F.interpolate(images, sides, mode="bilinear", antialias=True)
            labels = torch.stack([maps[row] for row in rows]).to(device).long()
            yield begun + np.array(rows), images, labels
        begun += len(maps)


def upsampled(maps: Tensor, size: tuple[int, int]) -> Tensor:
    """(B, K, h, w) -> (B, K, H, W), bilinear."""
    return F.interpolate(maps, size, mode="bilinear", align_corners=False)


def answer(
    read: Read,
    answers: int,
    dataset: MaskedDataset,
    items: Int64s,
    multiple: int,
    device: torch.device,
    progress: Callable[[int], None] | None = None,
) -> list[MaskPredictions]:
    """What `read` says of each item, counted in the resolution of its label map.

    answers: how many answers `read` gives for each picture
    """
    classes = len(dataset.mask_classes)
    counts = np.zeros((answers, 3, len(items), classes), np.int64)
    done = 0
    for places, images, labels in whole_pictures(dataset, items, multiple, device):
        for number, said in enumerate(read(images, (labels.shape[1], labels.shape[2]))):
            for place, predicted, truth in zip(places, said, labels, strict=True):
                counts[number, :, place] = count_pixels(predicted, truth, classes)
        done += len(places)
        if progress is not None:
            progress(done)
    return [MaskPredictions(dataset.hashes[items], *parts) for parts in counts]


def count_pixels(predicted: Tensor, truth: Tensor, classes: int) -> npt.NDArray[np.int64]:
    """Int64 (3, K): pixels of each class in both, in truth, in the prediction; 255 is left out."""
    table = multiclass_confusion_matrix(
        predicted, truth, num_classes=classes, ignore_index=IGNORED, validate_args=False
    )
    told = torch.stack([table.diagonal(), table.sum(dim=1), table.sum(dim=0)])
    return np.asarray(told.cpu().numpy(), dtype=np.int64)


def best_constant(dataset: MaskedDataset, items: Int64s) -> float:
    """Mean IoU of the best constant answer: one class for every pixel."""
    pixels = dataset.pixels[items].sum(axis=0)
    return float(pixels.max() / pixels.sum() / (pixels > 0).sum())


def counting(progress: Progress | None, name: str, total: int) -> Callable[[int], None] | None:
    """A listener for `answer`."""
    return None if progress is None else lambda done: progress(name, done, total)

"""Features of a frozen encoder: computed once, then shared by every protocol that reads them."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor, nn
from torch.nn.modules.batchnorm import _BatchNorm

from hotstart.data.dataset import Dataset
from hotstart.downstream.outcome import Progress, Stage
from hotstart.downstream.reading import Reading, reading_of
from hotstart.encoders.encoder import Encoder


@dataclass(frozen=True)
class Features:
    """Features of N items, float32, in main memory.

    last: (N, D), the encoder's `h`
    stages: (N, C_s) for each stage from the input to the last, its map averaged over all positions
    """

    last: Tensor
    stages: tuple[Tensor, ...] = ()

    def __len__(self) -> int:
        return len(self.last)

    def select(self, rows: Tensor) -> Features:
        """The given rows, in that order."""
        return Features(self.last[rows], tuple(stage[rows] for stage in self.stages))

    def named(self) -> Iterator[tuple[Stage, Tensor]]:
        """`("last", h)`, then `(1, ...)`, `(2, ...)`, ... for the stages."""
        yield "last", self.last
        yield from enumerate(self.stages, start=1)


@dataclass(frozen=True)
class Standardiser:
    """Shift and scale each feature to mean 0 and deviation 1 over the items it was fitted on."""

    mean: Tensor
    scale: Tensor

    @classmethod
    def fit(cls, features: Tensor) -> Standardiser:
        """features: (N, D). A feature that does not vary becomes 0 everywhere."""
        deviation, mean = torch.std_mean(features, dim=0, correction=0)
        varies = deviation > 1e-6 * mean.abs().clamp_min(1e-6)
        return cls(mean, torch.where(varies, 1 / deviation.clamp_min(1e-30), 0.0))

    def __call__(self, features: Tensor) -> Tensor:
        return (features - self.mean) * self.scale


@contextmanager
def evaluating(module: nn.Module) -> Iterator[None]:
    """`module` in evaluation mode; afterwards each part is in the mode it was in before."""
    modes = [(part, part.training) for part in module.modules()]
    module.eval()
    try:
        yield
    finally:
        for part, training in modes:
            part.training = training


def extract(
    encoder: Encoder,
    dataset: Dataset,
    indices: npt.NDArray[np.int64],
    *,
    device: torch.device,
    stages: bool = True,
    reading: Reading | None = None,
    progress: Progress | None = None,
) -> Features:
    """Features of the items `indices`, in that order, at the encoder's own picture size.

    reading: how it reads them; None is `reading_of`. Features are the mean over the views of an
    item.

    The encoder is on `device`. It runs in evaluation mode and is left bit for bit as it was.
    """
    size = len(indices)
    reading = reading or reading_of(encoder, dataset)
    last = torch.empty(size, encoder.dim)
    pooled = [torch.empty(size, dim) for dim in encoder.stage_dims] if stages else []
    done = 0
    with evaluating(encoder), torch.inference_mode():
        for views in reading.views(dataset, indices, encoder.spec.size, device):
            rows = slice(done, done + len(views) // reading.views_each)
            if stages:
                h, maps = encoder.forward_stages(views)
                for kept, stage in zip(pooled, maps, strict=True):
                    kept[rows] = _over_views(stage.mean(tuple(range(2, stage.ndim))), reading)
            else:
                h = encoder(views)
            last[rows] = _over_views(h, reading)
            done = rows.stop
            if progress is not None:
                progress("features", done, size)
    return Features(last, tuple(pooled))


def _over_views(features: Tensor, reading: Reading) -> Tensor:
    """(items x views, D) -> (items, D)."""
    mean: Tensor = features.unflatten(0, (-1, reading.views_each)).mean(1)
    return mean


def recalibrate_batchnorm(
    encoder: Encoder, dataset: Dataset, indices: npt.NDArray[np.int64]
) -> None:
    """Re-estimate the statistics of every batch normalisation on the items `indices`, in place.

    The statistics become the mean over batches of evaluation views, in the order given; nothing is
    drawn at random. A freshly initialised network needs this to be a fair control: its statistics
    are those of no data at all. Every other part runs as in evaluation.
    """
    norms = [part for part in encoder.modules() if isinstance(part, _BatchNorm)]
    if not norms:
        return
    momenta = [norm.momentum for norm in norms]
    reading = reading_of(encoder, dataset)
    views = reading.views(
        # Equal batches, so that the mean of their means is the mean of the pictures.
        dataset,
        indices,
        encoder.spec.size,
        encoder.mean.device,
        drop_last=len(indices) * reading.windows >= reading.batch_size,
    )
    with evaluating(encoder), torch.no_grad():
        for norm in norms:
            norm.reset_running_stats()
            norm.momentum = None  # torch's name for a cumulative average
            norm.train()
        for seen in views:
            # One picture whose last map is one place has no spread: torch refuses to look at it.
            encoder(seen if len(seen) > 1 else torch.cat([seen, seen]))
    for norm, momentum in zip(norms, momenta, strict=True):
        norm.momentum = momentum

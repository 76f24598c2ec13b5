"""One training of an encoder with a light head for pixels on top."""

from __future__ import annotations

import copy
import math
from collections.abc import Callable

import numpy as np
import numpy.typing as npt
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from hotstart.augment import ViewSettings, apply_view, draw_view
from hotstart.augment.masks import labels_in_view
from hotstart.config import Field, Settings
from hotstart.data.draws import Draws
from hotstart.data.label_maps import IGNORED
from hotstart.data.loader import Loader
from hotstart.data.masked import MaskedDataset
from hotstart.downstream.features import evaluating
from hotstart.downstream.optimisation import decayed, in_passes, warm_up_and_cosine
from hotstart.downstream.pixels import Read, answer, coarsest_stride, upsampled
from hotstart.downstream.predictions import MaskPredictions
from hotstart.encoders.encoder import Encoder
from hotstart.encoders.heads import PyramidDecoder

Int64s = npt.NDArray[np.int64]


class SegmentSettings(Settings):
    """How `finetune` and `scratch` train: the same for both, but for where they start."""

    steps: int | None = Field(default=None, ge=1)
    """Optimiser steps; None: 400 for 400 pictures, growing with their root, from 100 to 3,000."""
    batch_size: int = Field(default=8, ge=2)
    view_px: int = Field(default=192, ge=16)
    """Side of the views that are trained on; of smaller pictures, their own short side."""
    width: int = Field(default=32, ge=1)
    """Channels of the head."""
    learning_rates: tuple[float, ...] = Field(default=(3e-4, 1e-3), min_length=1)
    """AdamW's for `finetune`, each tried on an inner validation part."""
    scratch_learning_rates: tuple[float, ...] = Field(default=(1e-3, 3e-3), min_length=1)
    """The same for `scratch`: random weights have further to go."""
    trial_folds: int = Field(default=1, ge=1)
    """On how many of the inner parts each learning rate is tried."""
    trial_length: float = Field(default=0.25, gt=0, le=1)
    """Length of a trial, its schedule included, as a share of `steps`."""
    weight_decay: float = 0.05
    views: ViewSettings = ViewSettings(
        crop_scale=(0.25, 1.0), strength=0.4, hue=0.1, grey=0.0, blur=0.0
    )
    """Training sees random crops, mirrored and with changed colours; evaluation the whole."""

    def steps_for(self, pictures: int) -> int:
        """Optimiser steps for this many pictures with label maps."""
        return self.steps or min(max(round(400 * math.sqrt(pictures / 400)), 100), 3_000)


class Segmenter(nn.Module):
    """An encoder and a pyramid over the maps of its stages, ending in one channel a class."""

    def __init__(self, encoder: Encoder, classes: int, width: int) -> None:
        super().__init__()
        self.encoder = encoder
        self.head = PyramidDecoder(encoder.stage_dims, channels=classes, size=None, width=width)

    def forward(self, images: Tensor) -> Tensor:
        """(B, 3, H, W) in 0..1 -> logits (B, classes, h, w), at the stride of the first stage."""
        logits: Tensor = self.head(self.encoder.stages(images))
        return logits


def fit_segmenter(
    encoder: Encoder,
    dataset: MaskedDataset,
    items: Int64s,
    *,
    learning_rate: float,
    steps: int,
    settings: SegmentSettings,
    seed: int,
    device: torch.device,
    tick: Callable[[], None],
) -> Segmenter:
    """A copy of `encoder` with a new head, trained on the pictures `items`.

    Mean cross-entropy over the pixels that are not ignored; AdamW with linear warm-up and cosine
    decay to 0. tick: called after every step. The same seed gives the same weights (on a CPU, to
    the bit).
    """
    side = _view_side(dataset, items, settings, coarsest_stride(encoder))
    cuda = [device] if device.type == "cuda" else []
    with torch.random.fork_rng(devices=cuda):
        torch.manual_seed(seed)
        model = Segmenter(copy.deepcopy(encoder), len(dataset.mask_classes), settings.width)
        model.to(device=device, memory_format=torch.channels_last)  # type: ignore[call-overload]
        model.train()
        optimiser = torch.optim.AdamW(decayed(model, settings.weight_decay), lr=learning_rate)
        schedule = torch.optim.lr_scheduler.LambdaLR(optimiser, warm_up_and_cosine(steps))
        order = in_passes(items, steps * settings.batch_size, seed)
        loader = Loader(dataset, frozenset({"image", "mask"}), order, settings.batch_size)
        for step, batch in enumerate(loader):
            draws = Draws(seed, step, total=settings.batch_size)
            pictures = batch["image"].to(device)
            parameters = draw_view(settings.views, pictures, side, draws)
            labels = labels_in_view(batch["mask"], pictures, parameters, side).to(device).long()
            logits = upsampled(model(apply_view(pictures, parameters, side)), (side, side))
            loss = F.cross_entropy(logits, labels, ignore_index=IGNORED, reduction="sum")
            loss = loss / (labels != IGNORED).sum().clamp_min(1)
            optimiser.zero_grad(set_to_none=True)
            torch.autograd.backward(loss)
            optimiser.step()
            schedule.step()
            tick()
    return model


def reader(model: Segmenter) -> Read:
    """`model` as what answers for whole pictures."""

    def read(images: Tensor, size: tuple[int, int]) -> list[Tensor]:
        with evaluating(model):
            return [upsampled(model(images), size).argmax(dim=1)]

    return read


def segmented(
    model: Segmenter,
    dataset: MaskedDataset,
    items: Int64s,
    device: torch.device,
    progress: Callable[[int], None] | None = None,
) -> MaskPredictions:
    """What a trained model says of whole pictures."""
    with torch.inference_mode():
        stride = coarsest_stride(model.encoder)
        return answer(reader(model), 1, dataset, items, stride, device, progress)[0]


def _view_side(
    dataset: MaskedDataset, items: Int64s, settings: SegmentSettings, multiple: int
) -> int:
    """The side of training views: of small pictures theirs, as the first of them have it."""
    pictures = dataset.batch(items[:16], {"image"})["image"]
    short = float(torch.minimum(pictures.heights, pictures.widths).double().median())
    return max(round(min(settings.view_px, short) / multiple), 1) * multiple

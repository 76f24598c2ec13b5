"""One training of an encoder with a classifier on top."""

from __future__ import annotations

import copy
import math
from collections.abc import Callable
from typing import Literal

import numpy as np
import numpy.typing as npt
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from hotstart.augment import ViewSettings
from hotstart.config import Field, Settings
from hotstart.data.dataset import Dataset
from hotstart.data.draws import Draws
from hotstart.data.loader import Loader
from hotstart.data.sample import Spec, to_device
from hotstart.downstream.features import evaluating
from hotstart.downstream.linear import LinearProbe
from hotstart.downstream.optimisation import decayed, in_passes, warm_up_and_cosine
from hotstart.downstream.reading import Reading, reading_of
from hotstart.encoders.encoder import Encoder

Int64s = npt.NDArray[np.int64]


class FinetuneSettings(Settings):
    """How `finetune` and `scratch` train: the same for both, but for where they start."""

    steps: int | None = Field(default=None, ge=1)
    """Optimiser steps; None: 1,200 for 500 labels, growing with their root, from 300 to 3,000."""
    batch_size: int = Field(default=128, ge=2)
    head: Literal["probe", "random"] = "probe"
    """How `finetune`'s classifier starts: as the linear probe of the encoder, or at random, which
    spoils pretrained features in its first steps (Kumar 2022, arXiv:2202.10054). `scratch` has no
    features to probe: its classifier starts at random."""
    learning_rates: tuple[float, ...] = Field(default=(3e-4, 1e-3), min_length=1)
    """AdamW's for `finetune`, tried on inner validation parts, and from there as far as needed."""
    scratch_learning_rates: tuple[float, ...] = Field(default=(1e-3, 3e-3), min_length=1)
    """The same for `scratch`: random weights have further to go."""
    trial_folds: int = Field(default=2, ge=1)
    """On how many of the inner parts each learning rate is tried."""
    trial_length: float = Field(default=0.25, gt=0, le=1)
    """Length of a trial, its schedule included, as a share of `steps`."""
    weight_decay: float = 0.05
    views: ViewSettings = ViewSettings(crop_scale=(0.2, 1.0), strength=0.5, grey=0.2, blur=0.0)
    """Training sees random crops, mirrored and with changed colours; evaluation the centre."""
    mirrored: bool = True
    """Probabilities are the mean of those of the picture and of its mirror image; not of sounds."""

    def steps_for(self, labels: int) -> int:
        """Optimiser steps for this many labels."""
        return self.steps or min(max(round(1_200 * math.sqrt(labels / 500)), 300), 3_000)


class Classifier(nn.Module):
    """An encoder, its features standardised over the batch, and a linear classifier."""

    def __init__(self, encoder: Encoder, classes: int) -> None:
        super().__init__()
        self.encoder = encoder
        # Features may be small; a larger eps would weigh them less than the probe does.
        self.norm = nn.BatchNorm1d(encoder.dim, eps=1e-8, affine=False)
        self.head = nn.Linear(encoder.dim, classes)

    def forward(self, images: Tensor) -> Tensor:
        """(B, 3, H, W), or clips (B, 3, T, H, W), in 0..1 -> logits (B, classes)."""
        logits: Tensor = self.head(self.norm(self.encoder(images)))
        return logits

    @torch.no_grad()
    def start_as(self, probe: LinearProbe) -> None:
        """Take over what `probe` knows about the features of this encoder."""
        self.head.weight.copy_(probe.weight)
        self.head.bias.copy_(probe.bias)
        assert self.norm.running_mean is not None
        assert self.norm.running_var is not None
        self.norm.running_mean.copy_(probe.standardiser.mean)
        # A feature that does not vary counts for nothing in the probe, nor here.
        self.norm.running_var.copy_(probe.standardiser.scale.clamp_min(1e-6).pow(-2))


def fit_classifier(
    encoder: Encoder,
    dataset: Dataset,
    items: Int64s,
    *,
    learning_rate: float,
    steps: int,
    settings: FinetuneSettings,
    seed: int,
    device: torch.device,
    reading: Reading | None = None,
    probe: LinearProbe | None = None,
    after_step: Callable[[int, Classifier], None] | None = None,
) -> Classifier:
    """A copy of `encoder` with a new head, trained on the labelled `items`.

    reading: how the encoder reads items; None is `reading_of`.
    probe: what the head starts as; None: at random. after_step(steps made, model): also before the
    first step.

    AdamW with linear warm-up and cosine decay to 0. Every step takes a whole batch: items come in
    random order, again and again, also where there are fewer than a batch of them, and of a video
    another moment each time. The same seed gives the same weights (on a CPU, to the bit).
    """
    reading = reading or reading_of(encoder, dataset)
    cuda = [device] if device.type == "cuda" else []
    with torch.random.fork_rng(devices=cuda):
        torch.manual_seed(seed)
        model = Classifier(copy.deepcopy(encoder), len(dataset.classes))
        if probe is not None:
            model.start_as(probe)
        model.to(device)
        if all(weight.ndim <= 4 for weight in model.parameters()):
            model.to(memory_format=torch.channels_last)
        model.train()
        optimiser = torch.optim.AdamW(decayed(model, settings.weight_decay), lr=learning_rate)
        schedule = torch.optim.lr_scheduler.LambdaLR(optimiser, warm_up_and_cosine(steps))
        order = in_passes(items, steps * settings.batch_size, seed)
        needs = {**reading.needs, "label": Spec()}
        moments = None if dataset.stretches is None else seed
        loader = Loader(dataset, needs, order, settings.batch_size, seed=moments)
        if after_step is not None:
            after_step(0, model)
        for step, batch in enumerate(loader):
            draws = Draws(seed, step, total=settings.batch_size)
            there = to_device(batch, device)
            views = reading.random(there, settings.views, encoder.spec.size, draws)
            loss = F.cross_entropy(model(views), there["label"])
            optimiser.zero_grad(set_to_none=True)
            torch.autograd.backward(loss)
            optimiser.step()
            schedule.step()
            if after_step is not None:
                after_step(step + 1, model)
    return model


def predict(
    model: Classifier,
    dataset: Dataset,
    items: Int64s,
    device: torch.device,
    *,
    reading: Reading | None = None,
    mirrored: bool = False,
) -> Tensor:
    """Class of each item by its evaluation views, int64 (items,), in main memory.

    reading: how the encoder reads items; None is `reading_of`. Probabilities are averaged over the
    views of an item. mirrored: over each view and its mirror image too, unless it is a sound.
    """
    reading = reading or reading_of(model.encoder, dataset)
    found = []
    with evaluating(model), torch.inference_mode():
        for views in reading.views(dataset, items, model.encoder.spec.size, device):
            shares: Tensor = model(views).softmax(1)
            if mirrored and reading.mirrors:
                shares = shares + model(views.flip(-1)).softmax(1)
            of_items = shares.unflatten(0, (-1, reading.views_each)).mean(1)
            found.append(of_items.argmax(1).cpu())
    return torch.cat(found)

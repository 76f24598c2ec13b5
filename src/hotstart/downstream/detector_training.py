"""One training of a detector, and its answers."""

from __future__ import annotations

import copy
import math
from collections.abc import Callable

import numpy as np
import numpy.typing as npt
import torch
from torch import nn
from torchvision.models.detection import FCOS

from hotstart.augment import ViewSettings, apply_view
from hotstart.augment.boxes import whole_box
from hotstart.augment.settings import plain
from hotstart.config import Field, Protocol, Settings
from hotstart.data.boxes import BoxSet
from hotstart.data.draws import Draws
from hotstart.data.loader import Loader
from hotstart.downstream.average_precision import Detections
from hotstart.downstream.detector import DetectorSettings, build_detector, picture_side
from hotstart.downstream.detector_views import KeptMaps, training_view
from hotstart.downstream.features import evaluating
from hotstart.downstream.optimisation import decayed, in_passes, warm_up_and_cosine
from hotstart.encoders.encoder import Encoder

Int64s = npt.NDArray[np.int64]


class DetectSettings(Settings):
    """How detectors are trained: the same for every protocol, but for where they start."""

    steps: int | None = Field(default=None, ge=1)
    """Optimiser steps; None: 500 for 200 pictures, growing with their root, from 150 to 3,000."""
    batch_size: int = Field(default=8, ge=1)
    frozen_learning_rates: tuple[float, ...] = Field(default=(1e-3, 4e-3), min_length=1)
    """AdamW's for `linear`, each tried on inner validation parts."""
    learning_rates: tuple[float, ...] = Field(default=(3e-4, 1e-3), min_length=1)
    """The same for `finetune`."""
    scratch_learning_rates: tuple[float, ...] = Field(default=(1e-3, 3e-3), min_length=1)
    """The same for `scratch`: random weights have further to go."""
    head_factor: float = Field(default=4.0, gt=0)
    """The detector's rate over the encoder's, where both learn: it starts at random, and the rate
    that suits it spoils pretrained features."""
    trial_folds: int = Field(default=1, ge=1)
    """On how many of the inner parts each learning rate is tried."""
    trial_length: float = Field(default=0.25, gt=0, le=1)
    """Length of a trial, its schedule included, as a share of `steps`."""
    weight_decay: float = 0.05
    views: ViewSettings = ViewSettings(
        crop_scale=(0.4, 1.0), strength=0.3, hue=0.1, grey=0.0, blur=0.0
    )
    """Training sees random crops, mirrored and with changed colours; evaluation the whole."""
    frozen_views: int = Field(default=4, ge=1)
    """Of each picture for `linear`, in turn, so that the frozen encoder has to see each but once;
    fewer where the memory for its maps ends. The others see new ones all the time."""
    detector: DetectorSettings = DetectorSettings()

    def rates_for(self, protocol: Protocol) -> tuple[float, ...]:
        """Learning rates to be tried."""
        rates = {"linear": self.frozen_learning_rates, "scratch": self.scratch_learning_rates}
        return rates.get(protocol, self.learning_rates)

    def steps_for(self, pictures: int) -> int:
        """Optimiser steps for this many annotated pictures."""
        return self.steps or min(max(round(500 * math.sqrt(pictures / 200)), 150), 3_000)


def fit_detector(
    encoder: Encoder,
    dataset: BoxSet,
    items: Int64s,
    *,
    frozen: bool,
    learning_rate: float,
    steps: int,
    settings: DetectSettings,
    seed: int,
    device: torch.device,
    tick: Callable[[], None],
    kept: KeptMaps | None = None,
) -> FCOS:
    """A copy of `encoder` with a new detector on it, trained on the pictures `items`.

    tick: called after every step; kept: maps of this encoder, frozen, to be learnt from, else every
    step has new views. AdamW with linear warm-up and cosine decay to 0. The same seed gives the
    same weights.
    """
    cuda = [device] if device.type == "cuda" else []
    side = picture_side(encoder, settings.detector)
    with torch.random.fork_rng(devices=cuda):
        torch.manual_seed(seed)
        model = build_detector(
            copy.deepcopy(encoder), len(dataset.classes), settings.detector, frozen=frozen
        )
        model.to(device=device, memory_format=torch.channels_last)
        model.train()
        groups = _groups(model, frozen, learning_rate, settings)
        optimiser = torch.optim.AdamW(groups, lr=learning_rate)
        schedule = torch.optim.lr_scheduler.LambdaLR(optimiser, warm_up_and_cosine(steps))
        order = in_passes(items, steps * settings.batch_size, seed)
        loader = Loader(dataset, frozenset({"image", "index"}), order, settings.batch_size)
        for step, batch in enumerate(loader):
            pictures = batch["image"].to(device)
            shown = batch["index"].numpy()
            boxes = dataset.boxes.of(shown)
            if kept is None:
                draws = Draws(seed, step, total=settings.batch_size)
                images, targets = training_view(pictures, boxes, settings.views, side, draws)
            else:
                turns = (step * settings.batch_size + np.arange(len(shown))) // len(items)
                maps, targets = kept.maps(model.backbone, pictures, boxes, shown, turns)
                model.backbone.given = maps
                images = torch.empty(len(shown), 3, side, side, device=device)
            loss = torch.stack(list(model(images, targets).values())).sum()
            optimiser.zero_grad(set_to_none=True)
            torch.autograd.backward(loss)
            optimiser.step()
            schedule.step()
            tick()
    return model


def _groups(
    model: FCOS, frozen: bool, learning_rate: float, settings: DetectSettings
) -> list[dict[str, object]]:
    """All that learns: of a frozen encoder's detector at `learning_rate`, else as settings say."""
    if frozen:
        return decayed(model, settings.weight_decay)
    encoder = model.backbone.encoder
    own = {id(weight) for weight in encoder.parameters()}
    head = nn.ParameterList(one for one in model.parameters() if id(one) not in own)
    faster = [
        {**group, "lr": settings.head_factor * learning_rate}
        for group in decayed(head, settings.weight_decay)
    ]
    return [*decayed(encoder, settings.weight_decay), *faster]


def detect_objects(
    model: FCOS,
    side: int,
    dataset: BoxSet,
    items: Int64s,
    device: torch.device,
    batch_size: int = 16,
) -> list[Detections]:
    """What the detector finds in each of the pictures `items`, the surest first."""
    found = []
    loader = Loader(dataset, frozenset({"image"}), items, batch_size, drop_last=False)
    with evaluating(model), torch.inference_mode():
        for batch in loader:
            pictures = batch["image"].to(device)
            images = apply_view(pictures, plain(whole_box(pictures)), side)
            for one in model(images):
                found.append(
                    Detections(
                        (one["boxes"] / side).cpu().numpy(),
                        one["scores"].cpu().numpy(),
                        one["labels"].cpu().numpy(),
                    )
                )
    return found

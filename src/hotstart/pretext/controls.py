"""The controls that every pretext task is measured against."""

from __future__ import annotations

from collections.abc import Mapping
from typing import ClassVar

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from hotstart.augment import ViewSettings, random_clip, random_view
from hotstart.config import Field
from hotstart.data.sample import Spec
from hotstart.encoders import Encoder
from hotstart.errors import DataError
from hotstart.pretext.task import (
    Batch,
    Draws,
    Info,
    OptimiserSettings,
    PretextTask,
    Progress,
    Settings,
    Step,
    Views,
)

LIGHT = ViewSettings(crop_scale=(0.4, 1.0), jitter=0.0, grey=0.0, blur=0.0)


ALL_KINDS = frozenset({"cnn", "vit", "video"})


def read_clips(task: PretextTask) -> None:
    """Have `task` read clips in place of pictures, where its encoder does."""
    if task.encoder.kind == "video":
        needs = {key: spec for key, spec in task.needs.items() if key != "image"}
        task.needs = {"clip": Spec(), **needs}  # type: ignore[misc]


def seen(task: PretextTask, batch: Batch, settings: ViewSettings, rng: Draws) -> Tensor:
    """A random view of each picture, (B, 3, S, S), or clip, (B, 3, T, S, S)."""
    if "clip" in task.needs:
        return random_clip(batch["clip"], settings, task.info.size, rng)
    return random_view(batch["image"], settings, task.info.size, rng)


class RandomSettings(Settings):
    """`random` has no settings."""


class RandomInit(PretextTask):
    """No learning: an encoder at its initialisation, its BatchNorm statistics those of the data.

    The steps only re-estimate the statistics (a plain mean over them); no weight moves.
    """

    accepts: ClassVar[frozenset[str]] = ALL_KINDS
    Settings: ClassVar[type[Settings]] = RandomSettings
    max_steps: ClassVar[int | None] = 20
    metric: ClassVar[str] = "loss"
    settings: RandomSettings

    def __init__(self, encoder: Encoder, settings: RandomSettings, info: Info) -> None:
        super().__init__(encoder.requires_grad_(False), settings, info)
        read_clips(self)
        self.idle = nn.Parameter(torch.zeros(()))
        for module in encoder.modules():
            if isinstance(module, nn.modules.batchnorm._BatchNorm):
                module.momentum = None

    def views(self, batch: Batch, rng: Draws) -> Views:
        """`image`, pictures or clips."""
        return {"image": seen(self, batch, LIGHT, rng)}

    def forward(self, views: Views, progress: Progress, player: str) -> Step:
        """A loss of zero that asks nothing of the encoder."""
        loss = self.encoder(views["image"]).sum() * 0 + self.idle * 0
        return Step(loss, {"loss": loss.detach()})


class SupervisedSettings(Settings):
    """Settings of `supervised`."""

    label_smoothing: float = Field(default=0.0, ge=0, lt=1)
    view: ViewSettings = LIGHT


class Supervised(PretextTask):
    """The ceiling: pretraining on all human labels of the train split, by cross-entropy."""

    needs: ClassVar[Mapping[str, Spec]] = {"image": Spec(), "label": Spec()}
    accepts: ClassVar[frozenset[str]] = ALL_KINDS
    uses_labels: ClassVar[bool] = True
    Settings: ClassVar[type[Settings]] = SupervisedSettings
    optimiser: ClassVar[OptimiserSettings] = OptimiserSettings(
        name="sgd", learning_rate=0.1, weight_decay=5e-4
    )
    settings: SupervisedSettings

    def __init__(self, encoder: Encoder, settings: SupervisedSettings, info: Info) -> None:
        super().__init__(encoder, settings, info)
        read_clips(self)
        if info.classes < 2:
            raise DataError(f"supervised needs at least 2 labelled classes, got {info.classes}")
        self.classifier = nn.Linear(encoder.dim, info.classes)

    def trivial(self, rows: int) -> float:
        """Chance with balanced classes."""
        return 1 / self.info.classes

    def views(self, batch: Batch, rng: Draws) -> Views:
        """`image`, pictures or clips, and `label` (B,)."""
        return {"image": seen(self, batch, self.settings.view, rng), "label": batch["label"]}

    def forward(self, views: Views, progress: Progress, player: str) -> Step:
        """Cross-entropy; ln K at chance."""
        logits = self.classifier(self.encoder(views["image"]))
        loss = F.cross_entropy(
            logits, views["label"], label_smoothing=self.settings.label_smoothing
        )
        return Step(loss, {"accuracy": (logits.argmax(1) == views["label"]).float().mean()})

"""BYOL: what will a slower copy of the network see in another view of the picture?"""

from __future__ import annotations

from typing import ClassVar

import torch
from torch import nn

from hotstart.config import Field
from hotstart.encoders import Encoder, Teacher, decay_for, ema_schedule, mlp
from hotstart.pretext.losses import regression_loss
from hotstart.pretext.spread import PROJECTION_STD, dimension_std
from hotstart.pretext.task import Info, OptimiserSettings, Progress, Settings, Step, Views
from hotstart.pretext.two_views import TwoViewSettings, TwoViewTask, positive_first

SLOWEST = 0.996
"""The paper's `ema_decay`."""


class BYOLSettings(TwoViewSettings):
    """Settings of `byol`."""

    ema_decay: float | None = Field(default=None, ge=0, le=1)
    """At the start; it grows to 1. None: the teacher remembers a tenth of the run, but it is no
    faster than 0.9 and no slower than the paper's 0.996, which suits runs of 2,500 steps and more:
    with it a run of 110 steps would end before its teacher had left its random weights."""
    hidden: int = Field(default=512, ge=1)
    """Width of the hidden layer of projector and predictor; the paper's is 4096."""
    projection: int = Field(default=128, ge=1)
    """Length of z and p; the paper's is 256."""


class BYOL(TwoViewTask):
    """Predict, from one view, the projection that an EMA teacher makes of the other one.

    Grill 2020 (arXiv:2006.07733), eq. 1 and 2, algorithm 1. No negatives: that the predictor is
    the student's alone and that no gradient reaches the teacher keeps the features from
    collapsing, and `projection_std` tells whether they do: where all predictions and targets are
    one point the loss is at its best, 0, and `positive_first`, which ranks each prediction among
    the targets of all pictures, at chance. Deviations: AdamW in place of LARS, narrower heads,
    one distribution of views in place of two that differ in blur and solarisation, BatchNorm over
    both views at once, an `ema_decay` for short runs.
    """

    name: ClassVar[str] = "byol"
    Settings: ClassVar[type[Settings]] = BYOLSettings
    optimiser: ClassVar[OptimiserSettings] = OptimiserSettings(
        name="adamw", learning_rate=1.5e-3, weight_decay=1e-4
    )
    # Without negatives a small batch costs little, and minutes hold more steps.
    batch_size: ClassVar[int] = 128
    settings: BYOLSettings

    def __init__(self, encoder: Encoder, settings: BYOLSettings, info: Info) -> None:
        super().__init__(encoder, settings, info)
        self.projector = mlp((encoder.dim, settings.hidden, settings.projection))
        self.predictor = mlp((settings.projection, settings.hidden, settings.projection))
        self.teacher = Teacher(self._student())
        asked = settings.ema_decay
        self.ema_decay = decay_for(info.total_steps, SLOWEST) if asked is None else asked

    def forward(self, views: Views, progress: Progress, player: str) -> Step:
        """2 - 2 cos of prediction and target, from first to second view and back; 0..8."""
        z = self.project(views)
        p1, p2 = self.predictor(z).float().chunk(2)
        both = torch.cat([views["first"], views["second"]])
        target1, target2 = self.teacher(both).float().chunk(2)
        loss = regression_loss(p1, target2) + regression_loss(p2, target1)
        metrics = {
            "positive_first": positive_first(p1, p2, (target1, target2)),
            PROJECTION_STD: dimension_std(z[: len(p1)]),
        }
        return Step(loss, metrics)

    def after_step(self, step: Step, progress: Progress) -> None:
        """The teacher follows, ever more slowly."""
        self.teacher.update(self._student(), ema_schedule(self.ema_decay, progress.fraction))

    def _student(self) -> nn.Module:
        """What the teacher is a slow copy of."""
        return nn.Sequential(self.encoder, self.projector)

"""DINO: to which prototypes does a slower copy of the network say that another crop belongs?"""

from __future__ import annotations

from typing import ClassVar

import torch
from torch import Tensor, nn

from hotstart.config import Field
from hotstart.encoders import Encoder, Teacher, decay_for, ema_schedule, mlp
from hotstart.pretext.attention import attention_panel
from hotstart.pretext.codes import Prototypes, crop_cross_entropy, frozen_steps
from hotstart.pretext.distributed import gather
from hotstart.pretext.multi_crop import GLOBAL, MultiCropSettings, MultiCropTask, encode_crops
from hotstart.pretext.spread import PROJECTION_STD, dimension_std
from hotstart.pretext.task import (
    Batch,
    Draws,
    Info,
    OptimiserSettings,
    Panel,
    Progress,
    Settings,
    Step,
    Views,
)
from hotstart.pretext.two_views import at_least_float, positive_first

SLOWEST = 0.996
"""The paper's decay of the teacher."""
CENTRE_SLOWEST = 0.9
"""The paper's decay of the centre, which so forgets 25 times as fast."""


class DINOSettings(MultiCropSettings):
    """Settings of `dino`."""

    local_crops: int = Field(default=0, ge=0)
    """Small crops of each picture; the paper's are 8, for long runs on large pictures. Without them
    a run of minutes makes more steps."""
    prototypes: int = Field(default=1024, ge=2)
    """K, the classes that nobody named; the paper's is 65,536."""
    temperature: float = Field(default=0.1, gt=0)
    """Of the student."""
    teacher_temperature: tuple[float, float] = (0.04, 0.07)
    """At the start, and from `teacher_warmup` on; lower than the student's, which sharpens."""
    teacher_warmup: float = Field(default=0.3, ge=0, le=1)
    """Share of the run in which the teacher's temperature rises."""
    centre_decay: float | None = Field(default=None, ge=0, le=1)
    """Memory of the teacher's centre, step by step. None: it forgets 25 times as fast as the
    teacher does at the start, as in the paper (0.9); 0, the last batch alone, in a short run."""
    ema_decay: float | None = Field(default=None, ge=0, le=1)
    """At the start; it grows to 1. None: as for `byol`, at most the paper's 0.996."""
    hidden: int = Field(default=512, ge=1)
    """Width of the projector's two hidden layers; the paper's is 2048."""
    projection: int = Field(default=128, ge=1)
    """Length of z, the projector's bottleneck; the paper's is 256."""


class DINO(MultiCropTask):
    """Predict, from any crop, how an EMA teacher shares out another one over K prototypes.

    Caron 2021 (arXiv:2104.14294), eq. 1-4, algorithm 1. Nothing says what a prototype stands for,
    so one for all pictures, or all of them alike, would do: that the teacher's mean output, the
    centre, is taken off keeps one from ruling, and its low temperature, sharpening, keeps them from
    being alike. `projection_std` tells how far the teacher's distributions lie apart. Deviations:
    the centre begins as the first batch's mean, not as 0, and moves as much faster than the teacher
    as in the paper however short the run, or the pictures would drift to one prototype ahead of it;
    BatchNorm in the projector (in the authors' code an option), for a fresh ViT makes nearly one
    point of all pictures, and short runs would end before it told them apart; narrower heads,
    no small crops by default, one distribution of large views in place of two that differ in blur
    and solarisation, constant weight decay, no clipping of gradients, schedules as shares of the
    run.
    """

    name: ClassVar[str] = "dino"
    accepts: ClassVar[frozenset[str]] = frozenset({"vit"})
    Settings: ClassVar[type[Settings]] = DINOSettings
    optimiser: ClassVar[OptimiserSettings] = OptimiserSettings(
        name="adamw", learning_rate=2e-3, weight_decay=0.04, warmup=0.1
    )
    batch_size: ClassVar[int] = 64
    settings: DINOSettings
    centre: Tensor
    centred: Tensor

    def __init__(self, encoder: Encoder, settings: DINOSettings, info: Info) -> None:
        super().__init__(encoder, settings, info)
        hidden = settings.hidden
        self.projector = mlp((encoder.dim, hidden, hidden, settings.projection))
        self.prototypes = Prototypes(settings.projection, settings.prototypes)
        self.teacher = Teacher(self._student())
        self.teacher_prototypes = Teacher(self.prototypes)
        self.register_buffer("centre", torch.zeros(settings.prototypes))
        self.register_buffer("centred", torch.zeros((), dtype=torch.bool))
        self.frozen_steps = frozen_steps(info)
        asked = settings.ema_decay
        self.ema_decay = decay_for(info.total_steps, SLOWEST) if asked is None else asked
        asked = settings.centre_decay
        self.centre_decay = centre_decay_for(self.ema_decay) if asked is None else asked

    def forward(self, views: Views, progress: Progress, player: str) -> Step:
        """Cross-entropy of student and teacher on different crops; ln K for equal shares."""
        own, rows = self.settings, len(views["global"])
        z = at_least_float(self.projector(encode_crops(self.encoder, views)))
        logits = self.prototypes(z, frozen=progress.step < self.frozen_steps) / own.temperature
        seen = at_least_float(self.teacher(torch.cat(views["global"].unbind(1))))
        said = self.teacher_prototypes(seen)
        mean = gather(said.mean(0, keepdim=True)).mean(0)
        centre = torch.where(self.centred, self.centre, mean)
        targets = ((said - centre) / self._teacher_temperature(progress)).softmax(1)
        loss = crop_cross_entropy(
            targets.view(GLOBAL, rows, -1), logits.view(-1, rows, own.prototypes)
        )
        z1, z2 = z[: GLOBAL * rows].chunk(2)
        key1, key2 = seen.chunk(2)
        metrics = {
            "positive_first": positive_first(z1, z2, (key1, key2)),
            PROJECTION_STD: dimension_std(targets[:rows]),
        }
        return Step(loss, metrics, {"teacher_mean": mean})

    def after_step(self, step: Step, progress: Progress) -> None:
        """The teacher follows, ever more slowly; so does the centre (eq. 4), over all processes."""
        decay = ema_schedule(self.ema_decay, progress.fraction)
        self.teacher.update(self._student(), decay)
        self.teacher_prototypes.update(self.prototypes, decay)
        mean = step.carry["teacher_mean"].to(self.centre)
        start = torch.where(self.centred, self.centre, mean)
        self.centre.copy_(start.lerp(mean, 1 - self.centre_decay))
        self.centred.fill_(True)

    @torch.no_grad()
    def panels(self, batch: Batch, rng: Draws, *, answers: bool = True) -> list[Panel]:
        """Crops and neighbours; and where the heads of the last block look."""
        panels = super().panels(batch, rng, answers=answers)
        return panels + ([attention_panel(self.name, self.encoder, batch)] if answers else [])

    def _student(self) -> nn.Module:
        """What the teacher is a slow copy of."""
        return nn.Sequential(self.encoder, self.projector)

    def _teacher_temperature(self, progress: Progress) -> float:
        start, end = self.settings.teacher_temperature
        done = progress.fraction / max(self.settings.teacher_warmup, 1e-9)
        return start + (end - start) * min(done, 1.0)


def centre_decay_for(ema_decay: float) -> float:
    """The centre's decay beside a teacher's: as many times as fast as the paper's, 0 .. 0.9.

    A centre that is no faster than the teacher trails behind its drift: all pictures move towards
    one prototype, and the loss falls for it.
    """
    faster = (1 - CENTRE_SLOWEST) / (1 - SLOWEST)
    return min(max(1 - faster * (1 - ema_decay), 0.0), CENTRE_SLOWEST)

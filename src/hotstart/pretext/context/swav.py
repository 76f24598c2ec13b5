"""SwAV: to which prototypes does another crop of the picture belong?"""

from __future__ import annotations

from typing import ClassVar

import torch
from torch import Tensor

from hotstart.augment import centre_view
from hotstart.config import Field
from hotstart.encoders import Encoder, mlp
from hotstart.pretext.codes import Prototypes, crop_cross_entropy, frozen_steps, sinkhorn
from hotstart.pretext.multi_crop import GLOBAL, MultiCropSettings, MultiCropTask, encode_crops
from hotstart.pretext.panels import cluster_panel
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


class SwAVSettings(MultiCropSettings):
    """Settings of `swav`."""

    prototypes: int | None = Field(default=None, ge=2)
    """K; None: the square root of the number of pictures, but at most half the batch, of which
    each prototype is to get an equal share (the paper: 3,000, and 4,096 rows a batch)."""
    temperature: float = Field(default=0.1, gt=0)
    """Of the predictions."""
    epsilon: float = Field(default=0.05, gt=0)
    """How soft the codes are."""
    iterations: int = Field(default=3, ge=1)
    """Of the Sinkhorn algorithm."""
    hidden: int = Field(default=512, ge=1)
    """Width of the projector's hidden layer; the paper's is 2048."""
    projection: int = Field(default=128, ge=1)
    """Length of z."""


class SwAV(MultiCropTask):
    """Predict, from any crop, the code of another one: its share in each of K prototypes.

    Caron 2020 (arXiv:2006.09882), eq. 1-6, algorithm 1. Codes come from the large crops, by the
    Sinkhorn algorithm over the batches of all processes: that prototypes are used equally is what
    keeps all pictures from getting one and the same code, and `projection_std` tells how far codes
    lie apart. Deviations: no queue of former batches,
    for the batch holds more rows than there are prototypes; prototypes are brought to length 1
    within the forward pass; AdamW in place of LARS; fewer and smaller crops.
    """

    name: ClassVar[str] = "swav"
    Settings: ClassVar[type[Settings]] = SwAVSettings
    optimiser: ClassVar[OptimiserSettings] = OptimiserSettings(
        name="adamw", learning_rate=1.5e-3, weight_decay=1e-4
    )
    batch_size: ClassVar[int] = 256
    settings: SwAVSettings

    def __init__(self, encoder: Encoder, settings: SwAVSettings, info: Info) -> None:
        super().__init__(encoder, settings, info)
        self.projector = mlp((encoder.dim, settings.hidden, settings.projection))
        fitting = max(min(round(info.items**0.5), info.batch_size // 2), 2)
        self.prototypes = Prototypes(settings.projection, settings.prototypes or fitting)
        self.frozen_steps = frozen_steps(info)

    def forward(self, views: Views, progress: Progress, player: str) -> Step:
        """Cross-entropy of predictions and the codes of other crops; near ln K at random.

        The prototypes do not move in the first epoch, but in nine tenths of the run they do.
        """
        own, rows = self.settings, len(views["global"])
        z = at_least_float(self.projector(encode_crops(self.encoder, views)))
        scores = self.prototypes(z, frozen=progress.step < self.frozen_steps)
        crops = scores.view(-1, rows, scores.shape[1])
        codes = torch.stack([self._codes(crop) for crop in crops[:GLOBAL]])
        z1, z2 = z[: GLOBAL * rows].chunk(2)
        metrics = {
            "positive_first": positive_first(z1, z2),
            PROJECTION_STD: dimension_std(codes[0]),
        }
        return Step(crop_cross_entropy(codes, crops / own.temperature), metrics)

    @torch.no_grad()
    def panels(self, batch: Batch, rng: Draws, *, answers: bool = True) -> list[Panel]:
        """Crops and neighbours; and whole pictures by the prototype that they are most like."""
        panels = super().panels(batch, rng, answers=answers)
        if answers:
            wholes = centre_view(batch["image"], self.info.size)
            scores = self.prototypes(self.projector(self.encoder(wholes)))
            caption = "Pictures by the prototype that they are most like, which nobody named."
            panels.append(cluster_panel(self.name, caption, wholes, scores.argmax(1)))
        return panels

    def _codes(self, scores: Tensor) -> Tensor:
        return sinkhorn(scores, self.settings.epsilon, self.settings.iterations)

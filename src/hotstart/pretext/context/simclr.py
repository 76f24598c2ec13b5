"""SimCLR: which two views show the same picture?"""

from __future__ import annotations

from typing import ClassVar

from hotstart.config import Field
from hotstart.encoders import Encoder, mlp
from hotstart.pretext.losses import nt_xent
from hotstart.pretext.spread import PROJECTION_STD, dimension_std
from hotstart.pretext.task import Info, OptimiserSettings, Progress, Settings, Step, Views
from hotstart.pretext.two_views import TwoViewSettings, TwoViewTask, positive_first


class SimCLRSettings(TwoViewSettings):
    """Settings of `simclr`."""

    temperature: float = Field(default=0.2, gt=0)
    hidden: int = Field(default=512, ge=1)
    """Width of the projector's hidden layer."""
    projection: int = Field(default=128, ge=1)
    """Length of z."""


class SimCLR(TwoViewTask):
    """Pull two views of a picture together, push all other pictures of the batch away.

    Chen 2020 (arXiv:2002.05709), algorithm 1. Deviations: AdamW in place of LARS at these batch
    sizes, temperature 0.2 and crops of at least a fifth of the area.
    """

    name: ClassVar[str] = "simclr"
    Settings: ClassVar[type[Settings]] = SimCLRSettings
    optimiser: ClassVar[OptimiserSettings] = OptimiserSettings(
        name="adamw", learning_rate=1.5e-3, weight_decay=1e-4
    )
    batch_size: ClassVar[int] = 512
    settings: SimCLRSettings

    def __init__(self, encoder: Encoder, settings: SimCLRSettings, info: Info) -> None:
        super().__init__(encoder, settings, info)
        self.projector = mlp((encoder.dim, settings.hidden, settings.projection), last_norm=True)

    def forward(self, views: Views, progress: Progress, player: str) -> Step:
        """NT-Xent of the two projections; near ln(2B - 1) at random."""
        z1, z2 = self.project(views).chunk(2)
        loss = nt_xent(z1, z2, self.settings.temperature)
        metrics = {"positive_first": positive_first(z1, z2), PROJECTION_STD: dimension_std(z1)}
        return Step(loss, metrics)

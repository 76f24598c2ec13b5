"""Barlow Twins: which features do two views of a picture share, each told only once?"""

from __future__ import annotations

from typing import ClassVar

from hotstart.config import Field
from hotstart.encoders import Encoder, mlp
from hotstart.pretext.decorrelation import barlow_twins_loss
from hotstart.pretext.spread import projection_health
from hotstart.pretext.task import Info, OptimiserSettings, Progress, Settings, Step, Views
from hotstart.pretext.two_views import TwoViewSettings, TwoViewTask, positive_first


class BarlowTwinsSettings(TwoViewSettings):
    """Settings of `barlow_twins`."""

    redundancy: float = Field(default=0.005, ge=0)
    """Lambda, the weight of correlations between different dimensions; the paper's is 0.005."""
    hidden: int = Field(default=512, ge=1)
    """Width of the projector's two hidden layers; the paper's is 8192."""
    projection: int = Field(default=512, ge=1)
    """Length of z; the paper's is 8192."""


class BarlowTwins(TwoViewTask):
    """Make the correlation of the projections of two views the identity.

    Zbontar 2021 (arXiv:2103.03230), eq. 1 and 2, algorithm 1. Each dimension is to be the same in
    both views, and no two dimensions the same. No negatives: a constant has no correlation with
    anything, so one point for all pictures has the worst loss; without the second term all
    dimensions could tell one thing, a line, and `projection_rank` tells whether they do.
    Deviations: AdamW in place of LARS, a narrower projector, one distribution of views in place of
    two that differ in blur and solarisation, BatchNorm inside the projector over both views at once
    and also behind its last layer, which the loss does not see.
    """

    name: ClassVar[str] = "barlow_twins"
    Settings: ClassVar[type[Settings]] = BarlowTwinsSettings
    optimiser: ClassVar[OptimiserSettings] = OptimiserSettings(
        name="adamw", learning_rate=1.5e-3, weight_decay=1e-4
    )
    batch_size: ClassVar[int] = 128
    settings: BarlowTwinsSettings

    def __init__(self, encoder: Encoder, settings: BarlowTwinsSettings, info: Info) -> None:
        super().__init__(encoder, settings, info)
        widths = (encoder.dim, settings.hidden, settings.hidden, settings.projection)
        self.projector = mlp(widths, last_norm=True)

    def forward(self, views: Views, progress: Progress, player: str) -> Step:
        """The distance of the cross-correlation from the identity; near D at random, 0 at best."""
        z1, z2 = self.project(views).chunk(2)
        loss = barlow_twins_loss(z1, z2, self.settings.redundancy)
        metrics = {"positive_first": positive_first(z1, z2), **projection_health(z1)}
        return Step(loss, metrics)

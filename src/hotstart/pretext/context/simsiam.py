"""SimSiam: what does the network itself see in another view of the picture?"""

from __future__ import annotations

from typing import ClassVar

from hotstart.config import Field
from hotstart.encoders import Encoder, mlp
from hotstart.pretext.losses import negative_cosine
from hotstart.pretext.spread import projection_health
from hotstart.pretext.task import Info, OptimiserSettings, Progress, Settings, Step, Views
from hotstart.pretext.two_views import (
    TwoViewSettings,
    TwoViewTask,
    at_least_float,
    positive_first,
)


class SimSiamSettings(TwoViewSettings):
    """Settings of `simsiam`."""

    hidden: int = Field(default=512, ge=1)
    """Width of the projector's hidden layers; the paper's is 2048."""
    projection: int = Field(default=512, ge=1)
    """Length of z and p; the paper's is 2048."""
    bottleneck: int = Field(default=128, ge=1)
    """Width of the predictor's hidden layer: a quarter of z, as in the paper."""


class SimSiam(TwoViewTask):
    """Predict, from one view, the network's own projection of the other one.

    Chen & He 2021 (arXiv:2011.10566), eq. 1 to 4, algorithm 1: BYOL without a teacher. No
    negatives: that no gradient flows through the target keeps the features from collapsing.
    `projection_std` and `projection_rank` tell whether they do, to a point or to a line, where the
    loss is at its best, -1. Deviations: AdamW in place of SGD, narrower heads, BatchNorm over both
    views at once, a predictor whose learning rate falls like all others (the paper keeps it
    constant).
    """

    name: ClassVar[str] = "simsiam"
    Settings: ClassVar[type[Settings]] = SimSiamSettings
    optimiser: ClassVar[OptimiserSettings] = OptimiserSettings(
        name="adamw", learning_rate=1.5e-3, weight_decay=1e-4
    )
    batch_size: ClassVar[int] = 128
    settings: SimSiamSettings

    def __init__(self, encoder: Encoder, settings: SimSiamSettings, info: Info) -> None:
        super().__init__(encoder, settings, info)
        widths = (encoder.dim, settings.hidden, settings.hidden, settings.projection)
        self.projector = mlp(widths, last_norm=True)
        self.predictor = mlp((settings.projection, settings.bottleneck, settings.projection))

    def forward(self, views: Views, progress: Progress, player: str) -> Step:
        """- cos of prediction and projection, mean of both directions; -1..1, near 0 at random."""
        z = self.project(views)
        z1, z2 = z.chunk(2)
        p1, p2 = at_least_float(self.predictor(z)).chunk(2)
        loss = (negative_cosine(p1, z2) + negative_cosine(p2, z1)) / 2
        metrics = {"positive_first": positive_first(p1, p2, (z1, z2)), **projection_health(z1)}
        return Step(loss, metrics)

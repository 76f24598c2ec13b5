"""VICReg: views of one picture alike, every feature varies, no two features tell the same."""

from __future__ import annotations

from typing import ClassVar

from hotstart.config import Field
from hotstart.encoders import Encoder, mlp
from hotstart.pretext.decorrelation import vicreg_loss
from hotstart.pretext.spread import PROJECTION_STD, projection_health
from hotstart.pretext.task import Info, OptimiserSettings, Progress, Settings, Step, Views
from hotstart.pretext.two_views import TwoViewSettings, TwoViewTask, positive_first


class VICRegSettings(TwoViewSettings):
    """Settings of `vicreg`."""

    invariance: float = Field(default=25.0, ge=0)
    """Lambda, the weight of the distance between the views."""
    variance: float = Field(default=25.0, ge=0)
    """Mu, the weight of the hinge that keeps each dimension's deviation at 1; 0 collapses."""
    covariance: float = Field(default=1.0, ge=0)
    """Nu, the weight of covariances between different dimensions."""
    hidden: int = Field(default=512, ge=1)
    """Width of the expander's two hidden layers; the paper's is 8192."""
    projection: int = Field(default=512, ge=1)
    """Length of z; the paper's is 8192."""


class VICReg(TwoViewTask):
    """Bring two views together, keep each dimension's variance up, covariances down.

    Bardes 2022 (arXiv:2105.04906), eq. 1 to 6, algorithm 1, with the reductions of the authors'
    code (`vicreg_loss`). No negatives: the variance keeps the projections off a point, the
    covariance off a line, and `projection_std`, here the deviation of z itself, and
    `projection_rank` tell whether they do.
    Deviations: AdamW in place of LARS, a narrower expander (here the projector), one distribution
    of views in place of two that differ in blur and solarisation, BatchNorm inside the projector
    over both views at once.
    """

    name: ClassVar[str] = "vicreg"
    Settings: ClassVar[type[Settings]] = VICRegSettings
    optimiser: ClassVar[OptimiserSettings] = OptimiserSettings(
        name="adamw", learning_rate=1.5e-3, weight_decay=1e-4
    )
    batch_size: ClassVar[int] = 128
    settings: VICRegSettings

    def __init__(self, encoder: Encoder, settings: VICRegSettings, info: Info) -> None:
        super().__init__(encoder, settings, info)
        widths = (encoder.dim, settings.hidden, settings.hidden, settings.projection)
        self.projector = mlp(widths)

    def forward(self, views: Views, progress: Progress, player: str) -> Step:
        """The three terms; mu where all projections are one point."""
        z1, z2 = self.project(views).chunk(2)
        own = self.settings
        loss = vicreg_loss(z1, z2, own.invariance, own.variance, own.covariance)
        metrics = {"positive_first": positive_first(z1, z2), **projection_health(z1)}
        # As the hinge sees it: what shrinks to the origin is a point too, whatever the directions.
        metrics[PROJECTION_STD] = z1.detach().std(0).mean()
        return Step(loss, metrics)

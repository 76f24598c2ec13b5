"""A pretext task whose metric is how loud it was around the frame: a shift of sound shows."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, ClassVar

from torch import nn

from hotstart.augment import centre_view
from hotstart.data.sample import Spec
from hotstart.encoders import Encoder
from hotstart.pretext.task import (
    Batch,
    Draws,
    Info,
    PretextTask,
    Progress,
    Settings,
    Step,
    Views,
)


class LoudnessSettings(Settings):
    """It has none."""


class Loudness(PretextTask):
    """From a frame to the mean loudness of a twentieth of a second of sound around it."""

    needs: ClassVar[Mapping[str, Spec]] = {"image": Spec(), "audio": Spec(seconds=0.05)}
    Settings: ClassVar[type[Settings]] = LoudnessSettings
    batch_size: ClassVar[int] = 8
    metric: ClassVar[str] = "loudness"

    def __init__(self, encoder: Encoder, settings: Any, info: Info) -> None:
        super().__init__(encoder, settings, info)
        self.reader = nn.Linear(encoder.dim, 1)

    def trivial(self, rows: int) -> float:
        return 0.0

    def views(self, batch: Batch, rng: Draws) -> Views:
        loud = batch["audio"].float().abs().mean(1) / 2**15
        return {"image": centre_view(batch["image"], self.info.size), "loud": loud}

    def forward(self, views: Views, progress: Progress, player: str) -> Step:
        told = self.reader(self.encoder(views["image"]))[:, 0]
        return Step((told - views["loud"]).square().mean(), {"loudness": views["loud"].mean()})

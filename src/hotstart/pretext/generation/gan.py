"""Generative adversarial network: is this picture real, or made from noise?"""

from __future__ import annotations

from typing import ClassVar

import torch
from torch import Tensor, nn

from hotstart.config import Field
from hotstart.encoders import Encoder
from hotstart.pretext.adversarial import (
    discriminator_loss,
    diversity,
    generator_loss,
    judgement,
)
from hotstart.pretext.from_noise import FromNoise, FromNoiseSettings
from hotstart.pretext.task import Info, OptimiserSettings, Player, Progress, Settings, Step, Views


class GanSettings(FromNoiseSettings):
    """Settings of `gan`."""

    real_label: float = Field(default=0.9, gt=0.5, le=1)
    """What the discriminator is to answer to real pictures: 1, or less, so that it stays unsure."""
    generator: OptimiserSettings = OptimiserSettings(
        name="adamw", learning_rate=8e-3, weight_decay=0.0, momentum=0.5
    )


class Gan(FromNoise):
    """Tell real pictures from those that a generator makes from noise, while it learns to deceive.

    Goodfellow 2014 (arXiv:1406.2661), eq. 1, with the generator of DCGAN (Radford 2016,
    arXiv:1511.06434), who take the discriminator's features for classification: the encoder with
    one linear unit on h is the discriminator. The generator maximises log D(G(z)), which does not
    saturate.

    Deviations: any encoder for DCGAN's own discriminator; one-sided label smoothing (Salimans
    2016) and DiffAugment (Zhao 2020); AdamW with a schedule. Real and made pictures share a batch:
    in batches of their own, BatchNorm takes away what all made pictures have in common, and an
    encoder that pools its last map no longer sees it. A pattern of blocks then costs nothing.
    """

    name: ClassVar[str] = "gan"
    Settings: ClassVar[type[Settings]] = GanSettings
    optimiser: ClassVar[OptimiserSettings] = OptimiserSettings(
        name="adamw", learning_rate=4e-3, weight_decay=0.0, momentum=0.5
    )
    # A game takes many moves: a small batch makes more of them in the same time.
    batch_size: ClassVar[int] = 32
    settings: GanSettings

    def __init__(self, encoder: Encoder, settings: GanSettings, info: Info) -> None:
        super().__init__(encoder, settings, info)
        self.judge = nn.Linear(encoder.dim, 1)

    def players(self) -> dict[str, Player]:
        """The generator, then the discriminator, who judges what was just made."""
        judging = [*self.encoder.parameters(), *self.judge.parameters()]
        return {
            "generator": Player(list(self.generator.parameters()), self.settings.generator),
            "discriminator": Player(judging, self.optimiser),
        }

    def forward(self, views: Views, progress: Progress, player: str) -> Step:
        """- log D(G(z)) for the generator; eq. 1 for the discriminator, on the same pictures."""
        if player == "generator":
            made = self.make(views["noise"])
            _, fake = self._believed(views, made)
            metrics = {"diversity": diversity(made, views["image"])}
            return Step(generator_loss(fake), metrics, {"made": made.detach()})
        real, fake = self._believed(views, views["made"])
        loss = discriminator_loss(real, fake, self.settings.real_label)
        return Step(loss, judgement(real, fake))

    def _believed(self, views: Views, made: Tensor) -> tuple[Tensor, Tensor]:
        """Logits (B,) each of the discriminator on real and made pictures, high for the former."""
        seen = [self.augmented(views["image"], views, "real"), self.augmented(made, views, "made")]
        logits: Tensor = self.judge(self.encoder(torch.cat(seen)))
        real, fake = logits.squeeze(1).chunk(2)
        return real, fake

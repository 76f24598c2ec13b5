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
    statistics_kept,
)
from hotstart.pretext.from_noise import FromNoise, FromNoiseSettings
from hotstart.pretext.task import Info, OptimiserSettings, Player, Progress, Settings, Step, Views


class GanSettings(FromNoiseSettings):
    """Settings of `gan`."""

    real_label: float = Field(default=0.9, gt=0.5, le=1)
    """What the discriminator is to answer to real pictures: 1, or less, so that it stays unsure."""
    one_batch: bool = True
    """BatchNorm sees real and made pictures together. In batches of their own (DCGAN), it takes
    away what all made pictures have in common, and an encoder that pools its last map no longer
    sees it: a pattern of blocks then costs nothing. Its running statistics are then the real's."""
    generator: OptimiserSettings = OptimiserSettings(
        name="adamw", learning_rate=4e-3, weight_decay=0.0, momentum=0.5
    )


class Gan(FromNoise):
    """Tell real pictures from those that a generator makes from noise, while it learns to deceive.

    Goodfellow 2014 (arXiv:1406.2661), eq. 1, with the generator of DCGAN (Radford 2016,
    arXiv:1511.06434), who take the discriminator's features for classification: the encoder with
    one linear unit on h is the discriminator. The generator maximises log D(G(z)), which does not
    saturate.

    Deviations: any encoder for DCGAN's own discriminator; one-sided label smoothing (Salimans
    2016) and DiffAugment (Zhao 2020); real and made pictures in one batch (`one_batch`); AdamW with
    a schedule; the generator's moving average is what is measured.
    """

    name: ClassVar[str] = "gan"
    Settings: ClassVar[type[Settings]] = GanSettings
    optimiser: ClassVar[OptimiserSettings] = OptimiserSettings(
        name="adamw", learning_rate=1e-3, weight_decay=0.0, momentum=0.5
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
            loss = generator_loss(self._on_made(made, views))
            return Step(
                loss, {"diversity": diversity(made, views["image"])}, {"made": made.detach()}
            )
        real, fake = self._on_both(views["made"], views)
        loss = discriminator_loss(real, fake, self.settings.real_label)
        return Step(loss, judgement(real, fake))

    def _on_both(self, made: Tensor, views: Views) -> tuple[Tensor, Tensor]:
        """Logits (B,) each of the discriminator on real and made pictures, high for the former."""
        seen = self.augmented(views["image"], views, "real")
        if self.settings.one_batch:
            both = self._judged(torch.cat([seen, self.augmented(made, views, "made")]))
            real, fake = both.chunk(2)
            return real, fake
        return self._judged(seen), self._on_made(made, views)

    def _on_made(self, made: Tensor, views: Views) -> Tensor:
        """The second of `_on_both`."""
        if self.settings.one_batch:
            return self._on_both(made, views)[1]
        with statistics_kept(self.encoder):
            return self._judged(self.augmented(made, views, "made"))

    def _judged(self, pictures: Tensor) -> Tensor:
        logits: Tensor = self.judge(self.encoder(pictures))
        return logits.squeeze(1)

"""Bidirectional GAN: which picture belongs to which latent?"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace
from pathlib import Path
from typing import ClassVar

import numpy as np
import torch
from torch import Tensor

from hotstart.augment import centre_view
from hotstart.data import Subset
from hotstart.encoders import Encoder, JointDiscriminator, mlp
from hotstart.pretext.adversarial import discriminator_loss, diversity, judgement, statistics_kept
from hotstart.pretext.distributed import first_decides
from hotstart.pretext.from_noise import ROWS, FromNoise, FromNoiseSettings
from hotstart.pretext.reconstruction import psnr_db
from hotstart.pretext.spread import PROJECTION_STD, dimension_std
from hotstart.pretext.task import (
    Batch,
    Draws,
    Info,
    OptimiserSettings,
    Panel,
    Player,
    Progress,
    Score,
    Settings,
    Step,
    Views,
    to_uint8,
)
from hotstart.pretext.two_views import at_least_float

RECONSTRUCTED = 16  # Pictures of a batch whose reconstruction is logged.
LOOKED_AT, CHUNK = 512, 64  # Pictures that the mean one is of, and how many are read at a time.


class BiganSettings(FromNoiseSettings):
    """Settings of `bigan`."""

    adversary_width: int = 32
    """Channels of the discriminator's first layer, at half size."""
    discriminator: OptimiserSettings = OptimiserSettings(
        name="adamw", learning_rate=3e-3, weight_decay=0.0, momentum=0.5
    )


class Bigan(FromNoise):
    """Learn to invert a generator: an encoder turns pictures into the noise they could come from.

    Donahue 2017 (arXiv:1605.09782), eq. 3: a discriminator tells pairs (x, E(x)) from pairs
    (G(z), z); encoder and generator together learn to make it err, and can do so only where each
    inverts the other (theorem 2). Their side is the "inverse" objective of section 4: the same
    loss with the labels exchanged, which does not saturate.

    Deviations: the paper's E ends in z itself; here a linear layer, BatchNorm without weights and
    the distribution function of the normal stand between the encoder's h, which transfers, and z:
    were the normalised numbers normal, E(x) would be uniform as z is, so what is left to learn is
    which picture has which. DiffAugment (Zhao 2020) on the discriminator's pictures, never on the
    encoder's. AdamW with a schedule.
    """

    name: ClassVar[str] = "bigan"
    Settings: ClassVar[type[Settings]] = BiganSettings
    optimiser: ClassVar[OptimiserSettings] = OptimiserSettings(
        name="adamw", learning_rate=8e-3, weight_decay=0.0, momentum=0.5
    )
    batch_size: ClassVar[int] = 32
    settings: BiganSettings
    mean_picture: Tensor

    def __init__(self, encoder: Encoder, settings: BiganSettings, info: Info) -> None:
        super().__init__(encoder, settings, info)
        self.to_latent = mlp((encoder.dim, settings.noise), last_norm=True)
        self.discriminator = JointDiscriminator(
            info.size, settings.noise, width=settings.adversary_width
        )
        self.register_buffer("mean_picture", torch.full((3, info.size, info.size), 0.5))

    @torch.no_grad()
    def prepare(self, dataset: Subset, cache: Path, rng: Draws) -> None:
        """The mean of up to 512 pictures: what can be answered without looking."""
        picked = np.linspace(0, len(dataset) - 1, min(LOOKED_AT, len(dataset))).astype(np.int64)
        total = torch.zeros_like(self.mean_picture)
        for start in range(0, len(picked), CHUNK):
            part = dataset.batch(picked[start : start + CHUNK], self.needs)
            total += self._whole(part).sum(0)
        first_decides(self.mean_picture.copy_(total / len(picked)))

    def players(self) -> dict[str, Player]:
        """Encoder and generator on one side, then the discriminator."""
        makers = [self.encoder, self.to_latent, self.generator]
        weights = [weight for maker in makers for weight in maker.parameters()]
        return {
            "encoder_and_generator": Player(weights, self.optimiser),
            "discriminator": Player(
                list(self.discriminator.parameters()), self.settings.discriminator
            ),
        }

    def forward(self, views: Views, progress: Progress, player: str) -> Step:
        """Eq. 3 for the discriminator; for the others the same with the labels exchanged."""
        image = views["image"]
        if player == "discriminator":
            real, fake = self._believed(views, views["made"], views["latent"])
            return Step(discriminator_loss(real, fake), judgement(real, fake))
        made, latent = self.make(views["noise"]), self.latent(image)
        real, fake = self._believed(views, made, latent)
        metrics = {
            "diversity": diversity(made, image),
            PROJECTION_STD: dimension_std(2 * latent - 1),
            "reconstruction_psnr_db": self._reconstruction_psnr(image, latent),
        }
        carry = {"made": made.detach(), "latent": latent.detach()}
        return Step(discriminator_loss(fake, real), metrics, carry)

    def latent(self, images: Tensor) -> Tensor:
        """E(x): pictures (B, 3, S, S) -> latents (B, noise) in 0..1, as noise is in views."""
        normal: Tensor = at_least_float(self.to_latent(self.encoder(images)))
        latent: Tensor = torch.special.ndtr(normal)
        return latent

    def _believed(self, views: Views, made: Tensor, latent: Tensor) -> tuple[Tensor, Tensor]:
        """Logits (B,) each on pairs (x, E(x)) and (G(z), z), high for the former."""
        real = self.augmented(views["image"], views, "real")
        fake = self.augmented(made, views, "made")
        return (
            self.discriminator(real, 2 * latent - 1),
            self.discriminator(fake, 2 * views["noise"] - 1),
        )

    @torch.no_grad()
    def _reconstruction_psnr(self, image: Tensor, latent: Tensor) -> Tensor:
        """Mean PSNR of G(E(x)) in decibels."""
        image, latent = image[:RECONSTRUCTED], latent[:RECONSTRUCTED]
        with statistics_kept(self.generator):
            again = self.make(latent)
        return psnr_db(again, image, torch.ones_like(image[:, :1], dtype=torch.bool)).mean()

    @torch.no_grad()
    def score(self, batches: Iterable[Batch], rng: Draws) -> Score:
        """As of all tasks that make pictures from noise; and how near pictures come back.

        `reconstruction_psnr_db` is the mean over whole held-out pictures of the PSNR of G(E(x)),
        G being its moving average. Trivial is to answer the mean picture, of those trained on.
        """
        score = super().score(batches, rng)
        value, trivial, rows = 0.0, 0.0, 0
        for batch in batches:
            whole = self._whole(batch)
            value += float(psnr_db(self.show(self.latent(whole)), whole).sum())
            trivial += float(psnr_db(self.mean_picture.expand_as(whole), whole).sum())
            rows += len(whole)
        count = max(rows, 1)
        again = Score("reconstruction_psnr_db", value / count, trivial / count, rows)
        return replace(score, others=(again,))

    @torch.no_grad()
    def panels(self, batch: Batch, rng: Draws, *, answers: bool = True) -> list[Panel]:
        """As of all tasks that make pictures from noise; and pictures through E and G."""
        panels = super().panels(batch, rng, answers=answers)
        return [*panels, self._reconstructions(batch)] if answers else panels

    def _reconstructions(self, batch: Batch) -> Panel:
        count = min(ROWS, len(batch["image"]))
        whole = centre_view(batch["image"].select(range(count)), self.info.size)
        again = self.show(self.latent(whole))
        psnr = psnr_db(again, whole, torch.ones_like(whole[:, :1], dtype=torch.bool)).tolist()
        return Panel(
            f"{self.name}-reconstruction",
            "There and back",
            "Pictures that were not trained on, and what the generator makes of the latent that "
            "the encoder gives them. No loss asks for equal pixels: what returns is what the "
            "latent holds.",
            ("picture", "G(E(picture))"),
            list(zip(to_uint8(whole), to_uint8(again), strict=True)),
            [["", f"{db:.1f} dB"] for db in psnr],
            "prediction",
        )

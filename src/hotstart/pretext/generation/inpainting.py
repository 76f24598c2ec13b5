"""Inpainting: what was in the hole?"""

from __future__ import annotations

import math
from collections.abc import Iterable
from typing import ClassVar, Literal

import torch
from torch import Tensor, nn

from hotstart.augment import ViewSettings, centre_view, random_view
from hotstart.config import Field
from hotstart.encoders import ChannelWiseLinear, ConvDecoder, ConvDiscriminator, Encoder, map_shape
from hotstart.pretext.adversarial import discriminator_loss, generator_loss
from hotstart.pretext.reconstruction import psnr_db, weighted_l2
from hotstart.pretext.task import (
    Batch,
    Draws,
    Info,
    OptimiserSettings,
    Panel,
    Player,
    PretextTask,
    Progress,
    Score,
    Settings,
    Step,
    Views,
    batch_rows,
    to_uint8,
)

SHOWN = 6
RIM = 1 / 16  # Width of the band whose mean colour is the trivial answer, as a share of the side.


class InpaintingSettings(Settings):
    """Settings of `inpainting`."""

    hidden: float = Field(default=0.25, gt=0, le=0.8)
    """Share of the picture that is removed, a square: the difficulty."""
    position: Literal["random", "centre"] = "random"
    """Where; a hole that is always in the middle teaches the network its border alone."""
    overlap: float = Field(default=1 / 32, ge=0, le=0.25)
    """Width of the seen band around the hole that must be predicted too, as a share of the side."""
    overlap_weight: float = Field(default=10.0, ge=0)
    """Of a pixel of that band in the reconstruction loss; one in the hole weighs 1."""
    reconstruction_weight: float = Field(default=0.999, ge=0)
    adversarial_weight: float = Field(default=0.001, ge=0)
    """0 leaves the adversary out."""
    width: int = Field(default=16, ge=1)
    """Channels of the decoder's last hidden layer and the discriminator's first, at half size."""
    adversary: OptimiserSettings = OptimiserSettings(
        name="adamw", learning_rate=2e-4, weight_decay=0.0, momentum=0.5
    )
    view: ViewSettings = ViewSettings(crop_scale=(0.4, 1.0), jitter=0.0, grey=0.0, blur=0.0)


class Inpainting(PretextTask):
    """Paint what was in a hole, from what is around it.

    Pathak 2016 (arXiv:1604.07379), eq. 1-3: a reconstruction loss on the hole, and an adversary
    that tells painted blocks from true ones. The hole is filled with the mean colour before the
    encoder sees the picture. A decoder reads the encoder's last map through a channel-wise fully
    connected layer and answers with a whole picture, of which only the hole and a narrow seen band
    around it (weighing more, so that the filling fits) are asked.

    Deviations: one square at a random place for the paper's random region; errors in units of the
    encoder's normalised pixels, weighted means in place of sums; the painter's side of eq. 2 in
    the form that does not saturate, as in the paper's code; AdamW.
    """

    metric: ClassVar[str] = "psnr_db"
    Settings: ClassVar[type[Settings]] = InpaintingSettings
    optimiser: ClassVar[OptimiserSettings] = OptimiserSettings(
        name="adamw", learning_rate=8e-3, weight_decay=1e-4
    )
    batch_size: ClassVar[int] = 64
    settings: InpaintingSettings

    def __init__(self, encoder: Encoder, settings: InpaintingSettings, info: Info) -> None:
        super().__init__(encoder, settings, info)
        size = info.size
        self.hole_px = min(max(round(math.sqrt(settings.hidden) * size), 2), size - 1)
        self.overlap_px = round(settings.overlap * size)
        channels, side = map_shape(encoder, size)
        self.decoder = nn.Sequential(
            ChannelWiseLinear(channels, side**2),
            nn.Conv2d(channels, channels, 1, bias=False),
            nn.BatchNorm2d(channels),
            nn.ReLU(inplace=True),
            ConvDecoder(
                channels, doublings=max(math.ceil(math.log2(size / side)), 1), width=settings.width
            ),
        )
        self.discriminator = (
            ConvDiscriminator(self.hole_px, width=settings.width)
            if settings.adversarial_weight > 0
            else None
        )

    def players(self) -> dict[str, Player]:
        """The painter (encoder and decoder), then the adversary."""
        painter = [*self.encoder.parameters(), *self.decoder.parameters()]
        players = {"painter": Player(painter, self.optimiser)}
        if self.discriminator is not None:
            weights = list(self.discriminator.parameters())
            players["adversary"] = Player(weights, self.settings.adversary)
        return players

    def views(self, batch: Batch, rng: Draws) -> Views:
        """`masked` and `whole` (B, 3, S, S), `corner` int64 (B, 2): x, y of the hole's corner."""
        whole = random_view(batch["image"], self.settings.view, self.info.size, rng)
        return self._with_hole(whole, rng)

    def _with_hole(self, whole: Tensor, rng: Draws) -> Views:
        spare = self.info.size - self.hole_px
        if self.settings.position == "random":
            corner = rng.named("hole").integers(0, spare + 1, 2).to(whole.device)
        else:
            corner = torch.full((len(whole), 2), spare // 2, device=whole.device)
        hole = square(corner, self.hole_px, self.info.size)
        # The mean colour is the encoder's zero.
        masked = torch.where(hole, self.encoder.mean.to(whole), whole)
        masked = masked.contiguous(memory_format=torch.channels_last)
        return {"masked": masked, "whole": whole, "corner": corner}

    def forward(self, views: Views, progress: Progress, player: str) -> Step:
        """Eq. 3 for the painter, eq. 2 for the adversary, who sees the `painted` block."""
        truth = self.encoder.normalise(views["whole"])
        hole = square(views["corner"], self.hole_px, self.info.size)
        if player == "adversary":
            assert self.discriminator is not None
            real = self.discriminator(self._block(truth, hole))
            made = self.discriminator(views["painted"])
            right = torch.cat([real > 0, made <= 0]).float().mean()
            return Step(discriminator_loss(real, made), {"adversary_accuracy": right})
        painting = self._paint(views["masked"])
        wide = square(views["corner"], self.hole_px, self.info.size, grow=self.overlap_px)
        weight = torch.where(hole, 1.0, wide * self.settings.overlap_weight)
        reconstruction = weighted_l2(painting, truth, weight)
        loss = self.settings.reconstruction_weight * reconstruction
        block = self._block(painting, hole)
        if self.discriminator is not None:
            fooled = generator_loss(self.discriminator(block))
            loss = loss + self.settings.adversarial_weight * fooled
        painted = painting.detach() * self.encoder.std + self.encoder.mean
        psnr = psnr_db(painted, views["whole"], hole).mean()
        metrics = {"psnr_db": psnr, "reconstruction": reconstruction.detach()}
        return Step(loss, metrics, {"painted": block.detach()})

    def _paint(self, masked: Tensor) -> Tensor:
        """(B, 3, S, S) in 0..1 -> the decoder's picture in the encoder's normalised units."""
        last = self.encoder.feature_map(masked, self.encoder.stage_strides[-1])
        painting: Tensor = self.decoder(last)
        if painting.shape[-1] != self.info.size:
            painting = nn.functional.interpolate(painting, size=self.info.size, mode="bilinear")
        return painting

    def _block(self, pictures: Tensor, hole: Tensor) -> Tensor:
        """What is in the hole, (B, 3, K, K)."""
        inside = pictures.masked_select(hole)
        return inside.view(len(pictures), 3, self.hole_px, self.hole_px)

    def _ask(self, batch: Batch, rng: Draws) -> tuple[Views, Tensor]:
        """Whole pictures, uncropped, with a hole drawn from `rng`; and bool where the hole is."""
        views = self._with_hole(centre_view(batch["image"], self.info.size), rng)
        return views, square(views["corner"], self.hole_px, self.info.size)

    @torch.no_grad()
    def generate(self, batch: Batch, rng: Draws) -> Tensor:
        """Each picture with a hole in it, painted."""
        views, hole = self._ask(batch, rng)
        return self._filled(views, hole)

    def _filled(self, views: Views, hole: Tensor) -> Tensor:
        """The network's answer, in the picture that it was asked about."""
        painted = self._paint(views["masked"]) * self.encoder.std + self.encoder.mean
        return torch.where(hole, painted.clamp(0, 1), views["masked"])

    @torch.no_grad()
    def score(self, batches: Iterable[Batch], rng: Draws) -> Score:
        """Mean PSNR inside the hole, beside that of the rim's mean colour in the same holes."""
        value, trivial, rows = 0.0, 0.0, 0
        for i, batch in enumerate(batches):
            count = batch_rows(batch)
            views, hole = self._ask(batch, rng.batch(i, count))
            whole = views["whole"]
            value += float(psnr_db(self._filled(views, hole), whole, hole).sum())
            trivial += float(psnr_db(self._rim_filling(views, hole), whole, hole).sum())
            rows += count
        return Score(self.metric, value / max(rows, 1), trivial / max(rows, 1), rows)

    def _rim_filling(self, views: Views, hole: Tensor) -> Tensor:
        """The trivial answer: the mean colour of the rim around the hole, in the same picture."""
        width = max(round(RIM * self.info.size), 1)
        wide = square(views["corner"], self.hole_px, self.info.size, grow=width)
        rim = (wide & ~hole).float()
        colour = (views["masked"] * rim).sum((2, 3), keepdim=True) / rim.sum((2, 3), keepdim=True)
        return torch.where(hole, colour, views["masked"])

    @torch.no_grad()
    def panels(self, batch: Batch, rng: Draws, *, answers: bool = True) -> list[Panel]:
        """Pictures with a hole, what the rim's mean colour and the network put there, the truth."""
        count = min(SHOWN, len(batch["image"]))
        shown: Batch = {"image": batch["image"].select(range(count))}
        views, hole = self._ask(shown, rng.batch(0, count))
        masked, whole = views["masked"], views["whole"]
        columns, pictures = ["with a hole", "truth"], [masked, whole]
        texts = [["", ""]] * count
        caption = "The encoder sees the picture with a hole; what was there must be painted"
        if answers:
            fillings = self._rim_filling(views, hole), self._filled(views, hole)
            columns[1:1] = ["rim's mean colour", "network"]
            pictures[1:1] = fillings
            scores = [psnr_db(filling, whole, hole).tolist() for filling in fillings]
            texts = [
                ["", f"{rim:.1f} dB", f"{net:.1f} dB", ""] for rim, net in zip(*scores, strict=True)
            ]
            caption += "; PSNR inside the hole, higher is better"
        return [
            Panel(
                "inpainting",
                "What was in the hole?",
                f"{caption}.",
                columns,
                list(zip(*map(to_uint8, pictures), strict=True)),
                texts,
                "prediction" if answers else "views",
            )
        ]


def square(corner: Tensor, side: int, size: int, grow: int = 0) -> Tensor:
    """Bool (B, 1, size, size), True inside squares of `side` px, `grow` px wider on every side.

    corner: int64 (B, 2): x, y of the upper left pixel. What leaves the picture is cut off.
    """
    place = torch.arange(size, device=corner.device)
    first, end = corner[..., None] - grow, corner[..., None] + side + grow
    inside = (place >= first) & (place < end)
    return (inside[:, 1, :, None] & inside[:, 0, None, :])[:, None]

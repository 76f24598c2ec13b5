"""Autoencoder: the picture, through a bottleneck, back to the picture."""

from __future__ import annotations

import math
from collections.abc import Iterable
from typing import ClassVar

import torch
from torch import Tensor, nn

from hotstart.augment import ViewSettings, centre_view, random_view
from hotstart.config import Field
from hotstart.encoders import ConvDecoder, Encoder
from hotstart.pretext.reconstruction import psnr_db
from hotstart.pretext.task import (
    Batch,
    Draws,
    Info,
    OptimiserSettings,
    Panel,
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
WALK = 7
FIRST_PX = 4


class AutoencoderSettings(Settings):
    """Settings of `autoencoder`."""

    masking: float = Field(default=0.25, ge=0, lt=1)
    """Share of the pixels that are replaced by the mean colour; 0: none."""
    gaussian: float = Field(default=0.0, ge=0, le=1)
    """Deviation of noise added to every value, which lie in 0..1."""
    width: int = Field(default=32, ge=1)
    """Channels of the decoder's last hidden layer."""
    view: ViewSettings = ViewSettings(crop_scale=(0.4, 1.0), jitter=0.0, grey=0.0, blur=0.0)


class Autoencoder(PretextTask):
    """Give back the picture, undisturbed, from the few numbers of its features.

    Vincent 2008 ("Extracting and composing robust features with denoising autoencoders"): input
    with masking noise, squared error against the clean picture (eq. 4-5). The bottleneck is the
    encoder's h itself: all that the decoder knows of the picture are its D numbers.

    Deviations: a convolutional encoder and decoder; errors in units of the encoder's normalised
    pixels; noise falls on whole pixels (all three channels); AdamW.
    """

    metric: ClassVar[str] = "psnr_db"
    Settings: ClassVar[type[Settings]] = AutoencoderSettings
    optimiser: ClassVar[OptimiserSettings] = OptimiserSettings(
        name="adamw", learning_rate=8e-3, weight_decay=1e-4
    )
    batch_size: ClassVar[int] = 64
    settings: AutoencoderSettings

    def __init__(self, encoder: Encoder, settings: AutoencoderSettings, info: Info) -> None:
        super().__init__(encoder, settings, info)
        doublings = max(math.ceil(math.log2(info.size / FIRST_PX)), 1)
        first = settings.width * 2 ** (doublings - 1)
        self.decoder = nn.Sequential(
            nn.Linear(encoder.dim, first * FIRST_PX**2, bias=False),
            nn.Unflatten(1, (first, FIRST_PX, FIRST_PX)),
            nn.BatchNorm2d(first),
            nn.ReLU(inplace=True),
            ConvDecoder(first, doublings=doublings, width=settings.width),
        )

    def views(self, batch: Batch, rng: Draws) -> Views:
        """`whole` and `noised` (B, 3, S, S) in 0..1."""
        whole = random_view(batch["image"], self.settings.view, self.info.size, rng)
        return {"noised": self._noised(whole, rng), "whole": whole}

    def _noised(self, whole: Tensor, rng: Draws) -> Tensor:
        noised, side = whole, whole.shape[-1]
        if self.settings.masking > 0:
            drawn = rng.named("masking").uniform(0, 1, 1, side, side).to(whole.device)
            noised = torch.where(drawn < self.settings.masking, self.encoder.mean, noised)
        if self.settings.gaussian > 0:
            drawn = rng.named("gaussian").normal(3, side, side).to(whole.device)
            noised = (noised + self.settings.gaussian * drawn).clamp(0, 1)
        return noised.contiguous(memory_format=torch.channels_last)

    def forward(self, views: Views, progress: Progress, player: str) -> Step:
        """Mean squared error against the clean picture."""
        truth = self.encoder.normalise(views["whole"])
        said = self._decoded(self.encoder(views["noised"]))
        psnr = psnr_db(self._picture(said.detach()), views["whole"]).mean()
        return Step((said - truth).square().mean(), {"psnr_db": psnr})

    def _decoded(self, h: Tensor) -> Tensor:
        """Features (B, D) -> a picture in the encoder's normalised units."""
        picture: Tensor = self.decoder(h)
        if picture.shape[-1] != self.info.size:
            picture = nn.functional.interpolate(picture, size=self.info.size, mode="bilinear")
        return picture

    def _picture(self, said: Tensor) -> Tensor:
        return (said * self.encoder.std + self.encoder.mean).clamp(0, 1)

    @torch.no_grad()
    def generate(self, batch: Batch, rng: Draws) -> Tensor:
        """Each picture as it comes out of the bottleneck, from an undisturbed input."""
        return self._picture(self._decoded(self.encoder(self._whole(batch))))

    def _whole(self, batch: Batch) -> Tensor:
        return centre_view(batch["image"], self.info.size)

    @torch.no_grad()
    def score(self, batches: Iterable[Batch], rng: Draws) -> Score:
        """Mean PSNR from disturbed whole pictures, beside that of the mean picture of each batch.

        The mean of the very pictures that are asked is the best that one picture for all can be.
        """
        value, trivial, rows = 0.0, 0.0, 0
        for i, batch in enumerate(batches):
            count = batch_rows(batch)
            whole = self._whole(batch)
            said = self._decoded(self.encoder(self._noised(whole, rng.batch(i, count))))
            value += float(psnr_db(self._picture(said), whole).sum())
            trivial += float(psnr_db(whole.mean(0, keepdim=True), whole).sum())
            rows += count
        return Score(self.metric, value / max(rows, 1), trivial / max(rows, 1), rows)

    @torch.no_grad()
    def panels(self, batch: Batch, rng: Draws, *, answers: bool = True) -> list[Panel]:
        """Disturbed pictures, what the network made of them, the truth; and walks through h."""
        count = min(SHOWN, len(batch["image"]))
        whole = self._whole({"image": batch["image"].select(range(count))})
        noised = self._noised(whole, rng.batch(0, count))
        columns, pictures = ["disturbed", "truth"], [noised, whole]
        texts = [["", ""]] * count
        caption = f"The picture through {self.encoder.dim} numbers and back"
        if answers:
            made = self._picture(self._decoded(self.encoder(noised)))
            columns.insert(1, "network")
            pictures.insert(1, made)
            texts = [["", f"{db:.1f} dB", ""] for db in psnr_db(made, whole).tolist()]
            caption += "; PSNR against the truth, higher is better"
        shown = [
            Panel(
                "autoencoder",
                "What was the picture?",
                f"{caption}.",
                columns,
                list(zip(*map(to_uint8, pictures), strict=True)),
                texts,
                "prediction" if answers else "views",
            )
        ]
        return [*shown, self._walk(whole)] if answers and count > 1 else shown

    def _walk(self, whole: Tensor) -> Panel:
        """Straight lines through h from each picture to the next one."""
        h = self.encoder(whole)
        steps = torch.linspace(0, 1, WALK, device=h.device)
        rows = []
        for start, end in zip(h, h.roll(-1, 0), strict=True):
            between = torch.lerp(start.expand(WALK, -1), end.expand(WALK, -1), steps[:, None])
            rows.append(to_uint8(self._picture(self._decoded(between))))
        return Panel(
            "autoencoder-walk",
            "On the way from one picture to the next",
            "Decoded from features that lie evenly between those of two pictures.",
            [f"{share:.0%}" for share in steps.tolist()],
            rows,
            [[""] * WALK] * len(rows),
            "prediction",
        )

"""Autoencoder: what did the picture look like, told from a few numbers, before noise fell on it?"""

from __future__ import annotations

from collections.abc import Iterable
from typing import ClassVar, Literal

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from hotstart.augment import ViewSettings, centre_view, random_view
from hotstart.config import Field
from hotstart.encoders import ConvDecoder, Encoder
from hotstart.pretext.distributed import gather
from hotstart.pretext.painting import mean_score, painted_panel
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
    to_uint8,
)

SHOWN = 6
WALK = (0.25, 0.5, 0.75)
SMALLEST_MAP = 4  # Side in pixels from which the decoder doubles, at least.


class AutoencoderSettings(Settings):
    """Settings of `autoencoder`."""

    noise: Literal["masking", "gaussian"] = "masking"
    """`masking` removes pixels, `gaussian` adds to each value."""
    strength: float = Field(default=0.25, ge=0, lt=1)
    """Share of the pixels that are removed, or the deviation of what is added, in units of the full
    range: the difficulty. 0 is a plain autoencoder."""
    width: int = Field(default=32, ge=1)
    """Channels of the decoder's last hidden layer, at half size."""
    view: ViewSettings = ViewSettings(crop_scale=(0.4, 1.0), jitter=0.0, grey=0.0, blur=0.0)


class Autoencoder(PretextTask):
    """Squeeze a picture with noise through a few numbers, and unfold the clean picture from them.

    Vincent 2008 (denoising autoencoder), section 2.3: y = f(x with noise), z = g(y), squared error
    of z and the clean x. The latent y is the encoder's features h, nothing else reaches the
    decoder: a linear layer spreads h over a small map, transposed convolutions unfold it.

    Deviations: deep convolutional encoder and decoder trained at once, without tied weights, where
    the paper stacks layer upon layer; a pixel is removed from all three channels, with the given
    chance where the paper removes a fixed number, and becomes the mean colour, which is the
    encoder's zero; the squared error that the paper uses for real values, in normalised units;
    AdamW.
    """

    metric: ClassVar[str] = "psnr_db"
    Settings: ClassVar[type[Settings]] = AutoencoderSettings
    optimiser: ClassVar[OptimiserSettings] = OptimiserSettings(
        name="adamw", learning_rate=8e-3, weight_decay=1e-4
    )
    batch_size: ClassVar[int] = 64
    settings: AutoencoderSettings
    mean_image: Tensor

    def __init__(self, encoder: Encoder, settings: AutoencoderSettings, info: Info) -> None:
        super().__init__(encoder, settings, info)
        doublings = 1
        while info.size >= SMALLEST_MAP * 2 ** (doublings + 1):
            doublings += 1
        side, channels = -(-info.size // 2**doublings), settings.width * 2 ** (doublings - 1)
        self.decoder = nn.Sequential(
            nn.Linear(encoder.dim, channels * side**2, bias=False),
            nn.Unflatten(1, (channels, side, side)),
            nn.BatchNorm2d(channels),
            nn.ReLU(inplace=True),
            ConvDecoder(channels, doublings=doublings, width=settings.width),
        )
        grey = encoder.mean[0].expand(3, info.size, info.size).clone()
        self.register_buffer("mean_image", grey)

    def views(self, batch: Batch, rng: Draws) -> Views:
        """`noised` and `whole`, (B, 3, S, S) each."""
        whole = random_view(batch["image"], self.settings.view, self.info.size, rng)
        return self._noised(whole, rng)

    def _noised(self, whole: Tensor, rng: Draws) -> Views:
        size, strength, draws = self.info.size, self.settings.strength, rng.named("noise")
        if self.settings.noise == "masking":
            removed = draws.uniform(0, 1, 1, size, size).to(whole.device) < strength
            noised = torch.where(removed, self.encoder.mean.to(whole), whole)
        else:
            added = draws.normal(3, size, size).to(whole.device) * strength
            noised = (whole + added).clamp(0, 1)
        noised = noised.contiguous(memory_format=torch.channels_last)
        return {"noised": noised, "whole": whole}

    def forward(self, views: Views, progress: Progress, player: str) -> Step:
        """Mean squared error in the encoder's normalised units."""
        whole = views["whole"]
        unfolded = self._decode(self.encoder(views["noised"]))
        loss = F.mse_loss(unfolded, self.encoder.normalise(whole))
        psnr = psnr_db(self._picture(unfolded.detach()), whole).mean()
        return Step(loss, {"psnr_db": psnr}, {"mean": whole.mean(0)})

    @torch.no_grad()
    def after_step(self, step: Step, progress: Progress) -> None:
        """The trivial answer, the mean image, is the mean of all views so far."""
        mean = gather(step.carry["mean"][None]).mean(0)
        self.mean_image.lerp_(mean, 1 / (progress.step + 1))

    def _decode(self, h: Tensor) -> Tensor:
        """Features (B, D) -> pictures in the encoder's normalised units, (B, 3, S, S)."""
        unfolded: Tensor = self.decoder(h)
        if unfolded.shape[-1] != self.info.size:
            unfolded = F.interpolate(unfolded, size=self.info.size, mode="bilinear")
        return unfolded

    def _picture(self, unfolded: Tensor) -> Tensor:
        """From the encoder's units to 0..1."""
        return (unfolded * self.encoder.std + self.encoder.mean).clamp(0, 1)

    def _reconstructed(self, images: Tensor) -> Tensor:
        return self._picture(self._decode(self.encoder(images)))

    def _ask(self, batch: Batch, rng: Draws) -> Views:
        """Whole pictures, uncropped, with noise."""
        return self._noised(centre_view(batch["image"], self.info.size), rng)

    @torch.no_grad()
    def generate(self, batch: Batch, rng: Draws) -> Tensor:
        """Each picture, without noise, as it comes back from its h."""
        return self._reconstructed(centre_view(batch["image"], self.info.size))

    @torch.no_grad()
    def score(self, batches: Iterable[Batch], rng: Draws) -> Score:
        """Mean PSNR of the whole picture, beside that of the mean image of the training views."""

        def measure(batch: Batch, rng: Draws) -> tuple[Tensor, Tensor]:
            views = self._ask(batch, rng)
            whole = views["whole"]
            answer = psnr_db(self._reconstructed(views["noised"]), whole)
            return answer, psnr_db(self.mean_image, whole)

        return mean_score(self.metric, batches, rng, measure)

    @torch.no_grad()
    def panels(self, batch: Batch, rng: Draws, *, answers: bool = True) -> list[Panel]:
        """What goes in, what comes back; and the way between two pictures' h."""
        count = min(SHOWN, len(batch["image"]))
        shown: Batch = {"image": batch["image"].select(range(count))}
        views = self._ask(shown, rng.batch(0, count))
        noised, whole = views["noised"], views["whole"]
        columns, scores = {"with noise": noised}, {}
        caption = f"All that is kept of a picture are {self.encoder.dim} numbers, its features h"
        if answers:
            answer = {
                "mean image": self.mean_image.expand_as(whole),
                "network": self._reconstructed(noised),
            }
            columns |= answer
            scores = {name: psnr_db(pictures, whole) for name, pictures in answer.items()}
            caption += "; PSNR of what comes back from them, higher is better"
        columns["truth"] = whole
        title = "What did the picture look like?"
        panels = [painted_panel("autoencoder", title, f"{caption}.", columns, scores)]
        return [*panels, self._walk(whole)] if answers and count > 1 else panels

    def _walk(self, whole: Tensor) -> Panel:
        """Straight lines in the space of h from each picture to the next one."""
        h = self.encoder(whole)
        target = h.roll(-1, 0)
        ways = [self._picture(self._decode(torch.lerp(h, target, t))) for t in (0, *WALK, 1)]
        pictures = [whole, *ways, whole.roll(-1, 0)]
        return Panel(
            "autoencoder-walk",
            "From one picture to another",
            "What the decoder makes of features h on the straight line between those of two "
            "pictures.",
            ("picture", "its h", *(f"{t:.0%} of the way" for t in WALK), "the other's h", "other"),
            list(zip(*map(to_uint8, pictures), strict=True)),
            [[""] * len(pictures)] * len(whole),
            "prediction",
        )

"""Super-resolution: what did this picture look like before it was reduced?"""

from __future__ import annotations

from collections.abc import Iterable
from typing import ClassVar, Literal

import torch
import torch.nn.functional as F
from torch import Tensor

from hotstart.augment import ViewSettings, centre_view, random_view
from hotstart.config import Field
from hotstart.encoders import ConvDiscriminator, Encoder, PyramidDecoder
from hotstart.errors import UsageError
from hotstart.pretext.adversarial import discriminator_loss, generator_loss
from hotstart.pretext.reconstruction import psnr_db
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
LEAST_PX = 2


class SuperResolutionSettings(Settings):
    """Settings of `super_resolution`."""

    factor: Literal[2, 4, 8] = 4
    """By how much the side is reduced: the difficulty."""
    adversarial_weight: float = Field(default=0.0, ge=0)
    """Of an adversary that tells made pictures from true ones (1e-3 in the paper); 0: none."""
    width: int = Field(default=32, ge=1)
    """Channels of the decoder, and of the adversary's first layer."""
    adversary: OptimiserSettings = OptimiserSettings(
        name="adamw", learning_rate=2e-4, weight_decay=0.0, momentum=0.5
    )
    view: ViewSettings = ViewSettings(crop_scale=(0.4, 1.0), jitter=0.0, grey=0.0, blur=0.0)


class SuperResolution(PretextTask):
    """Give back the detail that a picture lost when it was reduced.

    Ledig 2017 (SRGAN, arXiv:1609.04802): the content loss of eq. 4, the squared error of pixels,
    and, if asked for, the adversarial loss of eq. 6 by a second player.

    Deviations: the encoder sees the reduced picture after it was resized up again (bicubic), since
    it is to be read at that size afterwards, and a decoder of all its stages gives what is to be
    added to it (as in Kim 2016, arXiv:1511.04587); squared errors in units of the encoder's
    normalised pixels; no loss on features of a network that was trained with labels (eq. 5); AdamW.
    """

    metric: ClassVar[str] = "gain_db"
    Settings: ClassVar[type[Settings]] = SuperResolutionSettings
    optimiser: ClassVar[OptimiserSettings] = OptimiserSettings(
        name="adamw", learning_rate=8e-3, weight_decay=1e-4
    )
    batch_size: ClassVar[int] = 64
    settings: SuperResolutionSettings

    def __init__(self, encoder: Encoder, settings: SuperResolutionSettings, info: Info) -> None:
        super().__init__(encoder, settings, info)
        self.low_px = info.size // settings.factor
        if self.low_px < LEAST_PX:
            raise UsageError(
                f"super_resolution.factor: a picture of {info.size} px reduced {settings.factor} "
                f"times has {self.low_px} px, at least {LEAST_PX} px are needed; a smaller factor "
                "or a larger --size"
            )
        self.decoder = PyramidDecoder(
            encoder.stage_dims, channels=3, size=info.size, width=settings.width
        )
        self.discriminator = (
            ConvDiscriminator(info.size, width=settings.width)
            if settings.adversarial_weight > 0
            else None
        )

    def trivial(self, rows: int) -> float:
        """Bicubic interpolation itself."""
        return 0.0

    def players(self) -> dict[str, Player]:
        """The painter (encoder and decoder), then the adversary if there is one."""
        painter = [*self.encoder.parameters(), *self.decoder.parameters()]
        players = {"painter": Player(painter, self.optimiser)}
        if self.discriminator is not None:
            weights = list(self.discriminator.parameters())
            players["adversary"] = Player(weights, self.settings.adversary)
        return players

    def views(self, batch: Batch, rng: Draws) -> Views:
        """`whole` (B, 3, S, S), and `low`: the same reduced, then resized up, bicubic."""
        whole = random_view(batch["image"], self.settings.view, self.info.size, rng)
        return {"low": self._low(whole), "whole": whole}

    def _reduced(self, whole: Tensor) -> Tensor:
        small = F.interpolate(whole, size=self.low_px, mode="bicubic", antialias=True)
        return small.clamp(0, 1)

    def _low(self, whole: Tensor) -> Tensor:
        large = F.interpolate(self._reduced(whole), size=self.info.size, mode="bicubic")
        return large.clamp(0, 1).contiguous(memory_format=torch.channels_last)

    def forward(self, views: Views, progress: Progress, player: str) -> Step:
        """Squared error (and the adversary's opinion); or the adversary's own loss."""
        whole = views["whole"]
        if player == "adversary":
            assert self.discriminator is not None
            real = self.discriminator(self.encoder.normalise(whole))
            made = self.discriminator(self.encoder.normalise(views["made"]))
            right = torch.cat([real > 0, made <= 0]).float().mean()
            return Step(discriminator_loss(real, made), {"adversary_accuracy": right})
        detail = self._detail(views["low"])
        loss = (detail - (whole - views["low"]) / self.encoder.std).square().mean()
        made = views["low"] + detail * self.encoder.std
        metrics = {"gain_db": self._gain_db(made.detach(), views).mean()}
        if self.discriminator is not None:
            fooled = generator_loss(self.discriminator(self.encoder.normalise(made)))
            loss = loss + self.settings.adversarial_weight * fooled
        return Step(loss, metrics, {"made": made.detach()})

    def _detail(self, low: Tensor) -> Tensor:
        """What is to be added to `low`, in the encoder's normalised units."""
        detail: Tensor = self.decoder(self.encoder.stages(low))
        return detail

    def _made(self, low: Tensor) -> Tensor:
        return (low + self._detail(low) * self.encoder.std).clamp(0, 1)

    def _gain_db(self, made: Tensor, views: Views) -> Tensor:
        """PSNR of each picture (B,) above that of bicubic interpolation."""
        whole = views["whole"]
        return psnr_db(made, whole) - psnr_db(views["low"], whole)

    def _ask(self, batch: Batch) -> Views:
        whole = centre_view(batch["image"], self.info.size)
        return {"low": self._low(whole), "whole": whole}

    @torch.no_grad()
    def generate(self, batch: Batch, rng: Draws) -> Tensor:
        """Each picture reduced, and given its detail back."""
        return self._made(self._ask(batch)["low"])

    @torch.no_grad()
    def score(self, batches: Iterable[Batch], rng: Draws) -> Score:
        """Mean gain in PSNR over bicubic interpolation, on whole pictures."""
        value, rows = 0.0, 0
        for batch in batches:
            views = self._ask(batch)
            value += float(self._gain_db(self._made(views["low"]), views).sum())
            rows += batch_rows(batch)
        return Score(self.metric, value / max(rows, 1), 0.0, rows)

    @torch.no_grad()
    def panels(self, batch: Batch, rng: Draws, *, answers: bool = True) -> list[Panel]:
        """The reduced picture, bicubic interpolation, the network's answer, the truth."""
        count = min(SHOWN, len(batch["image"]))
        views = self._ask({"image": batch["image"].select(range(count))})
        low, whole = views["low"], views["whole"]
        coarse = F.interpolate(self._reduced(whole), size=self.info.size)
        columns, pictures = ["reduced", "bicubic", "truth"], [coarse, low, whole]
        plain = [f"{value:.1f} dB" for value in psnr_db(low, whole).tolist()]
        texts = [["", text, ""] for text in plain]
        caption = f"The picture with a side {self.settings.factor} times shorter"
        if answers:
            made = self._made(low)
            columns.insert(2, "network")
            pictures.insert(2, made)
            scores = psnr_db(made, whole).tolist()
            texts = [
                ["", text, f"{value:.1f} dB", ""] for text, value in zip(plain, scores, strict=True)
            ]
        return [
            Panel(
                "super_resolution",
                "What did it look like before it was reduced?",
                f"{caption}; PSNR against the truth, higher is better.",
                columns,
                list(zip(*map(to_uint8, pictures), strict=True)),
                texts,
                "prediction" if answers else "views",
            )
        ]

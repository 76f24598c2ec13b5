"""Video GAN: was this clip filmed, or made from noise?"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, ClassVar

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor, nn

from hotstart.augment import centre_clip, random_clip
from hotstart.config import Field
from hotstart.encoders import ClipGenerator, Encoder
from hotstart.pretext import frechet
from hotstart.pretext.adversarial import diversity, generator_loss
from hotstart.pretext.diff_augment import diff_augment
from hotstart.pretext.generation.gan import Gan, GanSettings
from hotstart.pretext.task import (
    Batch,
    Draws,
    Info,
    OptimiserSettings,
    Panel,
    Progress,
    Settings,
    Spec,
    Step,
    Views,
    batch_rows,
    side_by_side,
    to_uint8,
)

SHOWN = 6
FRAMES, SECONDS = 8, 7 / 8


class VideoGanSettings(GanSettings):
    """Settings of `video_gan`."""

    one_batch: bool = False
    """As of `gan`; in one batch the discriminator of short clips won before anything was made."""
    sparsity: float = Field(default=0.1, ge=0)
    """What a mask of 1 costs the generator: what rests is to be left to the background."""
    seconds: float = Field(default=SECONDS, gt=0)
    """From the first to the last of the eight frames."""
    generator: OptimiserSettings = OptimiserSettings(
        name="adamw", learning_rate=2e-2, weight_decay=0.0, momentum=0.5
    )


class VideoGan(Gan):
    """Tell real clips from those that a generator makes of what moves and what rests.

    Vondrick 2016 (VGAN, arXiv:1609.02612): the generator of section 2.2 in two streams, with its
    penalty on the mask; the discriminator of section 2.3, convolutions in space and time, whose
    features they take for action recognition: the encoder with one linear unit on h.

    Deviations: those of `gan`, but for `one_batch`; clips of 8 frames, that were not
    stabilised; the penalty is the mean of the mask.
    """

    name: ClassVar[str] = "video_gan"
    needs: ClassVar[Mapping[str, Spec]] = {"clip": Spec(FRAMES, SECONDS)}
    accepts: ClassVar[frozenset[str]] = frozenset({"video"})
    metric: ClassVar[str] = frechet.METRIC_OF_CLIPS
    optimiser: ClassVar[OptimiserSettings] = OptimiserSettings(
        name="adamw", learning_rate=4e-3, weight_decay=0.0, momentum=0.5
    )
    Settings: ClassVar[type[Settings]] = VideoGanSettings
    settings: VideoGanSettings
    generator: ClipGenerator

    def __init__(self, encoder: Encoder, settings: VideoGanSettings, info: Info) -> None:
        super().__init__(encoder, settings, info)
        self.needs = {"clip": Spec(FRAMES, settings.seconds)}  # type: ignore[misc]

    def _new_generator(self) -> nn.Module:
        own = self.settings
        return ClipGenerator(own.noise, self.info.size, FRAMES, width=own.width)

    def _new_space(self) -> nn.Module:
        return frechet.RandomConvOfClips()

    def _random(self, batch: Batch, rng: Draws) -> Tensor:
        return random_clip(batch["clip"], self.settings.view, self.info.size, rng)

    def _whole(self, batch: Batch) -> Tensor:
        return centre_clip(batch["clip"], self.info.size)

    def augmented(self, pictures: Tensor, views: Views, which: str) -> Tensor:
        """What the discriminator sees of clips: all frames are augmented alike."""
        if self.settings.augment:
            rows, frames = len(pictures), pictures.shape[2]
            draws = views[f"augment_{which}"].repeat_interleave(frames, 0)
            flat = pictures.transpose(1, 2).flatten(0, 1)
            done = diff_augment(flat, draws, self.settings.augment)
            pictures = done.unflatten(0, (rows, frames)).transpose(1, 2)
        return pictures.contiguous(memory_format=torch.channels_last_3d)

    def forward(self, views: Views, progress: Progress, player: str) -> Step:
        """As `gan`; and what the mask costs."""
        if player != "generator":
            return super().forward(views, progress, player)
        streams = self.generator.streams(2 * views["noise"] - 1)
        made, shown = streams.clip, streams.mask.mean()
        loss = generator_loss(self._on_made(made, views)) + self.settings.sparsity * shown
        metrics = {"diversity": diversity(made, views["image"]), "mask": shown.detach()}
        return Step(loss, metrics, {"made": made.detach()})

    @torch.no_grad()
    def generate(self, batch: Batch, rng: Draws) -> Tensor:
        """A clip from noise for each row."""
        return side_by_side(super().generate(batch, rng))

    @torch.no_grad()
    def panels(self, batch: Batch, rng: Draws, *, answers: bool = True) -> list[Panel]:
        """Real clips beside made ones; and once trained, made ones and their streams."""
        asked = self._question(batch, rng)
        return [asked, self._streams(rng)] if answers else [asked]

    def _question(self, batch: Batch, rng: Draws) -> Panel:
        count = min(SHOWN, batch_rows(batch))
        real = self._whole({"clip": batch["clip"].select(range(count))})
        made = self._before(self._noise(count, rng.named("question")))
        some = (0, 3, 7)
        return Panel(
            f"{self.name}-question",
            "Filmed or made?",
            "What the discriminator must tell apart, at the first step: three of the eight frames "
            "of real clips, and of what the untrained generator makes of noise.",
            [f"{name} {t + 1}" for name in ("real", "made") for t in some],
            _table(real[:, :, some], made[:, :, some]),
            [[""] * 6] * count,
        )

    def _streams(self, rng: Draws) -> Panel:
        averaged: Any = self.averaged.network
        made = averaged.streams(2 * self._noise(SHOWN, rng.named("samples")) - 1)
        ends, some = (0, 7), (0, 2, 4, 7)
        mask = made.mask.expand_as(made.foreground)
        columns = [f"foreground {t + 1}" for t in ends] + [f"mask {t + 1}" for t in ends]
        columns += ["background", *(f"clip {t + 1}" for t in some)]
        return Panel(
            f"{self.name}-streams",
            "Made from noise, of three streams",
            "The foreground where the mask is white, the background elsewhere, make the clip. Of "
            "each, some of the eight frames; the first noise drawn, not the best.",
            columns,
            _table(
                made.foreground[:, :, ends],
                mask[:, :, ends],
                made.background,
                made.clip[:, :, some],
            ),
            [[""] * len(columns)] * SHOWN,
            "prediction",
        )


def _table(*clips: Tensor) -> list[list[npt.NDArray[np.uint8]]]:
    """Of each row the frames of all clips (B, 3, T, H, W) from left to right."""
    together = torch.cat(clips, 2).transpose(1, 2)
    return [to_uint8(frames) for frames in together]

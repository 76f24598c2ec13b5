"""Audio-visual synchronization: are picture and sound in time?"""

from __future__ import annotations

import math
from collections.abc import Mapping
from pathlib import Path
from typing import ClassVar

import torch
import torch.nn.functional as F
from pydantic import model_validator
from torch import Tensor

from hotstart.augment import ViewSettings
from hotstart.config import Field
from hotstart.data.clips import spans
from hotstart.data.sample import SOUND_HZ, Spec
from hotstart.data.subset import Subset
from hotstart.encoders import Encoder
from hotstart.errors import UsageError
from hotstart.pretext.audio_visual import AudioVisualSettings, AudioVisualTask
from hotstart.pretext.distributed import each_share, gather, rank
from hotstart.pretext.losses import across_nce
from hotstart.pretext.matching import LOTS, each_with_each, strangers
from hotstart.pretext.sound_panels import match_panel, strip
from hotstart.pretext.task import (
    Batch,
    Draws,
    Info,
    Panel,
    Progress,
    Settings,
    Step,
    Views,
    to_uint8,
)

SHOWN = 6
SILENCE = 1e-3
"""Of full scale (-60 dB): what stays below it is not heard."""
SLACK = 0.2
"""By how much frames may lie closer together or wider apart than asked, as a share of that."""


class AudioVisualSynchronizationSettings(AudioVisualSettings):
    """Settings of `audio_visual_synchronization`."""

    frames: int = Field(default=5, ge=2)
    """T that are seen at once."""
    frames_hz: float = Field(default=8.0, gt=0)
    """Of these; what is heard at once lasts T / frames_hz seconds."""
    least_shift_seconds: float = Field(default=0.3, gt=0)
    """By which sound out of time is early or late: the difficulty."""
    most_shift_seconds: float = Field(default=1.0, gt=0)
    motion_only: bool = True
    view: ViewSettings = ViewSettings(
        crop_scale=(0.5, 1.0), flip=0.0, jitter=0.0, grey=0.0, blur=0.0
    )
    """Colours as they are: where they change, lips are learnt much later."""
    hard_from: float = Field(default=0.0, ge=0, le=1)
    """Share of the run after which sound of the same video, out of time, is among the wrong ones;
    before, it is of other videos alone, which is easier (Korbar 2018, section 3.3)."""

    @model_validator(mode="after")
    def _shifts(self) -> AudioVisualSynchronizationSettings:
        least, most = self.shifts
        if least > most:
            raise ValueError(
                f"shifts of {self.least_shift_seconds} to {self.most_shift_seconds} s hold no "
                f"whole frame at {self.frames_hz} a second: widen them or raise frames_hz"
            )
        return self

    @property
    def shifts(self) -> tuple[int, int]:
        """The least and the greatest shift, in frames."""
        least = math.ceil(self.least_shift_seconds * self.frames_hz - 1e-6)
        return max(least, 1), math.floor(self.most_shift_seconds * self.frames_hz + 1e-6)


class AudioVisualSynchronization(AudioVisualTask):
    """Tell whether picture and sound of one video are in time or shifted.

    Korbar 2018, "Cooperative Learning of Audio and Video Models from Self-Supervised
    Synchronization" (arXiv:1807.00230). Of every video two moments are taken that lie a shift
    apart, and each of the two pictures is held against each of the two sounds: two pairs are in
    time, two are early or late. Every picture and every sound is thus in one pair of either kind,
    so that nothing that it is by itself (the silence at the start of a recording) tells the answer.
    No sound is read beyond the ends of a video.

    `objective`: `binary`, yes or no to each pair; `contrastive`, the right sound among those of all
    moments of the batch, the shifted one of the same video among them. The score is always asked
    of shifted pairs of one video: the share that is judged rightly (`binary`), or how often the
    sound in time fits better (`contrastive`).

    Deviations: cross-entropy in place of the margin loss (eq. 1); both moments are of one batch;
    frames by an image encoder, in their order, in place of a 3-D network, less their mean: what
    stands still does not tell the time.
    """

    needs: ClassVar[Mapping[str, Spec]] = {"clip": Spec(), "audio": Spec(), "group": Spec()}
    Settings: ClassVar[type[Settings]] = AudioVisualSynchronizationSettings
    batch_size: ClassVar[int] = 32
    settings: AudioVisualSynchronizationSettings

    def __init__(
        self, encoder: Encoder, settings: AudioVisualSynchronizationSettings, info: Info
    ) -> None:
        frames, hz = settings.frames, settings.frames_hz
        super().__init__(encoder, settings, info, frames=frames, seconds=frames / hz)
        self.loaded = frames + settings.shifts[1]
        self.needs = {  # type: ignore[misc]  # as long as its settings say
            "clip": Spec(frames=self.loaded, seconds=(self.loaded - 1) / hz),
            "audio": Spec(seconds=self.loaded / hz),
            "group": Spec(),
        }

    def prepare(self, dataset: Subset, cache: Path, rng: Draws) -> None:
        """Raise UsageError where no video is long enough, or none has frames enough a second."""
        stretches, spec = dataset.dataset.stretches, self.needs["clip"]
        if stretches is None or spec.seconds is None:
            return
        shown = spans(stretches, dataset.items, spec)
        if not (abs(shown / spec.seconds - 1) < SLACK).any():
            raise UsageError(
                f"audio_visual_synchronization looks at {spec.seconds:.2f} s of a video at "
                f"{self.settings.frames_hz:g} frames a second, and none of these {len(dataset)} "
                "gives that; shorten most_shift_seconds or frames, or lower frames_hz"
            )

    def views(self, batch: Batch, rng: Draws) -> Views:
        """Two moments of each video: `clip` (B, 2, 3, T, S, S), `sound` (B, 2, n).

        `group`, and the lots of `wrong` sounds (B, 2). `whole` bool (B,): False for a video that is
        too short, or has too few frames a second, to be seen and heard as asked, and where both
        moments are silent: who is to tell them apart?
        """
        least, most = self.settings.shifts
        shift = rng.named("shift").integers(least, most + 1)
        free = self.loaded - self.frames - shift
        place = (rng.named("place").uniform() * (free + 1)).long()
        first = torch.minimum(place, free)
        # The earlier one comes first for every other video.
        starts = torch.stack([first, first + shift], 1)
        turned = rng.named("turn").integers(0, 2)[:, None] == 1
        starts = torch.where(turned, starts.flip(1), starts)
        order = starts[..., None] + torch.arange(self.frames)
        clips = batch["clip"]
        seen = self.watch(clips.in_order(order.flatten(1)), rng)
        audio = self.listen(batch["audio"], rng)
        sound = self._heard(audio, starts.to(audio.device))
        whole = self._whole(clips.times).to(audio.device)
        return {
            "clip": seen.unflatten(2, (2, self.frames)).transpose(1, 2),
            "sound": sound,
            "group": batch["group"],
            "wrong": rng.named("wrong").integers(0, LOTS, 2).to(audio.device),
            "whole": whole & (sound.abs().amax((1, 2)) >= SILENCE),
        }

    def _heard(self, audio: Tensor, starts: Tensor) -> Tensor:
        """What sounds while frames from `starts` (B, 2) on are shown: (B, n_long) -> (B, 2, n)."""
        length = round(self.seconds * SOUND_HZ)
        begin = (starts.double() / self.settings.frames_hz * SOUND_HZ).round().long()
        begin = begin.clamp(max=audio.shape[1] - length)
        places = begin[..., None] + torch.arange(length, device=audio.device)
        return audio.gather(1, places.flatten(1)).view(*starts.shape, length)

    def _whole(self, times: Tensor) -> Tensor:
        asked = (self.loaded - 1) / self.settings.frames_hz
        whole: Tensor = ((times[:, -1] - times[:, 0]) / asked - 1).abs() < SLACK
        return whole

    def embed(self, views: Views) -> tuple[Tensor, Tensor]:
        """Projections of all that is seen and heard, (2B, P) each: a video's two side by side."""
        return self.see(views["clip"].flatten(0, 1)), self.hear(views["sound"].flatten(0, 1))

    def forward(self, views: Views, progress: Progress, player: str) -> Step:
        """Binary: cross-entropy of yes and no, ln 2 at chance. Contrastive: ln 2B."""
        seen, heard = self.embed(views)
        yes = self.agreement(seen, heard)
        # The other moment of the same video.
        no = self.agreement(seen, heard.view(-1, 2, heard.shape[1]).flip(1).flatten(0, 1))
        there = views["whole"].to(yes.dtype).repeat_interleave(2)
        binary = self.settings.objective == "binary"
        right = ((yes > 0).to(yes.dtype) + (no < 0).to(yes.dtype)) / 2 if binary else yes > no
        asked = each_share(there.sum())
        # Where no video of the batch is whole, nothing is known and nothing learnt.
        share = (right.to(yes.dtype) * there).sum() / asked.clamp_min(1)
        accuracy = torch.where(asked > 0, share, 0.5)
        hard = progress.fraction >= self.settings.hard_from
        groups = views["group"].repeat_interleave(2)
        if binary:
            if not hard:
                partner, valid = strangers(groups, views["wrong"].flatten())
                no, there = self.agreement(seen, gather(heard)[partner]), there * valid
            each = F.softplus(-yes) + F.softplus(no)
            loss = (each * there).sum() / (2 * each_share(there.sum()).clamp_min(1))
        else:
            everyone = torch.arange(len(groups), device=groups.device) + rank() * len(groups)
            loss = across_nce(
                seen,
                heard,
                self.settings.temperature,
                everyone if hard else groups,
                asked=there > 0,
            )
        return Step(loss, {"accuracy": accuracy})

    @torch.no_grad()
    def panels(self, batch: Batch, rng: Draws, *, answers: bool = True) -> list[Panel]:
        """Pictures over sound in time and out of time and, with `answers`, how well each fits."""
        views = self.views(batch, rng)
        rows = views["whole"].nonzero()[:SHOWN, 0]
        views = {key: view[rows] for key, view in views.items()}
        sounds = list(views["sound"].flatten(0, 1))
        frames = views["clip"][:, 0].transpose(1, 2)
        strips = [strip(to_uint8(clip)) for clip in frames]
        cells = [
            [(strip, sounds[2 * i]), (strip, sounds[2 * i + 1])] for i, strip in enumerate(strips)
        ]
        texts = [["", ""] for _ in strips]
        caption = (
            f"Frames of {self.seconds:.2f} s over the sound of the same moment, and over sound of "
            f"the same video, {self.settings.least_shift_seconds:g} to "
            f"{self.settings.most_shift_seconds:g} s earlier or later"
        )
        if answers:
            seen, heard = self.embed(views)
            fits = each_with_each(self.agreement, seen, heard).cpu()
            both = [(float(fits[k, k]), float(fits[k, k + 1])) for k in range(0, len(fits), 2)]
            texts = [[f"fits {own:.1f}", f"fits {other:.1f}"] for own, other in both]
            better = sum(own > other for own, other in both)
            caption += f"; what is in time fits better in {better} of {len(both)}"
        return [
            match_panel(
                "audio_visual_synchronization",
                "Which sound is in time?",
                f"{caption}.",
                ("in time", "out of time"),
                cells,
                texts,
                "prediction" if answers else "views",
            )
        ]

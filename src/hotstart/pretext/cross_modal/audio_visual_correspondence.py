"""Audio-visual correspondence: does this sound belong to this picture?"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import ClassVar

import torch
import torch.nn.functional as F
from pydantic import model_validator
from torch import Tensor

from hotstart.config import Field
from hotstart.data.sample import Spec
from hotstart.encoders import Encoder
from hotstart.pretext.audio_visual import AudioVisualSettings, AudioVisualTask
from hotstart.pretext.distributed import each_share, gather
from hotstart.pretext.losses import across_nce
from hotstart.pretext.matching import LOTS, distinct, each_with_each, score_matches, strangers
from hotstart.pretext.sound_panels import heat_over, match_panel
from hotstart.pretext.task import (
    Batch,
    Draws,
    Info,
    Panel,
    Progress,
    Score,
    Settings,
    Step,
    Views,
    to_uint8,
)

SHOWN = 6


class AudioVisualCorrespondenceSettings(AudioVisualSettings):
    """Settings of `audio_visual_correspondence`."""

    frames: int = Field(default=1, ge=1)
    """T that are seen, spread over the sound. The paper's one suits scenes; lips need several."""
    seconds: float = Field(default=1.0, gt=0)
    """Of sound; the picture is in their middle."""

    @model_validator(mode="after")
    def _motion(self) -> AudioVisualCorrespondenceSettings:
        if self.motion_only and self.frames < 2:
            raise ValueError(f"motion_only needs frames of 2 or more, got {self.frames}")
        return self


class AudioVisualCorrespondence(AudioVisualTask):
    """Tell whether a picture and a second of sound come from the same video.

    Arandjelovic & Zisserman 2017, "Look, Listen and Learn" (arXiv:1705.08168): two networks that
    meet only in a head. Every picture of a batch comes with its own sound and with one of another
    group, drawn evenly; so nothing that a picture, or a sound, is by itself tells the answer.

    `objective`: `binary`, the paper's, yes or no to each pair, by a head that reads both
    projections (its fc3 of 128); `contrastive`, the right one among all of the batch, in both
    directions (`across_nce`), which also puts both into one space.

    The score is the share of pairs that are judged rightly (`binary`), or how often the own sound
    fits better than the wrong one (`contrastive`); beside it, how often the right one is among the
    best 1, 5 and 10 of up to 100 videos, of sounds for a picture and of pictures for a sound.

    Deviations: projections before the head; a deep sound encoder of pooled moments, T of them for T
    frames; AdamW; `frames` and `region` for videos that differ in nothing but what moves.
    """

    needs: ClassVar[Mapping[str, Spec]] = {"clip": Spec(), "audio": Spec(), "group": Spec()}
    Settings: ClassVar[type[Settings]] = AudioVisualCorrespondenceSettings
    settings: AudioVisualCorrespondenceSettings

    def __init__(
        self, encoder: Encoder, settings: AudioVisualCorrespondenceSettings, info: Info
    ) -> None:
        frames, seconds = settings.frames, settings.seconds
        super().__init__(encoder, settings, info, frames=frames, seconds=seconds)
        span = seconds * (frames - 1) / frames
        self.needs = {  # type: ignore[misc]  # as long as its settings say
            "clip": Spec(frames=frames, seconds=span),
            "audio": Spec(seconds=seconds),
            "group": Spec(),
        }

    def views(self, batch: Batch, rng: Draws) -> Views:
        """`clip` (B, 3, T, S, S), its `sound` (B, n), `group`, and the lot of a `wrong` one."""
        device = batch["audio"].device
        return {
            "clip": self.watch(batch["clip"], rng),
            "sound": self.listen(batch["audio"], rng),
            "group": batch["group"],
            "wrong": rng.named("wrong").integers(0, LOTS).to(device),
        }

    def embed(self, views: Views) -> tuple[Tensor, Tensor]:
        """Projections of the pictures and of their own sounds, (B, P) each."""
        return self.see(views["clip"]), self.hear(views["sound"])

    def forward(self, views: Views, progress: Progress, player: str) -> Step:
        """Binary: cross-entropy of yes and no, ln 2 at chance. Contrastive: ln B."""
        return self._answer(*self.embed(views), views)

    def _answer(self, seen: Tensor, heard: Tensor, views: Views) -> Step:
        partner, valid = strangers(views["group"], views["wrong"])
        yes = self.agreement(seen, heard)
        no = self.agreement(seen, gather(heard)[partner])
        there = valid.to(yes.dtype)
        count = each_share(there.sum()).clamp_min(1)
        if self.settings.objective == "binary":
            asked = F.softplus(-yes) + F.softplus(no)
            loss = (asked * there).sum() / (2 * count)
            right = ((yes > 0).to(yes.dtype) + (no < 0).to(yes.dtype)) / 2
        else:
            loss = across_nce(seen, heard, self.settings.temperature, views["group"])
            right = (yes > no).to(yes.dtype)
        # Where all are of one group, nothing is asked, and half would be right.
        return Step(loss, {"accuracy": torch.where(valid, right, 0.5).mean()})

    def score(self, batches: Iterable[Batch], rng: Draws) -> Score:
        """The share of right answers, and how well sound and picture are found by the other."""
        return score_matches(
            self,
            batches,
            rng,
            embeds=self.embed,
            answers=self._answer,
            agrees=self.agreement,
            sought=("sound", "picture"),
        )

    @torch.no_grad()
    def panels(self, batch: Batch, rng: Draws, *, answers: bool = True) -> list[Panel]:
        """Pictures, their sound, and with `answers` what fits: places, the best and worst sound."""
        views = self.views(batch, rng)
        chosen = distinct(views["group"])
        views = {key: view[chosen] for key, view in views.items()}
        middle = views["clip"][:, :, self.frames // 2]
        sounds = list(views["sound"])
        shown = range(min(SHOWN, len(middle)))
        pictures = to_uint8(middle)
        if not answers:
            return [
                match_panel(
                    "audio_visual_correspondence",
                    "Does this sound belong to this picture?",
                    "A picture over the sound that belongs to it, and over one of another video.",
                    ("right", "wrong"),
                    [[(pictures[i], sounds[i]), (pictures[i], sounds[i - 1])] for i in shown],
                    [["", ""] for _ in shown],
                )
            ]
        seen, heard = self.embed(views)
        fits = each_with_each(self.agreement, seen, heard)
        best, worst = fits.argmax(1).tolist(), fits.argmin(1).tolist()
        place = (fits > fits.diagonal()[:, None]).sum(1).tolist()
        heat = heat_over(middle[: len(shown)], self.heat(views["clip"], heard)[: len(shown)])
        rows = [
            [
                (pictures[i], sounds[i]),
                (heat[i], sounds[i]),
                (pictures[best[i]], sounds[best[i]]),
                (pictures[worst[i]], sounds[worst[i]]),
            ]
            for i in shown
        ]
        texts = [
            [
                f"its own sound: place {place[i] + 1} of {len(fits)}",
                "",
                "its own" if best[i] == i else "of another",
                "its own" if worst[i] == i else "of another",
            ]
            for i in shown
        ]
        return [
            match_panel(
                "audio_visual_correspondence",
                "Which sound belongs to this picture?",
                f"Held-out pictures over their sound, and which of {len(fits)} sounds fit best and "
                "worst, each under the picture that it belongs to. In the second column what fits "
                "the sound is red, what does not is blue.",
                ("picture, its sound", "where it sounds", "fits best", "fits worst"),
                rows,
                texts,
                "prediction",
            )
        ]

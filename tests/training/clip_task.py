"""A pretext task on clips with sound, small enough for a test: was the clip shown backwards?"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, ClassVar

import torch
import torch.nn.functional as F
from torch import nn

from hotstart.augment import centre_clip, log_mel
from hotstart.data.sample import Spec
from hotstart.encoders import Encoder
from hotstart.pretext.task import (
    Batch,
    Draws,
    Info,
    PretextTask,
    Progress,
    Settings,
    Step,
    Views,
)


class BackwardsSettings(Settings):
    """It has none."""


class Backwards(PretextTask):
    """Features of three frames and of the sound, one after the other -> forwards or backwards."""

    needs: ClassVar[Mapping[str, Spec]] = {
        "clip": Spec(frames=3, seconds=0.2),
        "audio": Spec(seconds=0.1),
        "index": Spec(),
    }
    Settings: ClassVar[type[Settings]] = BackwardsSettings
    batch_size: ClassVar[int] = 8

    def __init__(self, encoder: Encoder, settings: Any, info: Info) -> None:
        super().__init__(encoder, settings, info)
        self.classifier = nn.Linear(3 * encoder.dim + 64, 2)

    def trivial(self, rows: int) -> float:
        return 0.5

    def views(self, batch: Batch, rng: Draws) -> Views:
        clips = centre_clip(batch["clip"], self.info.size)
        backwards = rng.named("backwards").integers(0, 2)
        turned = torch.where((backwards == 1)[:, None, None, None, None], clips.flip(2), clips)
        sound = log_mel(batch["audio"]).mean(3)[:, 0]
        times = batch["clip"].times
        return {"clip": turned, "sound": sound, "pseudo_label": backwards, "times": times}

    def forward(self, views: Views, progress: Progress, player: str) -> Step:
        clip = views["clip"]
        frames = clip.transpose(1, 2).flatten(0, 1)
        features = self.encoder(frames).view(len(clip), -1)
        logits = self.classifier(torch.cat([features, views["sound"]], 1))
        truth = views["pseudo_label"]
        accuracy = (logits.argmax(1) == truth).float().mean()
        return Step(F.cross_entropy(logits, truth), {"accuracy": accuracy})

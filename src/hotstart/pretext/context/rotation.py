"""Rotation: which way is this picture turned?"""

from __future__ import annotations

from typing import ClassVar

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from hotstart.augment import ViewSettings, random_view
from hotstart.encoders import Encoder
from hotstart.pretext.task import (
    Batch,
    Draws,
    Info,
    OptimiserSettings,
    Panel,
    PretextTask,
    Progress,
    Settings,
    Step,
    Views,
    to_uint8,
)

TURNS = 4
SHOWN = 6


class RotationSettings(Settings):
    """Settings of `rotation`."""

    all_four: bool = True
    """Each picture in all four rotations, as in the paper; else in one drawn at random."""
    view: ViewSettings = ViewSettings(
        crop_scale=(0.3, 1.0), strength=0.5, jitter=0.8, grey=0.1, blur=0.0
    )


class Rotation(PretextTask):
    """Predict by which multiple of 90 degrees a picture was turned.

    Gidaris 2018 (arXiv:1803.07728), eq. 1-3. The turn is a permutation of pixels made last, on the
    finished square view, so that no interpolation tells which way the picture lies. Deviation: the
    views are cropped and coloured more strongly than the paper's, and AdamW replaces SGD.
    """

    Settings: ClassVar[type[Settings]] = RotationSettings
    optimiser: ClassVar[OptimiserSettings] = OptimiserSettings(
        name="adamw", learning_rate=2e-3, weight_decay=5e-4
    )
    batch_size: ClassVar[int] = 128
    settings: RotationSettings

    def __init__(self, encoder: Encoder, settings: RotationSettings, info: Info) -> None:
        super().__init__(encoder, settings, info)
        self.classifier = nn.Linear(encoder.dim, TURNS)

    def trivial(self, rows: int) -> float:
        """Chance."""
        return 1 / TURNS

    def views(self, batch: Batch, rng: Draws) -> Views:
        """`image` (B or 4B, 3, S, S) and `pseudo_label`, quarter turns counter-clockwise."""
        upright = random_view(batch["image"], self.settings.view, self.info.size, rng)
        if self.settings.all_four:
            turns = torch.arange(TURNS).repeat_interleave(len(upright))
            images = torch.cat([torch.rot90(upright, turn, (2, 3)) for turn in range(TURNS)])
        else:
            turns = rng.named("turn").integers(0, TURNS)
            images = turned(upright, turns)
        return {
            "image": images.contiguous(memory_format=torch.channels_last),
            "pseudo_label": turns.to(upright.device),
        }

    def forward(self, views: Views, progress: Progress, player: str) -> Step:
        """Cross-entropy over the four rotations; ln 4 at chance."""
        logits = self.classifier(self.encoder(views["image"]))
        truth = views["pseudo_label"]
        accuracy = (logits.argmax(1) == truth).float().mean()
        return Step(F.cross_entropy(logits, truth), {"accuracy": accuracy})

    @torch.no_grad()
    def panels(self, batch: Batch, rng: Draws, *, answers: bool = True) -> list[Panel]:
        """Some pictures, turned, with the network's answer."""
        shown = batch["image"].select(range(min(SHOWN, len(batch["image"]))))
        draws = rng.batch(0, len(shown))
        upright = random_view(shown, self.settings.view, self.info.size, draws)
        turns = draws.named("turn").integers(0, TURNS)
        images = turned(upright, turns)
        pictures = list(zip(to_uint8(upright), to_uint8(images), strict=True))
        caption = "Pictures turned counter-clockwise by an angle that the network must name"
        texts = [("", f"{90 * turn}°") for turn in turns.tolist()]
        if answers:
            said = self.classifier(self.encoder(images)).softmax(1).cpu()
            best = said.argmax(1)
            caption += f": {int((best == turns).sum())} of {len(shown)} right here"
            texts = [
                ("", f"{asked}: said {90 * int(turn)}° ({share[turn]:.0%})")
                for (_, asked), turn, share in zip(texts, best, said, strict=True)
            ]
        return [
            Panel(
                "rotation",
                "Which way is it turned?",
                f"{caption}.",
                ("view", "turned"),
                pictures,
                texts,
                "prediction" if answers else "views",
            )
        ]


def turned(images: Tensor, turns: Tensor) -> Tensor:
    """Each picture of (B, 3, S, S) turned counter-clockwise by turns[i] quarters, exactly."""
    return torch.stack(
        [torch.rot90(image, int(turn), (1, 2)) for image, turn in zip(images, turns, strict=True)]
    )

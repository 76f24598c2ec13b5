"""Relative position: where does this patch lie, seen from the other one?"""

from __future__ import annotations

from typing import ClassVar

import torch
import torch.nn.functional as F
from torch import Tensor

from hotstart.augment import ViewSettings
from hotstart.config import Field
from hotstart.encoders import Encoder, mlp
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
from hotstart.pretext.tiles import CELLS, CENTRE, Grid, montage

SHOWN = 6
HIDDEN_DIM = 256
PLACES = CELLS - 1
NAMES = (
    "above left",
    "above",
    "above right",
    "left",
    "right",
    "below left",
    "below",
    "below right",
)
AROUND = tuple(cell for cell in range(CELLS) if cell != CENTRE)
GREEN_MAGENTA = (-1.0, 2.0, -1.0)


class RelativePositionSettings(Settings):
    """Settings of `relative_position`."""

    gap: float = Field(default=0.5, ge=0, le=2)
    """Between patches, as a share of a patch's side: the difficulty."""
    jitter: float = Field(default=14 / 96, ge=0, le=1)
    """By how much a patch may be shifted; 0 with `gap` 0 takes the guard off."""
    project_colour: bool = True
    """Without green against magenta, so that a lens's colour fringes do not tell the place."""
    view: ViewSettings = ViewSettings(
        crop_scale=(0.5, 1.0), strength=0.5, jitter=0.8, grey=0.3, blur=0.0, flip=0.5
    )


class RelativePosition(PretextTask):
    """Tell where one patch lies, seen from another: one of eight neighbours.

    Doersch 2015 (arXiv:1505.05192): two patches of one picture go through the same encoder, and a
    head that sees both names the place of the second around the first. Guards of section 3.1: a gap
    of half a patch, shifts of up to 7 px of 96 either way, and colours projected so that green
    against magenta, where chromatic aberration shows, is gone.

    Deviations: the encoder is whole, the head reads its h; each picture gives its middle patch with
    all eight neighbours (nine patches through the encoder for eight questions, as against sixteen);
    patches keep their contrast; colour jitter; AdamW. The picture is resized up before it is cut
    where patches would be smaller than the encoder can take.
    """

    Settings: ClassVar[type[Settings]] = RelativePositionSettings
    optimiser: ClassVar[OptimiserSettings] = OptimiserSettings(
        name="adamw", learning_rate=2e-3, weight_decay=5e-4
    )
    batch_size: ClassVar[int] = 128
    settings: RelativePositionSettings

    def __init__(self, encoder: Encoder, settings: RelativePositionSettings, info: Info) -> None:
        super().__init__(encoder, settings, info)
        self.grid = Grid.of(encoder, info.size, settings.gap, settings.jitter)
        self.classifier = mlp((2 * encoder.dim, HIDDEN_DIM, PLACES))

    def trivial(self, rows: int) -> float:
        """Chance."""
        return 1 / PLACES

    def views(self, batch: Batch, rng: Draws) -> Views:
        """`centre` (B, 3, t, t), `image` (8B, 3, t, t), `pseudo_label` int64 (8B,).

        Row 8 i + k of `image` is the neighbour in place k of `centre` row i.
        """
        return self._patches(self._whole(batch, rng), rng)

    def _whole(self, batch: Batch, rng: Draws) -> Tensor:
        """What the patches are cut out of."""
        return self.grid.view(batch["image"], self.settings.view, rng)

    def _patches(self, whole: Tensor, rng: Draws) -> Views:
        tiles = self.grid.cut(whole, rng)
        places = torch.arange(PLACES, device=whole.device)
        return {
            "centre": tiles[:, CENTRE].contiguous(),
            "image": tiles[:, list(AROUND)].flatten(0, 1).contiguous(),
            "pseudo_label": places.repeat(len(tiles)),
        }

    def forward(self, views: Views, progress: Progress, player: str) -> Step:
        """Cross-entropy over the eight places; ln 8 at chance."""
        logits = self._logits(views["centre"], views["image"])
        truth = views["pseudo_label"]
        accuracy = (logits.argmax(1) == truth).float().mean()
        return Step(F.cross_entropy(logits, truth), {"accuracy": accuracy})

    def _logits(self, centre: Tensor, around: Tensor) -> Tensor:
        patches = torch.cat([centre, around]).contiguous(memory_format=torch.channels_last)
        if self.settings.project_colour:
            patches = without_fringes(patches)
        h = self.encoder(patches)
        first = h[: len(centre)].repeat_interleave(PLACES, 0)
        logits: Tensor = self.classifier(torch.cat([first, h[len(centre) :]], 1))
        return logits

    @torch.no_grad()
    def panels(self, batch: Batch, rng: Draws, *, answers: bool = True) -> list[Panel]:
        """The middle patch, one of its neighbours, and the place that the network names."""
        count = min(SHOWN, len(batch["image"]))
        draws = rng.batch(0, count)
        whole = self._whole({"image": batch["image"].select(range(count))}, draws)
        views = self._patches(whole, draws)
        asked = draws.named("asked").integers(0, PLACES)
        rows = torch.arange(count) * PLACES + asked
        # The question as the eye takes it: everything else is grey.
        grid = torch.full((count, CELLS, *views["centre"].shape[1:]), 0.5, device=whole.device)
        grid[:, CENTRE] = views["centre"]
        grid[torch.arange(count), torch.tensor(AROUND)[asked]] = views["image"][rows]
        pictures = [views["centre"], views["image"][rows], montage(grid), whole]
        texts = [["", "", NAMES[place], ""] for place in asked.tolist()]
        caption = "The network sees two patches; it must say where the second lies"
        if answers:
            logits = self._logits(views["centre"], views["image"])[rows]
            said = logits.softmax(1).cpu()
            best = said.argmax(1)
            caption += f": {int((best == asked).sum())} of {count} right here"
            texts = [
                ["", f"said {NAMES[int(place)]} ({share[place]:.0%})", *text[2:]]
                for text, place, share in zip(texts, best, said, strict=True)
            ]
        return [
            Panel(
                "relative_position",
                "Where does the second patch lie?",
                f"{caption}.",
                ("first patch", "second patch", "as they lie", "view"),
                list(zip(*map(to_uint8, pictures), strict=True)),
                texts,
                "prediction" if answers else "views",
            )
        ]


def without_fringes(images: Tensor) -> Tensor:
    """(B, 3, H, W) without its part along green against magenta: Doersch 2015, section 3.1.

    With a = (-1, 2, -1): x - a (a . x) / (a . a). What differs along a alone looks the same.
    """
    axis = images.new_tensor(GREEN_MAGENTA).view(1, 3, 1, 1)
    along = (images * axis).sum(1, keepdim=True) / axis.square().sum()
    return images - axis * along

"""What all tasks share that see a few large and several small crops of each picture."""

from __future__ import annotations

from typing import ClassVar

import torch
import torch.nn.functional as F
from torch import Tensor

from hotstart.augment import ViewSettings, centre_view, random_view
from hotstart.config import Field
from hotstart.data.sample import Pictures
from hotstart.encoders import Encoder
from hotstart.pretext.panels import SHOWN, neighbour_panel
from hotstart.pretext.task import (
    Batch,
    Draws,
    Info,
    Panel,
    PretextTask,
    Settings,
    Views,
    to_uint8,
)

GLOBAL = 2
"""Large crops, as in both papers."""


class MultiCropSettings(Settings):
    """Settings of all tasks with many crops."""

    view: ViewSettings = ViewSettings(crop_scale=(0.3, 1.0), strength=0.5, blur=0.0)
    """Of the two large crops; at 96 px and more blur=0.5, strength=1."""
    local_view: ViewSettings = ViewSettings(crop_scale=(0.1, 0.3), strength=0.5, blur=0.0)
    """Of the small crops, which see a part of what the large ones see."""
    local_crops: int = Field(default=4, ge=0)
    """Small crops of each picture; each costs a quarter of a large one. The papers: 6 and 8."""
    local_size: int | None = Field(default=None, ge=1)
    """Side of a small crop in px; None: half of the large one's, in whole patches."""


class MultiCropTask(PretextTask):
    """Two large crops of each picture and several small ones, that belong together.

    Multi-crop: Caron 2020 (SwAV, arXiv:2006.09882), section 3.2.
    """

    name: ClassVar[str]
    """As registered; panels are named after it."""
    metric: ClassVar[str] = "positive_first"
    settings: MultiCropSettings

    def __init__(self, encoder: Encoder, settings: MultiCropSettings, info: Info) -> None:
        super().__init__(encoder, settings, info)
        patch_px = encoder.stage_strides[0]
        half = max(info.size // 2 // patch_px, 1) * patch_px
        self.local_size = half if settings.local_size is None else settings.local_size

    def trivial(self, rows: int) -> float:
        """Chance that the positive is ranked first among the other 2B - 1 large crops."""
        return 1 / (2 * rows - 1)

    def views(self, batch: Batch, rng: Draws) -> Views:
        """`global` (B, 2, 3, S, S) and, where there are any, `local` (B, V, 3, s, s)."""
        own = self.settings
        views = {"global": _crops(batch["image"], own.view, self.info.size, GLOBAL, rng, "global")}
        if own.local_crops:
            views["local"] = _crops(
                batch["image"], own.local_view, self.local_size, own.local_crops, rng, "local"
            )
        return views

    @torch.no_grad()
    def panels(self, batch: Batch, rng: Draws, *, answers: bool = True) -> list[Panel]:
        """All crops of some pictures; and what the encoder finds alike among held-out ones."""
        count = min(SHOWN, len(batch["image"]))
        shown = batch["image"].select(range(count))
        views = self.views({"image": shown}, rng.batch(0, count))
        columns = [centre_view(shown, self.info.size)]
        for crops in views.values():
            columns += [F.interpolate(crop, columns[0].shape[2:]) for crop in crops.unbind(1)]
        few = len(columns) - 1 - GLOBAL
        panel = Panel(
            f"{self.name}-views",
            "Crops of one picture",
            "What the network must recognise as the same picture: what it makes of any crop "
            "should tell what it makes of each of the two large ones"
            + (f"; small crops are {self.local_size} px wide, and enlarged here." if few else "."),
            ("picture", "large", "large", *["small"] * few),
            list(zip(*map(to_uint8, columns), strict=True)),
            [[""] * len(columns)] * count,
        )
        return [panel] + ([neighbour_panel(self.name, self.encoder, batch)] if answers else [])


def each_crop(views: Views) -> list[Tensor]:
    """All large crops, then all small ones: one after the other, each of all pictures.

    (V B, 3, S, S) each, ready for an encoder, which takes pictures of one size at a time.
    """
    return [torch.cat(views[name].unbind(1)) for name in ("global", "local") if name in views]


def encode_crops(encoder: Encoder, views: Views) -> Tensor:
    """Features h (V B, D) of all crops, the two large ones first."""
    return torch.cat([encoder(crops) for crops in each_crop(views)])


def _crops(
    pictures: Pictures, settings: ViewSettings, size: int, count: int, rng: Draws, name: str
) -> Tensor:
    """Independent random views of each picture: (B, count, 3, size, size)."""
    streams = [rng.named(f"{name} {k}") for k in range(count)]
    return torch.stack([random_view(pictures, settings, size, stream) for stream in streams], 1)

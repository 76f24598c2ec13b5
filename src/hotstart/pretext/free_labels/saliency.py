"""Saliency: which pixels belong to what stands out?"""

from __future__ import annotations

from collections.abc import Iterable
from typing import ClassVar

import torch
import torch.nn.functional as F
from torch import Tensor

from hotstart.augment import ViewSettings, apply_view, centre_view, draw_view
from hotstart.augment.settings import ViewParameters, plain
from hotstart.config import Field
from hotstart.data.sample import Pictures
from hotstart.encoders import Encoder
from hotstart.pretext.colour_spaces import rgb_to_lab
from hotstart.pretext.dense import DenseHead, resized
from hotstart.pretext.free_labels.barrier import barrier_saliency, otsu_threshold
from hotstart.pretext.panels import SHOWN
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

PROGRAMME_PX = 64  # The programme works on pictures of at most this side.
LEAST_PX = 8
BOXES = 20  # Sides of centre boxes that are tried, up to the whole picture.


class SaliencySettings(Settings):
    """Settings of `saliency`."""

    stride: int = Field(default=8, ge=1)
    """Pixels per place of the map at which a CNN is read."""
    width: int = Field(default=32, ge=1)
    """Channels of the head."""
    view: ViewSettings = ViewSettings(crop_scale=(0.3, 1.0), strength=0.5, blur=0.0)
    """Crops and colours that the programme did not see: the difficulty."""


class Saliency(PretextTask):
    """Find the pixels that a written programme calls foreground.

    The programme is Zhang 2015 ("Minimum Barrier Salient Object Detection at 80 FPS", ICCV), in
    `barrier.py`, with Otsu's threshold. It sees the whole picture in its true colours, and judges
    by what touches the border. Its mask is then cropped and mirrored together with the picture:
    computed on a crop, it would ask about the crop's border, which a network can look up, while
    the network must know what stands out from a crop in other colours. The loss is the binary
    cross-entropy of every pixel.
    """

    metric: ClassVar[str] = "iou"
    Settings: ClassVar[type[Settings]] = SaliencySettings
    optimiser: ClassVar[OptimiserSettings] = OptimiserSettings(
        name="adamw", learning_rate=4e-3, weight_decay=1e-4
    )
    batch_size: ClassVar[int] = 64
    settings: SaliencySettings

    def __init__(self, encoder: Encoder, settings: SaliencySettings, info: Info) -> None:
        super().__init__(encoder, settings, info)
        self.head = DenseHead(
            encoder, 1, stride=settings.stride, output_stride=1, width=settings.width
        )

    def views(self, batch: Batch, rng: Draws) -> Views:
        """`image` (B, 3, S, S); `pseudo_label` bool (B, 1, S, S), True = foreground."""
        pictures, size = batch["image"], self.info.size
        drawn = draw_view(self.settings.view, pictures, size, rng)
        return {
            "image": apply_view(pictures, drawn, size),
            "pseudo_label": _moved(*self._salient(pictures), pictures, drawn, size),
        }

    def _salient(self, pictures: Pictures) -> tuple[Tensor, Tensor]:
        """Of whole pictures, squeezed to squares: maps (B, W, W) and their thresholds (B,)."""
        side = min(max(self.info.size, LEAST_PX), PROGRAMME_PX)
        widths, heights = pictures.widths.cpu(), pictures.heights.cpu()
        none = torch.zeros_like(widths)
        whole = apply_view(pictures, plain(torch.stack([none, none, widths, heights], 1)), side)
        maps = barrier_saliency(rgb_to_lab(whole))
        return maps, otsu_threshold(maps)

    def forward(self, views: Views, progress: Progress, player: str) -> Step:
        """Binary cross-entropy, ln 2 for an even answer."""
        logits, truth = self._logits(views["image"]), views["pseudo_label"]
        loss = F.binary_cross_entropy_with_logits(logits, truth.to(logits))
        return Step(loss, {"iou": intersection_over_union(logits > 0, truth).mean()})

    def _logits(self, images: Tensor) -> Tensor:
        return resized(self.head(self.encoder, images), self.info.size)

    def _ask(self, batch: Batch) -> tuple[Tensor, Tensor, Tensor]:
        """The middle of each picture, the mask that the network says, and the programme's."""
        pictures, size = batch["image"], self.info.size
        widths, heights = pictures.widths.cpu(), pictures.heights.cpu()
        side = torch.minimum(widths, heights)
        box = torch.stack([(widths - side) // 2, (heights - side) // 2, side, side], 1)
        truth = _moved(*self._salient(pictures), pictures, plain(box), size)
        images = centre_view(pictures, size)
        return images, self._logits(images), truth

    @torch.no_grad()
    def score(self, batches: Iterable[Batch], rng: Draws) -> Score:
        """Mean intersection over union with the programme's masks on uncropped pictures.

        Trivial is the best centred square, of 20 sizes up to the whole picture, on the same.
        """
        total, rows = 0.0, 0
        boxes = torch.zeros(BOXES)
        for batch in batches:
            _, logits, truth = self._ask(batch)
            total += float(intersection_over_union(logits > 0, truth).sum())
            for i in range(BOXES):
                box = centre_box(self.info.size, (i + 1) / BOXES).to(truth.device)
                boxes[i] += float(intersection_over_union(box.expand_as(truth), truth).sum())
            rows += batch_rows(batch)
        return Score(self.metric, total / max(rows, 1), float(boxes.max()) / max(rows, 1), rows)

    @torch.no_grad()
    def panels(self, batch: Batch, rng: Draws, *, answers: bool = True) -> list[Panel]:
        """Pictures, what the network finds in them, what the programme found."""
        count = min(SHOWN, len(batch["image"]))
        images, logits, truth = self._ask({"image": batch["image"].select(range(count))})
        columns, pictures = ["picture", "programme"], [images, _shown(images, truth)]
        texts = [["", ""]] * count
        caption = "The foreground, as a written programme finds it, is the pseudo-label"
        if answers:
            columns.insert(1, "network")
            pictures.insert(1, _shown(images, logits > 0))
            shares = intersection_over_union(logits > 0, truth).tolist()
            texts = [["", f"IoU {share:.0%}", ""] for share in shares]
            caption += "; intersection over union with it, higher is better"
        return [
            Panel(
                "saliency",
                "What stands out?",
                f"{caption}.",
                columns,
                list(zip(*map(to_uint8, pictures), strict=True)),
                texts,
                "prediction" if answers else "views",
            )
        ]


def _moved(
    maps: Tensor, thresholds: Tensor, pictures: Pictures, drawn: ViewParameters, size: int
) -> Tensor:
    """Masks of whole pictures under the crop and flip of their views: bool (B, 1, size, size).

    maps: (B, W, W), what lies above thresholds (B,) is foreground.
    """
    box = drawn.box.to(maps)
    extent = torch.stack([pictures.widths, pictures.heights], 1).to(maps)
    along = (torch.arange(size, device=maps.device) + 0.5) / size
    across = torch.where(drawn.flip.to(maps.device)[:, None], 1 - along, along)
    x = (box[:, :1] + across * box[:, 2:3]) / extent[:, :1]
    y = (box[:, 1:2] + along * box[:, 3:]) / extent[:, 1:]
    grid = torch.stack(torch.broadcast_tensors(x[:, None, :], y[:, :, None]), -1) * 2 - 1
    seen = F.grid_sample(maps[:, None], grid, padding_mode="border", align_corners=False)
    return seen > thresholds[:, None, None, None]


def intersection_over_union(said: Tensor, truth: Tensor) -> Tensor:
    """Of bool masks (B, 1, H, W), (B,); 1 where both are empty."""
    both = (said & truth).sum((1, 2, 3))
    either = (said | truth).sum((1, 2, 3))
    return torch.where(either > 0, both / either.clamp_min(1), 1.0)


def centre_box(size: int, side: float) -> Tensor:
    """Bool (size, size), True in the middle square of `side` as a share of the picture's."""
    away = ((torch.arange(size) + 0.5) / size - 0.5).abs()
    inside = away <= side / 2
    return inside[:, None] & inside


def _shown(images: Tensor, masks: Tensor) -> Tensor:
    """The picture where the mask is, and its shadow elsewhere."""
    return torch.where(masks, images, images * 0.25)

"""What tasks share that ask which pixels a programme takes for foreground."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Iterable
from dataclasses import dataclass
from typing import ClassVar

import torch
import torch.nn.functional as F
from torch import Tensor

from hotstart.augment import ViewSettings, apply_view, centre_view, draw_view
from hotstart.augment.settings import ViewParameters, plain
from hotstart.augment.views import centre_box as middle_of
from hotstart.config import Field
from hotstart.data.sample import Pictures
from hotstart.encoders import Encoder
from hotstart.pretext.dense import DenseHead, resized
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
    to_uint8,
)

PROGRAMME_PX = 64  # Programmes work on pictures of at most this side.
LEAST_PX = 8
BOXES = 20  # Sides of centre boxes that are tried, up to the whole picture.


class MaskSettings(Settings):
    """Settings of a task that asks for a mask."""

    stride: int = Field(default=8, ge=1)
    """Pixels per place of the map at which a CNN is read."""
    width: int = Field(default=32, ge=1)
    """Channels of the head."""
    view: ViewSettings = ViewSettings(crop_scale=(0.3, 1.0), strength=0.5, blur=0.0)
    """Crops and colours that the programme did not see: the difficulty."""


@dataclass(frozen=True)
class Found:
    """What a programme found in B whole pictures, squeezed to squares.

    maps: float (B, W, W); what lies above thresholds (B,) is foreground
    sure: float (B, W, W) in 0..1, or None for everywhere: half and more is asked about
    """

    maps: Tensor
    thresholds: Tensor
    sure: Tensor | None = None


class MaskTask(PretextTask):
    """Find the pixels that a programme calls foreground.

    The programme sees whole pictures in their true colours. Its mask is then cropped and mirrored
    together with the picture: computed on a crop, it would ask about the crop's border, which a
    network can look up, while the network must know what stands out from a crop in other colours.
    """

    name: ClassVar[str]
    question: ClassVar[str]
    """Title of the panel."""
    answer: ClassVar[str]
    """What the pseudo-label is, for its caption."""
    metric: ClassVar[str] = "iou"
    Settings: ClassVar[type[Settings]] = MaskSettings
    optimiser: ClassVar[OptimiserSettings] = OptimiserSettings(
        name="adamw", learning_rate=4e-3, weight_decay=1e-4
    )
    batch_size: ClassVar[int] = 64
    settings: MaskSettings

    def __init__(self, encoder: Encoder, settings: MaskSettings, info: Info) -> None:
        super().__init__(encoder, settings, info)
        self.head = DenseHead(
            encoder, 1, stride=settings.stride, output_stride=1, width=settings.width
        )

    @abstractmethod
    def find(self, batch: Batch) -> Found:
        """The programme."""

    @property
    def side(self) -> int:
        """W, of the squares that the programme works on."""
        return min(max(self.info.size, LEAST_PX), PROGRAMME_PX)

    def views(self, batch: Batch, rng: Draws) -> Views:
        """`image` (B, 3, S, S); `pseudo_label` bool (B, 1, S, S), True = foreground; `asked`.

        asked: bool (B, 1, S, S), where the programme is sure; absent where it always is.
        """
        pictures = batch["image"]
        drawn = draw_view(self.settings.view, pictures, self.info.size, rng)
        return {
            "image": apply_view(pictures, drawn, self.info.size),
            **self._labels(batch, drawn),
        }

    def _labels(self, batch: Batch, drawn: ViewParameters) -> Views:
        found, pictures, size = self.find(batch), batch["image"], self.info.size
        maps = moved(found.maps, pictures, drawn, size)
        labels = {"pseudo_label": maps > found.thresholds[:, None, None, None]}
        if found.sure is not None:
            labels["asked"] = moved(found.sure, pictures, drawn, size) >= 0.5
        return labels

    def forward(self, views: Views, progress: Progress, player: str) -> Step:
        """The mean over rows of each row's loss; one that nothing is asked about adds 0."""
        logits, truth = self._logits(views["image"]), views["pseudo_label"]
        asked = views.get("asked", torch.ones_like(truth))
        shares, judged = _shares(logits > 0, truth, asked)
        loss = self.losses(logits, truth, asked).mean()
        return Step(loss, {"iou": shares[judged].mean() if judged.any() else loss.new_zeros(())})

    def losses(self, logits: Tensor, truth: Tensor, asked: Tensor) -> Tensor:
        """Binary cross-entropy of the pixels asked about, ln 2 for an even answer: (B,)."""
        each = F.binary_cross_entropy_with_logits(logits, truth.to(logits), reduction="none")
        return (each * asked).sum((1, 2, 3)) / asked.sum((1, 2, 3)).clamp_min(1)

    def _logits(self, images: Tensor) -> Tensor:
        return resized(self.head(self.encoder, images), self.info.size)

    def _ask(self, batch: Batch) -> tuple[Tensor, Tensor, Tensor, Tensor]:
        """The middle of each picture, what the network says of it, the programme, where it is."""
        labels = self._labels(batch, plain(middle_of(batch["image"])))
        truth, images = labels["pseudo_label"], centre_view(batch["image"], self.info.size)
        return images, self._logits(images), truth, labels.get("asked", torch.ones_like(truth))

    @torch.no_grad()
    def score(self, batches: Iterable[Batch], rng: Draws) -> Score:
        """Mean intersection over union with the programme's masks on uncropped pictures.

        Trivial is the best centred square, of 20 sizes up to the whole picture, on the same.
        """
        total, rows = 0.0, 0
        boxes = torch.zeros(BOXES)
        for batch in batches:
            _, logits, truth, asked = self._ask(batch)
            shares, judged = _shares(logits > 0, truth, asked)
            total += float(shares[judged].sum())
            for i in range(BOXES):
                box = centre_box(self.info.size, (i + 1) / BOXES).to(truth.device)
                boxes[i] += float(_shares(box.expand_as(truth), truth, asked)[0][judged].sum())
            rows += int(judged.sum())
        return Score(self.metric, total / max(rows, 1), float(boxes.max()) / max(rows, 1), rows)

    @torch.no_grad()
    def panels(self, batch: Batch, rng: Draws, *, answers: bool = True) -> list[Panel]:
        """Pictures, what the network finds in them, what the programme found."""
        images, logits, truth, asked = self._ask(batch)
        shares, judged = _shares(logits > 0, truth, asked)
        rows = judged.nonzero()[:SHOWN, 0]
        shown = {"picture": images, **self.clues(batch), "programme": darkened(images, truth)}
        caption = f"{self.answer} is the pseudo-label"
        texts = [[""] * len(shown) for _ in rows]
        if answers:
            shown["network"] = darkened(images, logits > 0)
            texts = [[*text, f"IoU {shares[i]:.0%}"] for text, i in zip(texts, rows, strict=True)]
            caption += "; intersection over union with it, higher is better"
        return [
            Panel(
                self.name,
                self.question,
                f"{caption}.",
                tuple(shown),
                list(zip(*(to_uint8(column[rows]) for column in shown.values()), strict=True)),
                texts,
                "prediction" if answers else "views",
            )
        ]

    def clues(self, batch: Batch) -> dict[str, Tensor]:
        """More columns of the panel, for what the programme saw: (B, 3, S, S) each."""
        return {}


def moved(maps: Tensor, pictures: Pictures, drawn: ViewParameters, size: int) -> Tensor:
    """Maps of whole pictures (B, W, W) under crop and flip of their views: (B, 1, size, size)."""
    box = drawn.box.to(maps)
    extent = torch.stack([pictures.widths, pictures.heights], 1).to(maps)
    along = (torch.arange(size, device=maps.device) + 0.5) / size
    across = torch.where(drawn.flip.to(maps.device)[:, None], 1 - along, along)
    x = (box[:, :1] + across * box[:, 2:3]) / extent[:, :1]
    y = (box[:, 1:2] + along * box[:, 3:]) / extent[:, 1:]
    grid = torch.stack(torch.broadcast_tensors(x[:, None, :], y[:, :, None]), -1) * 2 - 1
    return F.grid_sample(maps[:, None], grid, padding_mode="border", align_corners=False)


def intersection_over_union(said: Tensor, truth: Tensor) -> Tensor:
    """Of bool masks (B, 1, H, W), (B,); 1 where both are empty."""
    both = (said & truth).sum((1, 2, 3))
    either = (said | truth).sum((1, 2, 3))
    return torch.where(either > 0, both / either.clamp_min(1), 1.0)


def _shares(said: Tensor, truth: Tensor, asked: Tensor) -> tuple[Tensor, Tensor]:
    """Intersection over union among what is asked, (B,), and which rows are asked about at all."""
    return intersection_over_union(said & asked, truth & asked), asked.flatten(1).any(1)


def centre_box(size: int, side: float) -> Tensor:
    """Bool (size, size), True in the middle square of `side` as a share of the picture's."""
    away = ((torch.arange(size) + 0.5) / size - 0.5).abs()
    inside = away <= side / 2
    return inside[:, None] & inside


def darkened(images: Tensor, masks: Tensor) -> Tensor:
    """The picture where the mask is, and its shadow elsewhere."""
    return torch.where(masks, images, images * 0.25)

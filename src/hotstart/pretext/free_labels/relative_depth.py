"""Relative depth: which of two places is nearer?"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import ClassVar

import cv2
import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

from hotstart.augment import ViewSettings, apply_view, centre_view, draw_view
from hotstart.augment.settings import ViewParameters, plain
from hotstart.augment.views import centre_box
from hotstart.config import Field
from hotstart.data.sample import Spec
from hotstart.encoders import Encoder
from hotstart.pretext.dense import DenseHead
from hotstart.pretext.free_labels.dominant_motion import median_of, whole_flow
from hotstart.pretext.free_labels.mask_task import moved
from hotstart.pretext.free_labels.parallax import nearness
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

PROGRAMME_PX = 24
"""Side of the squares that the programme works on: flow is smooth."""
LEAST_EXPLAINED = 3.0
"""Parallax over what a camera that moves through a scene at rest does not explain."""
LEAST_FRONT = 0.8
"""Share of the parallax that lies in front of the camera, where it cannot but lie."""


class RelativeDepthSettings(Settings):
    """Settings of `relative_depth`."""

    focal: float = Field(default=0.9, gt=0)
    """The camera's focal length in shares of the longer side of the frame."""
    least_motion: float = Field(default=0.002, gt=0)
    """By how much, in shares of the longer side in an eighth of a second, half of the frame moves
    at least: else the camera stood still, and what moves is not what is near."""
    least_parallax: float = Field(default=0.002, gt=0)
    """In the same unit: by how much two places are told apart."""
    margin: float = Field(default=0.2, ge=0, lt=1)
    """And by what share of the nearer one's nearness."""
    pairs: int = Field(default=256, ge=1)
    """K, of places in each picture."""
    stride: int = Field(default=8, ge=1)
    """Pixels per place of the map at which a CNN is read."""
    output_stride: int = Field(default=4, ge=1)
    """Pixels per place that is judged."""
    width: int = Field(default=32, ge=1)
    """Channels of the head."""
    view: ViewSettings = ViewSettings(crop_scale=(0.3, 1.0), strength=0.5, blur=0.0)
    """Crops and colours."""


class RelativeDepth(PretextTask):
    """Tell from a single frame which of two places is nearer.

    Jiang 2018, "Self-Supervised Relative Depth Learning for Urban Scene Understanding"
    (arXiv:1712.04850): to a camera that moves, what is near passes faster than what is far. The
    programme (`parallax.py`) finds the camera's motion from the optical flow to the next frame and
    from that the order of depth; the network sees one frame. Each of K pairs of places, drawn
    evenly, whose order is clear, costs softplus(near's score less far's) as in Chen 2016
    (arXiv:1604.03901), equation 1; ln 2 at chance.

    Deviations: order of pairs in place of the regression of normalised depth; the camera by
    Heeger & Jepson 1992 in place of a motion segmentation.
    """

    metric: ClassVar[str] = "order_accuracy"
    needs: ClassVar[Mapping[str, Spec]] = {"image": Spec(), "flow": Spec()}
    Settings: ClassVar[type[Settings]] = RelativeDepthSettings
    optimiser: ClassVar[OptimiserSettings] = OptimiserSettings(
        name="adamw", learning_rate=4e-3, weight_decay=1e-4
    )
    batch_size: ClassVar[int] = 64
    settings: RelativeDepthSettings

    def __init__(self, encoder: Encoder, settings: RelativeDepthSettings, info: Info) -> None:
        super().__init__(encoder, settings, info)
        self.head = DenseHead(
            encoder,
            1,
            stride=settings.stride,
            output_stride=settings.output_stride,
            width=settings.width,
        )
        self.side = max(info.size // settings.output_stride, 1)

    def trivial(self, rows: int) -> float:
        """A coin."""
        return 0.5

    def views(self, batch: Batch, rng: Draws) -> Views:
        """`image` (B, 3, S, S), and pairs of its places.

        pairs: int64 (B, K, 2), places of the map at the output stride, row by row; pseudo_label:
        bool (B, K), True where the first is nearer; asked: bool (B, K), where that is clear
        """
        pictures, size = batch["image"], self.info.size
        drawn = draw_view(self.settings.view, pictures, size, rng)
        return {"image": apply_view(pictures, drawn, size), **self._pairs(batch, drawn, rng)}

    def _pairs(self, batch: Batch, drawn: ViewParameters, rng: Draws) -> Views:
        near, sure = self._near(batch, drawn)
        places = rng.named("pairs").integers(0, self.side**2, self.settings.pairs, 2)
        places = places.to(near.device)
        first, second = (near.flatten(1).gather(1, places[..., k]) for k in (0, 1))
        both = sure.flatten(1).gather(1, places.flatten(1)).view(places.shape).all(2)
        least = self.settings.margin * torch.maximum(first, second)
        clear = (first - second).abs() >= least.clamp_min(self.settings.least_parallax)
        return {"pairs": places, "pseudo_label": first > second, "asked": both & clear}

    def _near(self, batch: Batch, drawn: ViewParameters) -> tuple[Tensor, Tensor]:
        """Nearness in the view and whether it is known, at the output stride: (B, h, h) each."""
        near, sure = self.find(batch)
        seen = moved(near, batch["image"], drawn, self.info.size)
        known = moved(sure.float(), batch["image"], drawn, self.info.size)
        near, share = (F.adaptive_avg_pool2d(maps, self.side)[:, 0] for maps in (seen, known))
        return near, share >= 0.5

    def find(self, batch: Batch) -> tuple[Tensor, Tensor]:
        """The programme: nearness of whole frames (B, W, W), and where it is to be trusted."""
        vectors, known = whole_flow(batch, PROGRAMME_PX)
        aspect = (batch["image"].widths / batch["image"].heights).to(vectors)
        near, told = nearness(vectors, known, aspect, self.settings.focal)
        wide = torch.stack([aspect.clamp(max=1.0), 1 / aspect.clamp(min=1.0)], 1)
        length = (vectors * wide[:, :, None, None]).norm(dim=1).flatten(1)
        usable = (
            (median_of(length, known.flatten(1)) >= self.settings.least_motion)
            & (told[:, 1] >= LEAST_EXPLAINED)
            & (told[:, 2] >= LEAST_FRONT)
        )
        return near, known & usable[:, None, None]

    def forward(self, views: Views, progress: Progress, player: str) -> Step:
        """The mean over rows of each row's pairs; one whose order is not known adds 0."""
        truth, asked = views["pseudo_label"], views["asked"]
        apart = self._apart(views)
        each = F.softplus(torch.where(truth, -apart, apart)) * asked
        shares, judged = _shares((apart > 0) == truth, asked)
        loss = (each.sum(1) / asked.sum(1).clamp_min(1)).mean()
        metric = shares[judged].mean() if judged.any() else loss.new_zeros(())
        return Step(loss, {"order_accuracy": metric})

    def _apart(self, views: Views) -> Tensor:
        """By how much the first of each pair is said to be nearer: (B, K)."""
        said = self._said(views["image"]).flatten(1)
        return said.gather(1, views["pairs"][..., 0]) - said.gather(1, views["pairs"][..., 1])

    def _said(self, images: Tensor) -> Tensor:
        """Nearness as the network says it, in no unit: (B, h, h)."""
        maps: Tensor = self.head(self.encoder, images)
        if maps.shape[-1] != self.side:
            maps = F.interpolate(maps, size=(self.side, self.side), mode="bilinear")
        return maps[:, 0]

    @torch.no_grad()
    def score(self, batches: Iterable[Batch], rng: Draws) -> Score:
        """Share of pairs in the right order, the mean over uncropped frames whose order is known.

        Trivial is the better of a coin and of calling nearer what lies lower in the picture.
        """
        total, lower, rows = 0.0, 0.0, 0
        for i, batch in enumerate(batches):
            drawn = plain(centre_box(batch["image"]))
            views = self._pairs(batch, drawn, rng.batch(i, batch_rows(batch)))
            views["image"] = centre_view(batch["image"], self.info.size)
            truth, asked = views["pseudo_label"], views["asked"]
            shares, judged = _shares((self._apart(views) > 0) == truth, asked)
            height = views["pairs"] // self.side
            below = height[..., 0] > height[..., 1]
            total += float(shares[judged].sum())
            lower += float(_shares(below == truth, asked)[0][judged].sum())
            rows += int(judged.sum())
        count = max(rows, 1)
        return Score(self.metric, total / count, max(lower / count, 0.5), rows)

    @torch.no_grad()
    def panels(self, batch: Batch, rng: Draws, *, answers: bool = True) -> list[Panel]:
        """Frames, the order of depth that the programme found, and that of the network."""
        drawn = plain(centre_box(batch["image"]))
        near, sure = self._near(batch, drawn)
        views = self._pairs(batch, drawn, rng)
        images = centre_view(batch["image"], self.info.size)
        rows = views["asked"].any(1).nonzero()[:SHOWN, 0]
        columns = ["frame", "programme"]
        pictures = [to_uint8(images[rows]), self._shown(near[rows], sure[rows])]
        texts = [["", ""] for _ in rows]
        caption = (
            "How near each place is, as a programme finds it in the optical flow of a moving "
            "camera, which the network does not see: bright is near, dark far, grey unknown"
        )
        if answers:
            said = self._said(images)
            views["image"] = images
            right = (self._apart(views) > 0) == views["pseudo_label"]
            shares, _ = _shares(right, views["asked"])
            columns.append("network")
            pictures.append(self._shown(said[rows], torch.ones_like(sure[rows])))
            texts = [[*text, f"{shares[i]:.0%} right"] for text, i in zip(texts, rows, strict=True)]
            caption += "; below, the share of pairs that are in the right order, 50 % by chance"
        return [
            Panel(
                "relative_depth",
                "Which is nearer?",
                f"{caption}.",
                columns,
                list(zip(*pictures, strict=True)),
                texts,
                "prediction" if answers else "views",
            )
        ]

    def _shown(
        self, near: Tensor, sure: Tensor
    ) -> list[np.ndarray[tuple[int, ...], np.dtype[np.uint8]]]:
        """Ranks of nearness as colours, uint8 (S, S, 3) each; grey where they are not known."""
        shown = []
        for one, known in zip(near.cpu(), sure.cpu(), strict=True):
            order = one.flatten().argsort().argsort().view(one.shape) / max(one.numel() - 1, 1)
            grey = (order * 255).to(torch.uint8).numpy()
            colours = cv2.applyColorMap(grey, cv2.COLORMAP_INFERNO)[..., ::-1].copy()
            colours[~known.numpy()] = 128
            side = (self.info.size, self.info.size)
            shown.append(
                np.asarray(cv2.resize(colours, side, interpolation=cv2.INTER_NEAREST), np.uint8)
            )
        return shown


def _shares(right: Tensor, asked: Tensor) -> tuple[Tensor, Tensor]:
    """Of the pairs asked (B, K) the share that is right, (B,), and whether there are any, (B,)."""
    return (right & asked).sum(1) / asked.sum(1).clamp_min(1), asked.any(1)

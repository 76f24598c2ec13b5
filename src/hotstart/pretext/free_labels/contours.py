"""Contours: where are the edges that an edge detector sees in the sharp picture?"""

from __future__ import annotations

from collections.abc import Iterable
from typing import ClassVar

import cv2
import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

from hotstart.augment import ViewSettings, apply_view, centre_view, draw_view
from hotstart.augment.settings import plain
from hotstart.config import Field
from hotstart.encoders import Encoder
from hotstart.pretext.colour_spaces import rgb_to_ycbcr
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
    batch_rows,
    to_uint8,
)

RIM = 1 / 16  # Width of the band that is not asked about, as a share of the side.
LOW = 0.4  # Canny's lower threshold over his upper one.
FAINTEST = 2.0  # Grey levels per pixel below which nothing is an edge.
FINE = 16  # Parts of a grey level per pixel that Canny's whole numbers tell apart.
THRESHOLDS = 99


class ContoursSettings(Settings):
    """Settings of `contours`."""

    reduce: float = Field(default=4.0, ge=1)
    """By which the picture's side is reduced before the network sees it (enlarged again): the
    difficulty. 1 leaves what a small filter can answer."""
    smoothing: float = Field(default=1 / 32, ge=0, le=0.25)
    """Sigma of the Gaussian before edges are sought, as a share of the side: larger, coarser."""
    share: float = Field(default=0.2, gt=0, lt=1)
    """Of all pixels, how many are steep enough to begin an edge; fewer are on its ridge."""
    stride: int = Field(default=8, ge=1)
    """Pixels per place of the map at which a CNN is read."""
    width: int = Field(default=32, ge=1)
    """Channels of the head."""
    view: ViewSettings = ViewSettings(crop_scale=(0.4, 1.0), strength=0.5, blur=0.0)


class Contours(PretextTask):
    """Find the edges of the sharp picture in a picture that is no longer sharp.

    Li 2016 ("Unsupervised Learning of Edges", arXiv:1511.04166) and Ren & Lee 2018
    (arXiv:1711.09082) train a network on edges that nobody drew. Here they are those of a
    hard-coded programme, Canny 1986 (OpenCV), on the smoothed luma of the view, before it is
    recoloured and reduced. They are computed on the view and not on the picture, so that a line is
    one pixel wide whatever the crop: enlarging or shrinking a finished line would blur it or tear
    it. The loss is Xie & Tu 2015 (HED, arXiv:1504.06375), eq. 2, at the output alone.

    An edge detector is a filter of a few pixels, and would need no more than the first layer: what
    the network sees has lost the edges themselves (`reduce`), which it must infer from what is
    shown. A band along the rim, where no gradient can be trusted, is not asked about.

    Deviations: Li's edges come from motion, Ren & Lee's from a renderer; neither side outputs nor
    fusion of HED; the loss is a mean over pixels, HED's a sum.
    """

    metric: ClassVar[str] = "best_f"
    Settings: ClassVar[type[Settings]] = ContoursSettings
    optimiser: ClassVar[OptimiserSettings] = OptimiserSettings(
        name="adamw", learning_rate=4e-3, weight_decay=1e-4
    )
    batch_size: ClassVar[int] = 64
    settings: ContoursSettings

    def __init__(self, encoder: Encoder, settings: ContoursSettings, info: Info) -> None:
        super().__init__(encoder, settings, info)
        self.rim_px = max(round(RIM * info.size), 1)
        self.seen_px = max(round(info.size / settings.reduce), 2)
        self.head = DenseHead(
            encoder, 1, stride=settings.stride, output_stride=1, width=settings.width
        )

    def views(self, batch: Batch, rng: Draws) -> Views:
        """`image` (B, 3, S, S); `pseudo_label` bool (B, 1, S, S), True on edges."""
        pictures, size = batch["image"], self.info.size
        drawn = draw_view(self.settings.view, pictures, size, rng)
        sharp = apply_view(pictures, plain(drawn.box, drawn.flip), size)
        return {
            "image": self._reduced(apply_view(pictures, drawn, size)),
            "pseudo_label": self._edges(sharp),
        }

    def _reduced(self, images: Tensor) -> Tensor:
        if self.seen_px == self.info.size:
            return images
        small = F.interpolate(images, size=self.seen_px, mode="bilinear", antialias=True)
        seen = F.interpolate(small, size=self.info.size, mode="bilinear")
        return seen.clamp(0, 1).contiguous(memory_format=torch.channels_last)

    def _edges(self, sharp: Tensor) -> Tensor:
        settings = self.settings
        return canny(
            rgb_to_ycbcr(sharp)[:, :1], settings.smoothing * self.info.size, settings.share
        )

    def forward(self, views: Views, progress: Progress, player: str) -> Step:
        """HED eq. 2: at an even answer 2 beta (1 - beta) ln 2, beta the share without an edge."""
        logits, truth = self._asked(self._logits(views["image"]), views["pseudo_label"])
        counts = threshold_counts(logits.detach().sigmoid(), truth)
        return Step(balanced_cross_entropy(logits, truth), {"best_f": best_f(counts)})

    def _logits(self, images: Tensor) -> Tensor:
        return resized(self.head(self.encoder, images), self.info.size)

    def _asked(self, *maps: Tensor) -> tuple[Tensor, ...]:
        """All but the rim."""
        inside = slice(self.rim_px, self.info.size - self.rim_px)
        return tuple(each[:, :, inside, inside] for each in maps)

    def _ask(self, batch: Batch) -> dict[str, Tensor]:
        """Whole pictures, uncropped: sharp, as the network sees them, its answer, the edges."""
        sharp = centre_view(batch["image"], self.info.size)
        seen = self._reduced(sharp)
        return {
            "sharp": sharp,
            "seen": seen,
            "network": self._logits(seen).sigmoid(),
            "edges": self._edges(sharp),
        }

    @torch.no_grad()
    def score(self, batches: Iterable[Batch], rng: Draws) -> Score:
        """The F-measure at the threshold that is best for all held-out pictures together.

        Arbelaez 2011 (BSDS) calls it ODS; here a pixel must be hit exactly. Trivial is a constant
        answer, of which the best one says that all is edge.
        """
        counts, rows, edges, pixels = torch.zeros(3, THRESHOLDS), 0, 0, 0
        for batch in batches:
            found = self._ask(batch)
            said, truth = self._asked(found["network"], found["edges"])
            counts += threshold_counts(said, truth).cpu()
            edges, pixels = edges + int(truth.sum()), pixels + truth.numel()
            rows += batch_rows(batch)
        share = edges / max(pixels, 1)
        return Score(self.metric, float(best_f(counts)), 2 * share / (1 + share), rows)

    @torch.no_grad()
    def panels(self, batch: Batch, rng: Draws, *, answers: bool = True) -> list[Panel]:
        """The sharp picture, what the network sees, what it answers, the edges."""
        count = min(SHOWN, len(batch["image"]))
        found = self._ask({"image": batch["image"].select(range(count))})
        texts = [[""] * len(found)] * count
        caption = "The edges of the sharp picture, of which the network sees the second, reduced"
        if answers:
            said, truth = self._asked(found["network"], found["edges"])
            each = [
                best_f(threshold_counts(s[None], t[None])) for s, t in zip(said, truth, strict=True)
            ]
            texts = [["", "", f"F {float(f):.2f}", ""] for f in each]
            caption += "; F-measure of its answer at its best threshold, higher is better"
        else:
            del found["network"]
            texts = [row[1:] for row in texts]
        pictures = [each.float().expand(-1, 3, -1, -1) for each in found.values()]
        return [
            Panel(
                "contours",
                "Where are the edges?",
                f"{caption}.",
                tuple(found),
                list(zip(*map(to_uint8, pictures), strict=True)),
                texts,
                "prediction" if answers else "views",
            )
        ]


def canny(grey: Tensor, sigma: float, share: float) -> Tensor:
    """Edges of grey pictures by Canny 1986 (OpenCV): bool (B, 1, H, W).

    grey: (B, 1, H, W) in 0..1. sigma: of the Gaussian before, in pixels. share: the upper threshold
    is the gradient that this share of a picture's pixels exceeds, so that no contrast is too low;
    the lower one is 0.4 of it.
    """
    found = np.empty((len(grey), *grey.shape[-2:]), np.uint8)
    for picture, edges in zip(grey[:, 0].cpu().numpy(), found, strict=True):
        smooth = picture * np.float32(255)
        if sigma > 0:
            smooth = cv2.GaussianBlur(smooth, (0, 0), sigma, borderType=cv2.BORDER_REFLECT_101)
        # Sobel's kernel sums to 8 times the slope per pixel.
        dx, dy = (
            cv2.Sobel(smooth, cv2.CV_32F, *axis, scale=FINE / 8, borderType=cv2.BORDER_REFLECT_101)
            for axis in ((1, 0), (0, 1))
        )
        steep = cv2.magnitude(dx, dy).ravel()
        place = min(int((1 - share) * len(steep)), len(steep) - 1)
        high = max(float(np.partition(steep, place)[place]), FAINTEST * FINE)
        right, down = (np.rint(slope).astype(np.int16) for slope in (dx, dy))
        edges[:] = cv2.Canny(right, down, LOW * high, high, L2gradient=True)
    return torch.from_numpy(found > 0)[:, None].to(grey.device)


def balanced_cross_entropy(logits: Tensor, truth: Tensor) -> Tensor:
    """Cross-entropy in which edges weigh as much as all else: Xie & Tu 2015, eq. 2.

    - beta sum over edges of log p - (1 - beta) sum over the rest of log(1 - p), with beta the share
    of a picture's pixels that are not edges; the mean over pixels and pictures.
    logits: (B, 1, H, W). truth: bool, the same shape.
    """
    beta = 1 - truth.float().mean((1, 2, 3), keepdim=True)
    weight = torch.where(truth, beta, 1 - beta)
    return F.binary_cross_entropy_with_logits(logits, truth.to(logits), weight)


def threshold_counts(said: Tensor, truth: Tensor) -> Tensor:
    """What 99 thresholds between 0 and 1 find: (3, 99), found rightly, found, to be found.

    said: in 0..1; what lies at or above a threshold counts as found. truth: bool, the same shape.
    """
    level = (said * (THRESHOLDS + 1)).long().clamp(0, THRESHOLDS).flatten()
    all_ = torch.bincount(level, minlength=THRESHOLDS + 1)
    right = torch.bincount(level[truth.flatten()], minlength=THRESHOLDS + 1)
    above = torch.stack([right, all_]).flip(1).cumsum(1).flip(1)[:, 1:]
    return torch.cat([above, right.sum().expand(1, THRESHOLDS)]).float()


def best_f(counts: Tensor) -> Tensor:
    """The largest F-measure over thresholds, 2 P R / (P + R); 0 where nothing is to be found."""
    right, found, wanted = counts
    measure: Tensor = 2 * right / (found + wanted).clamp_min(1)
    return measure.max()

"""Flow prediction: where will each part of this frame move?"""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import ClassVar

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

from hotstart.augment import (
    ViewSettings,
    apply_flow,
    apply_view,
    centre_view,
    draw_view,
    flow_colours,
)
from hotstart.augment.settings import ViewParameters, plain
from hotstart.augment.views import centre_box
from hotstart.config import Field
from hotstart.data import Subset
from hotstart.data.sample import Spec
from hotstart.encoders import Encoder
from hotstart.pretext.dense import DenseHead
from hotstart.pretext.distributed import first_decides
from hotstart.pretext.geometric_median import least_expected_error
from hotstart.pretext.panels import SHOWN, with_flow_key
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

SLOWEST, FASTEST = 0.002, 0.064
"""Shares of the side between which motion is binned by a task that has prepared nothing."""
LOOKED_AT = 512
"""Frames of the pretraining set whose flow decides on the bins."""


class FlowPredictionSettings(Settings):
    """Settings of `flow_prediction`."""

    directions: int = Field(default=8, ge=2)
    lengths: int = Field(default=4, ge=1)
    """Bins of magnitude, beside the one for what stands still."""
    still: float = Field(default=SLOWEST, gt=0)
    """What moves by less, in shares of the side in an eighth of a second, stands still."""
    stride: int = Field(default=8, ge=1)
    """Pixels per place of the map at which a CNN is read."""
    output_stride: int = Field(default=4, ge=1)
    """Pixels per place of the flow that is predicted."""
    width: int = Field(default=32, ge=1)
    """Channels of the head."""
    view: ViewSettings = ViewSettings(crop_scale=(0.3, 1.0), strength=0.5, blur=0.0)
    """Crops and colours."""


class FlowPrediction(PretextTask):
    """Predict from a single frame how each part of it will move.

    Walker 2015, "Dense Optical Flow Prediction from a Static Image" (arXiv:1505.00295): flow is
    binned, and every place is a classification, since who does not know left from right should not
    have to answer the mean of both. Bins here are one for what stands still and `directions` times
    `lengths` others; those of length hold equally much of what moves in the pretraining set. What
    is answered in the end is the vector whose expected end-point error is the least under the
    predicted distribution.

    Deviations: bins of direction and length in place of 40 clusters of k-means, so that a mirrored
    frame has mirrored bins; a smaller network, whose map is read at a fixed stride.
    """

    metric: ClassVar[str] = "end_point_error"
    needs: ClassVar[Mapping[str, Spec]] = {"image": Spec(), "flow": Spec()}
    Settings: ClassVar[type[Settings]] = FlowPredictionSettings
    optimiser: ClassVar[OptimiserSettings] = OptimiserSettings(
        name="adamw", learning_rate=4e-3, weight_decay=1e-4
    )
    batch_size: ClassVar[int] = 64
    settings: FlowPredictionSettings
    edges: Tensor
    middles: Tensor
    usual: Tensor
    often: Tensor

    def __init__(self, encoder: Encoder, settings: FlowPredictionSettings, info: Info) -> None:
        super().__init__(encoder, settings, info)
        bins, count = settings.lengths, 1 + settings.directions * settings.lengths
        self.head = DenseHead(
            encoder,
            count,
            stride=settings.stride,
            output_stride=settings.output_stride,
            width=settings.width,
        )
        # Lengths at which a bin ends (but the last), and the one that it stands for.
        steps = torch.logspace(math.log10(settings.still), math.log10(FASTEST), 2 * bins + 1)
        self.register_buffer("edges", steps[2:-1:2].clone())
        self.register_buffer("middles", steps[1::2].clone())
        # Of frames that are trained on: the mean flow at each place, and how often each bin came.
        self.register_buffer("usual", torch.zeros(2, self.side, self.side))
        self.register_buffer("often", torch.full((count, self.side, self.side), 1 / count))

    @torch.no_grad()
    def prepare(self, dataset: Subset, cache: Path, rng: Draws) -> None:
        """Bins of length, the mean flow, and how often each bin comes, from up to 512 frames."""
        picked = np.linspace(0, len(dataset) - 1, min(LOOKED_AT, len(dataset))).astype(np.int64)
        places = rng.named("places").uniform()[torch.from_numpy(picked)]
        batch = dataset.batch(picked, self.needs, places)
        vectors, known = self._flow(batch, plain(centre_box(batch["image"])))
        weight = known.sum(0).clamp_min(1)
        first_decides(self.usual.copy_((vectors * known[:, None]).sum(0) / weight))
        self._part(vectors.norm(dim=1)[known])
        here = torch.arange(self.side**2).view(self.side, self.side)
        cells = (self.classify(vectors) * self.side**2 + here)[known]
        counts = cells.bincount(minlength=self.often.numel()).view_as(self.often).float()
        # At a place that was seldom seen, as often as at all places together.
        anywhere = (counts.sum((1, 2)) + 1) / (counts.sum() + len(counts))
        share = (counts + len(counts) * anywhere[:, None, None]) / (counts.sum(0) + len(counts))
        first_decides(self.often.copy_(share))

    def _part(self, lengths: Tensor) -> None:
        """Bins that hold equally much of what moves; as they are, where next to nothing does."""
        moving = lengths[lengths >= self.settings.still]
        count = 2 * self.settings.lengths
        if len(moving) < count:
            return
        found = torch.from_numpy(np.quantile(moving.numpy(), np.arange(1, count) / count)).float()
        first_decides(self.edges.copy_(found[1::2]))
        first_decides(self.middles.copy_(found[::2]))

    def views(self, batch: Batch, rng: Draws) -> Views:
        """`image` (B, 3, S, S), and the flow that belongs to it, at the output stride.

        vectors: (B, 2, h, h) in shares of the side; pseudo_label: int64 (B, h, h), their bins;
        known: bool (B, h, h)
        """
        pictures, size = batch["image"], self.info.size
        drawn = draw_view(self.settings.view, pictures, size, rng)
        return {"image": apply_view(pictures, drawn, size), **self._truth(batch, drawn)}

    @property
    def side(self) -> int:
        """h, places along a side of the flow that is predicted."""
        return max(self.info.size // self.settings.output_stride, 1)

    def _truth(self, batch: Batch, drawn: ViewParameters) -> Views:
        vectors, known = self._flow(batch, drawn)
        return {"pseudo_label": self.classify(vectors), "known": known, "vectors": vectors}

    def _flow(self, batch: Batch, drawn: ViewParameters) -> tuple[Tensor, Tensor]:
        vectors, known = apply_flow(batch["flow"], batch["image"], drawn, self.info.size)
        shares = F.adaptive_avg_pool2d(known[:, 0, None].float(), self.side)[:, 0]
        return F.adaptive_avg_pool2d(vectors[:, 0], self.side), shares >= 0.5

    def classify(self, vectors: Tensor) -> Tensor:
        """The bin of each vector: (B, 2, h, w) -> int64 (B, h, w); 0 stands still."""
        x, y = vectors.unbind(1)
        length = torch.hypot(x, y)
        turn = (torch.atan2(y, x) / (2 * math.pi)) % 1
        direction = (turn * self.settings.directions).round().long() % self.settings.directions
        bin_of_length = torch.bucketize(length, self.edges, right=True)
        moving = 1 + direction * self.settings.lengths + bin_of_length
        return torch.where(length < self.settings.still, 0, moving)

    @property
    def bins(self) -> Tensor:
        """(C, 2): the vector that each bin stands for."""
        angles = torch.arange(self.settings.directions, device=self.middles.device)
        angles = angles * (2 * math.pi / self.settings.directions)
        around = torch.stack([torch.cos(angles), torch.sin(angles)], 1)
        moving = (around[:, None] * self.middles[:, None]).flatten(0, 1)
        return torch.cat([torch.zeros_like(moving[:1]), moving])

    def answer(self, logits: Tensor) -> Tensor:
        """Vectors of least expected end-point error: (B, C, h, w) -> (B, 2, h, w)."""
        return least_expected_error(logits.softmax(1), self.bins.to(logits))

    def forward(self, views: Views, progress: Progress, player: str) -> Step:
        """Cross-entropy of places whose flow is known, ln C at chance; the mean over rows."""
        logits, truth, known = self._logits(views["image"]), views["pseudo_label"], views["known"]
        each = F.cross_entropy(logits, truth, reduction="none")
        count = known.sum((1, 2)).clamp_min(1)
        error = _errors(self.answer(logits.detach()), views["vectors"], known)
        right = ((logits.argmax(1) == truth) & known).sum((1, 2)) / count
        return Step(
            _means(each, known).mean(),
            {"end_point_error": error.mean(), "accuracy": right.mean()},
        )

    def _logits(self, images: Tensor) -> Tensor:
        said: Tensor = self.head(self.encoder, images)
        side = self.side
        return said if said.shape[-1] == side else F.interpolate(said, size=(side, side))

    @torch.no_grad()
    def score(self, batches: Iterable[Batch], rng: Draws) -> Score:
        """Mean end-point error, in shares of the side, where the flow of uncropped frames is known.

        Trivial is the better of no motion at all and of the mean flow at each place of the frames
        that were trained on. And `cross_entropy` of the bins, in nats, beside that of how often
        each came at its place: who cannot tell left from right has to answer no motion, but may
        well know what moves, and how fast.
        """
        total, still, usual, surprise, often, rows = 0.0, 0.0, 0.0, 0.0, 0.0, 0
        for batch in batches:
            truth = self._truth(batch, plain(centre_box(batch["image"])))
            vectors, known = truth["vectors"], truth["known"]
            logits = self._logits(centre_view(batch["image"], self.info.size))
            said = self.answer(logits)
            bins = truth["pseudo_label"]
            surprise += float(_means(F.cross_entropy(logits, bins, reduction="none"), known).sum())
            blind = self.often.log().expand(len(bins), -1, -1, -1)
            often += float(_means(F.nll_loss(blind, bins, reduction="none"), known).sum())
            total += float(_errors(said, vectors, known).sum())
            still += float(_errors(torch.zeros_like(said), vectors, known).sum())
            usual += float(_errors(self.usual.expand_as(vectors), vectors, known).sum())
            rows += batch_rows(batch)
        count = max(rows, 1)
        told = Score("cross_entropy", surprise / count, often / count, rows)
        return Score(self.metric, total / count, min(still, usual) / count, rows, (told,))

    @torch.no_grad()
    def panels(self, batch: Batch, rng: Draws, *, answers: bool = True) -> list[Panel]:
        """Frames, their flow by the colour wheel, and the flow that is predicted."""
        rows = min(SHOWN, batch_rows(batch))
        some: Batch = {
            "image": batch["image"].select(range(rows)),
            "flow": batch["flow"].select(range(rows)),
        }
        truth = self._truth(some, plain(centre_box(some["image"])))
        vectors, known = truth["vectors"], truth["known"]
        images = centre_view(some["image"], self.info.size)
        largest = vectors.norm(dim=1).flatten(1).amax(1).clamp_min(self.settings.still)
        shown = {"frame": images, "its flow": self._shown(vectors, largest)}
        texts = [["", f"up to {100 * length:.1f} % of the side"] for length in largest.tolist()]
        caption = (
            "How each part of a frame moves within an eighth of a second, which the network must "
            "tell from the frame alone"
        )
        if answers:
            logits = self._logits(images)
            said = self.answer(logits)
            shown["predicted flow"] = self._shown(said, largest)
            lengths = torch.einsum("bchw,c->bhw", logits.softmax(1), self.bins.norm(dim=1))
            most = lengths.flatten(1).amax(1).clamp_min(1e-6)
            much = (lengths / most[:, None, None])[:, None].expand(-1, 3, -1, -1)
            shown["how far, whatever the direction"] = F.interpolate(much, size=self.info.size)
            wrong = _errors(said, vectors, known) * 100
            still = _errors(torch.zeros_like(said), vectors, known) * 100
            for i, text in enumerate(texts):
                text.append(f"off by {wrong[i]:.2f} %, no motion by {still[i]:.2f} %")
                text.append(f"white: {100 * most[i]:.2f} %")
            caption += (
                "; errors are means in shares of the side, less is better. Where it may as well go "
                "left as right, the best answer is no motion: bright is where it moves all the same"
            )
        panel = Panel(
            "flow_prediction",
            "Where will it move?",
            f"{caption}.",
            tuple(shown),
            list(zip(*map(to_uint8, shown.values()), strict=True)),
            texts,
            "prediction" if answers else "views",
        )
        return [with_flow_key(panel)]

    def _shown(self, vectors: Tensor, largest: Tensor) -> Tensor:
        return F.interpolate(flow_colours(vectors, largest), size=self.info.size)


def _errors(said: Tensor, truth: Tensor, known: Tensor) -> Tensor:
    """Mean end-point error of each row's known places, (B,); 0 where there are none."""
    return _means(torch.linalg.vector_norm(said - truth, dim=1), known)


def _means(each: Tensor, known: Tensor) -> Tensor:
    """Of (B, h, w), the mean over each row's known places, (B,); 0 where there are none."""
    found: Tensor = (each * known).sum((1, 2)) / known.sum((1, 2)).clamp_min(1)
    return found

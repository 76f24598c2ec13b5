"""Colorization: which colours had this grey picture?"""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path
from typing import ClassVar, Literal

import torch
import torch.nn.functional as F
from torch import Tensor

from hotstart.augment import ViewSettings, centre_view, random_view
from hotstart.config import Field
from hotstart.data import Subset
from hotstart.encoders import Encoder
from hotstart.pretext.colour_spaces import (
    equally_light_grey,
    lab_to_rgb,
    rgb_to_lab,
    rgb_to_ycbcr,
    ycbcr_to_rgb,
)
from hotstart.pretext.dense import DenseHead, resized
from hotstart.pretext.generation.chroma import (
    annealed_mean,
    chroma_error,
    class_weights,
    gamut_bins,
    rebalanced_cross_entropy,
    soft_encode,
)
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

OUTPUT_STRIDE = 4  # The paper's: a quarter of the picture's resolution.
COUNTED = 4096  # Pictures whose colours are counted.
COUNTED_AT_ONCE = 256
CBCR_UNIT = 0.1  # About the deviation of Cb and Cr: the loss is of order 1.


class ColorizationSettings(Settings):
    """Settings of `colorization`."""

    colour_space: Literal["lab", "ycbcr"] = "lab"
    """`lab`: classes of chroma; `ycbcr`: regression of Cb and Cr."""
    rebalance: bool = True
    """Rare colours weigh more: the guard against answering grey. For `lab` alone."""
    uniform: float = Field(default=0.5, ge=0, le=1)
    """Lambda of eq. 4: share of the uniform distribution in what the weights are inverse to."""
    grid: float = Field(default=10.0, ge=4, le=40)
    """Width of a class in units of a and b: the difficulty; 10 gives 313 classes."""
    temperature: float = Field(default=0.38, gt=0, le=1)
    """Of the annealed mean, eq. 5; 1 = the mean."""
    stride: int = Field(default=8, ge=1)
    """Pixels per place of the map at which a CNN is read."""
    width: int = Field(default=128, ge=1)
    """Channels of the head."""
    view: ViewSettings = ViewSettings(crop_scale=(0.4, 1.0), jitter=0.0, grey=0.0, blur=0.0)


class Colorization(PretextTask):
    """Give a grey picture its colours back.

    Zhang 2016 (arXiv:1603.08511): the network sees the lightness L of a picture and names the
    distribution of the chroma (a, b) of every place over the bins that sRGB can reach. The truth is
    soft-encoded to the five nearest bins (section 2.1), rare colours weigh more in the
    cross-entropy (eq. 2-4), and a colour is the annealed mean of a distribution (eq. 5).
    `colour_space="ycbcr"` is the lecture's: squared error of Cb and Cr (eq. 1), from luma Y.

    The network sees lightness as a grey RGB picture, so that the encoder takes coloured ones
    afterwards, rounded to 8 bits: as a grey photograph has it, and since the fraction of a weighted
    sum of whole numbers would tell the colour. What is scored is the picture that comes out.

    Deviations: the encoder's own stages, dilated, in place of the paper's network; the truth is
    the chroma of the picture reduced to the head's resolution, not that of every fourth pixel;
    means in place of sums; colours are counted in up to 4,096 of the pretraining pictures; AdamW.
    """

    metric: ClassVar[str] = "chroma_error"
    Settings: ClassVar[type[Settings]] = ColorizationSettings
    optimiser: ClassVar[OptimiserSettings] = OptimiserSettings(
        name="adamw", learning_rate=4e-3, weight_decay=1e-4
    )
    batch_size: ClassVar[int] = 64
    settings: ColorizationSettings
    bins: Tensor
    weights: Tensor
    mean_chroma: Tensor

    def __init__(self, encoder: Encoder, settings: ColorizationSettings, info: Info) -> None:
        super().__init__(encoder, settings, info)
        self.classes = settings.colour_space == "lab"
        self.sigma = settings.grid / 2  # The paper's 5 for its grid of 10.
        self.register_buffer("bins", gamut_bins(settings.grid), persistent=False)
        self.register_buffer("weights", torch.ones(len(self.bins)))
        self.register_buffer("mean_chroma", torch.zeros(2))
        self.head = DenseHead(
            encoder,
            len(self.bins) if self.classes else 2,
            stride=settings.stride,
            output_stride=OUTPUT_STRIDE,
            width=settings.width,
        )

    @torch.no_grad()
    def prepare(self, dataset: Subset, cache: Path, rng: Draws) -> None:
        """Count the colours of the pretraining pictures: `weights` (Q,) and `mean_chroma` (2,)."""
        count = min(COUNTED, len(dataset))
        chosen = rng.generator.choice(len(dataset), count, replace=False)
        counts = torch.zeros(len(self.bins), device=self.bins.device)
        total = torch.zeros_like(self.mean_chroma)
        side = max(self.info.size // OUTPUT_STRIDE, 1)
        for start in range(0, len(chosen), COUNTED_AT_ONCE):
            batch = dataset.batch(chosen[start : start + COUNTED_AT_ONCE], ("image",))
            images = centre_view(batch["image"], self.info.size).to(self.bins.device)
            ab = rgb_to_lab(F.adaptive_avg_pool2d(images, side))[:, 1:]
            total += ab.mean((2, 3)).sum(0)
            nearest, _ = soft_encode(_places(ab), self.bins, self.sigma, neighbours=1)
            counts += torch.bincount(nearest[:, 0], minlength=len(counts))
        self.mean_chroma.copy_(total / len(chosen))
        if self.settings.rebalance:
            self.weights.copy_(class_weights(counts, self.bins, self.sigma, self.settings.uniform))

    def views(self, batch: Batch, rng: Draws) -> Views:
        """`grey` and `whole` (B, 3, S, S) in 0..1; grey has three equal channels."""
        return self._greyed(random_view(batch["image"], self.settings.view, self.info.size, rng))

    def _greyed(self, whole: Tensor) -> Views:
        grey = equally_light_grey(whole) if self.classes else rgb_to_ycbcr(whole)[:, :1]
        grey = ((grey * 255).round() / 255).expand(-1, 3, -1, -1)
        return {"grey": grey.contiguous(memory_format=torch.channels_last), "whole": whole}

    def forward(self, views: Views, progress: Progress, player: str) -> Step:
        """Eq. 2 over places, ln Q at initialisation; or eq. 1 for `ycbcr`.

        The metric here is that of crops, at the head's resolution.
        """
        said = self.head(self.encoder, views["grey"])
        grey, truth = (
            F.adaptive_avg_pool2d(views[name], said.shape[-2:]) for name in ("grey", "whole")
        )
        if self.classes:
            ab = _places(rgb_to_lab(truth)[:, 1:])
            nearest, share = soft_encode(ab, self.bins, self.sigma)
            loss = rebalanced_cross_entropy(_places(said), nearest, share, self.weights)
        else:
            loss = 0.5 * (said - rgb_to_ycbcr(truth)[:, 1:] / CBCR_UNIT).square().mean()
        made = self._coloured(grey, self._as_frequent(said.detach()))
        return Step(loss, {"chroma_error": chroma_error(made, truth).mean()})

    def _as_frequent(self, said: Tensor) -> Tensor:
        """The classes as likely as they are: what the weights of the loss add is taken off.

        A network whose loss weighs a class w names w times its probability (up to a factor).
        """
        return said - self.weights.log()[:, None, None] if self.classes else said

    @torch.no_grad()
    def _coloured(self, grey: Tensor, said: Tensor) -> Tensor:
        """The grey picture in the colours that the head names, (B, 3, S, S) in 0..1."""
        if self.classes:
            ab = annealed_mean(said, self.bins, self.settings.temperature)
            return lab_to_rgb(self._with_lightness(grey, resized(ab, grey.shape[-1])))
        cbcr = resized(said * CBCR_UNIT, grey.shape[-1])
        return ycbcr_to_rgb(torch.cat([grey[:, :1], cbcr], 1))

    def _with_lightness(self, grey: Tensor, ab: Tensor) -> Tensor:
        return torch.cat([rgb_to_lab(grey)[:, :1], ab], 1)

    def _ask(self, batch: Batch) -> dict[str, Tensor]:
        """Whole pictures, uncropped: grey, in the mean chroma, as the network says, true."""
        views = self._greyed(centre_view(batch["image"], self.info.size))
        grey = views["grey"]
        said = self.head(self.encoder, grey)
        mean = self.mean_chroma[None, :, None, None].expand(len(grey), -1, *grey.shape[-2:])
        return {
            "grey": grey,
            "mean colour": lab_to_rgb(self._with_lightness(grey, mean)),
            "network": self._coloured(grey, said),
            "by frequency": self._coloured(grey, self._as_frequent(said)),
            "truth": views["whole"],
        }

    @torch.no_grad()
    def generate(self, batch: Batch, rng: Draws) -> Tensor:
        """Each picture, made grey and coloured."""
        return self._ask(batch)["network"]

    @torch.no_grad()
    def score(self, batches: Iterable[Batch], rng: Draws) -> Score:
        """Mean error of chroma over pixels, in units of a and b; lower is better.

        Of the colours as likely as they are: rebalanced ones, as pictures show them, are vivid at
        the price of this error (the paper's table 1 says so too). The trivial value is the smaller
        of two: all grey, all in the mean chroma of the pretraining pictures.
        """
        totals = dict.fromkeys(("grey", "mean colour", "by frequency"), 0.0)
        rows = 0
        for batch in batches:
            answers = self._ask(batch)
            for name in totals:
                totals[name] += float(chroma_error(answers[name], answers["truth"]).sum())
            rows += batch_rows(batch)
        value, grey, mean = (
            totals[n] / max(rows, 1) for n in ("by frequency", "grey", "mean colour")
        )
        return Score(self.metric, value, min(grey, mean), rows)

    @torch.no_grad()
    def panels(self, batch: Batch, rng: Draws, *, answers: bool = True) -> list[Panel]:
        """Grey, in the mean chroma, as the network says, the truth."""
        count = min(SHOWN, len(batch["image"]))
        pictures = self._ask({"image": batch["image"].select(range(count))})
        caption = "The encoder sees the grey picture and must name the colours"
        if answers:
            caption += (
                ": `network` with rare colours as the loss enlarges them, `by frequency` without; "
                "error of chroma in units of CIE a and b, lower is better"
            )
        else:
            pictures = {name: pictures[name] for name in ("grey", "truth")}
        if not (self.classes and self.settings.rebalance):
            pictures.pop("by frequency", None)
        texts = [
            [""] * count
            if name == "truth" or not answers
            else [f"{error:.1f}" for error in chroma_error(made, pictures["truth"]).tolist()]
            for name, made in pictures.items()
        ]
        return [
            Panel(
                "colorization",
                "Which colours did it have?",
                f"{caption}.",
                tuple(pictures),
                list(zip(*map(to_uint8, pictures.values()), strict=True)),
                [list(row) for row in zip(*texts, strict=True)],
                "prediction" if answers else "views",
            )
        ]


def _places(maps: Tensor) -> Tensor:
    """(B, C, H, W) -> (B H W, C)."""
    return maps.permute(0, 2, 3, 1).flatten(0, 2)

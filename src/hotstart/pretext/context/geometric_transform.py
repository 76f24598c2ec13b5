"""Geometric transform: how was this picture turned, scaled and tilted?"""

from __future__ import annotations

import math
from collections.abc import Iterable
from typing import ClassVar, Literal

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from hotstart.augment import ViewSettings, random_view
from hotstart.config import Field
from hotstart.data.draws import Draws
from hotstart.encoders import Encoder, map_shape, mlp
from hotstart.pretext.context.geometry import (
    corners,
    homography,
    moved,
    seen_through,
    shear,
    similarity,
)
from hotstart.pretext.task import (
    Batch,
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
from hotstart.pretext.two_views import at_least_float

SHOWN = 6
HIDDEN_DIM = 512
MAP_SIDE = 4
SAMPLES = 10_000


class GeometricTransformSettings(Settings):
    """Settings of `geometric_transform`."""

    kind: Literal["projective", "affine"] = "projective"
    strength: float = Field(default=1.0, gt=0, le=2)
    """Multiplies the ranges of shifts, scales and shears: the difficulty."""
    turns: bool = True
    """Also turned by 0, 90, 180 or 270 degrees, as in the paper."""
    border: Literal["picture", "black"] = "picture"
    """What lies outside of the view: `black` takes the guard off, its shape tells the answer."""
    reads: Literal["features", "maps"] = "features"
    """What the head sees of either picture: h, as in the paper, or the last map."""
    view: ViewSettings = ViewSettings(
        crop_scale=(0.6, 1.0), strength=0.5, jitter=0.8, grey=0.1, blur=0.0
    )


class PairHead(nn.Module):
    """Two maps, (B, C, s, s) each -> what a perceptron says of them, (B, entries).

    It reads both maps and, beside them, how alike each place of one is to each place of the other:
    the correlation layer of Rocco 2017 (arXiv:1703.05593), section 3.2. A perceptron would have to
    learn to multiply one map by the other before it could compare them.
    """

    def __init__(self, channels: int, side: int, entries: int) -> None:
        super().__init__()
        places = side**2
        self.norm = nn.BatchNorm1d(places**2)
        self.perceptron = mlp((places**2 + 2 * channels * places, HIDDEN_DIM, entries))

    def forward(self, before: Tensor, after: Tensor) -> Tensor:
        unit = [F.normalize(at_least_float(places.flatten(2)), dim=1) for places in (before, after)]
        alike = torch.einsum("bcp,bcq->bpq", *unit).flatten(1)
        read = [self.norm(alike), before.flatten(1), after.flatten(1)]
        said: Tensor = self.perceptron(torch.cat(read, 1))
        return said


class GeometricTransform(PretextTask):
    """Tell by which affine or projective transform one picture became the other.

    Zhang 2019 (AET, arXiv:1901.04596), eq. 1-2 and 4: picture and transformed picture go through
    the same encoder, and a head that sees both predicts the entries of the 3 x 3 matrix (m33 = 1);
    the loss is half the squared error. Projective: a turn by a multiple of 90 degrees, a scale in
    [0.8, 1.2], each corner shifted by up to an eighth of the side. Affine: scale as before, shift
    up to 0.1 of the side, shear and further turn up to 15 degrees.

    Deviations: matrices map places in the transformed picture to those in the other, in units of
    half a side, each entry standardised by its mean and deviation over 10,000 drawn transforms, so
    that all count alike; the affine ranges are narrower than the paper's, so that no border shows;
    both pictures are cut out of a larger one, whereas black corners (`border="black"`) would tell
    the transform without anything of the picture; AdamW.

    `reads="maps"` gives the head the last maps, of at most 4 x 4 places, and how alike their places
    are. The question is then answered far better, but by comparing places, not by knowing what is
    in the picture: features gain less.
    """

    metric: ClassVar[str] = "corner_error"
    Settings: ClassVar[type[Settings]] = GeometricTransformSettings
    optimiser: ClassVar[OptimiserSettings] = OptimiserSettings(
        name="adamw", learning_rate=2e-3, weight_decay=5e-4
    )
    batch_size: ClassVar[int] = 128
    settings: GeometricTransformSettings
    entry_mean: Tensor
    entry_std: Tensor

    def __init__(self, encoder: Encoder, settings: GeometricTransformSettings, info: Info) -> None:
        super().__init__(encoder, settings, info)
        matrices = self.draw(Draws(0, 0, total=SAMPLES, names=("entries",)))
        # Whatever the transform lets in is picture: cut as far out as any of them reaches.
        reach = float(moved(matrices, corners(len(matrices))).abs().max())
        self.cut_px = info.size + 2 * math.ceil((max(reach, 1) - 1) * info.size / 2)
        drawn = self._entries(matrices)
        deviation, mean = torch.std_mean(drawn, 0)
        self.register_buffer("entry_mean", mean, persistent=False)
        self.register_buffer("entry_std", deviation.clamp_min(1e-6), persistent=False)
        channels, side = map_shape(encoder, info.size)
        self.side = min(side, MAP_SIDE)
        entries = drawn.shape[1]
        self.head: PairHead | nn.Module = (
            PairHead(channels, self.side, entries)
            if settings.reads == "maps"
            else mlp((2 * encoder.dim, HIDDEN_DIM, entries))
        )

    def _entries(self, matrices: Tensor) -> Tensor:
        """The free entries of (B, 3, 3): 8, or 6 of an affine one."""
        return matrices.flatten(1)[:, : 8 if self.settings.kind == "projective" else 6]

    def draw(self, rng: Draws) -> Tensor:
        """Matrices (B, 3, 3), m33 = 1, from places in the transformed picture to the other's."""
        strength = self.settings.strength
        scale = 1 + strength * rng.named("scale").uniform(-0.2, 0.2)
        turn = rng.named("turn").integers(0, 4) * (math.pi / 2) * self.settings.turns
        if self.settings.kind == "affine":
            most = math.pi / 12 * strength
            turn = turn + rng.named("angle").uniform(-most, most)
            shift = rng.named("shift").uniform(-0.2 * strength, 0.2 * strength, 2)
            sheared = shear(torch.tan(rng.named("shear").uniform(-most, most)))
            return similarity(turn, scale, shift) @ sheared
        starts = corners(len(turn))
        shifts = rng.named("corners").uniform(-0.25 * strength, 0.25 * strength, 4, 2)
        turned = similarity(turn, scale, torch.zeros(len(turn), 2))
        return homography(starts, moved(turned, starts + shifts))

    def views(self, batch: Batch, rng: Draws) -> Views:
        """`before`, `after` (B, 3, S, S); `pseudo_label` float (B, 8 or 6), standardised."""
        return self._pair(self._whole(batch, rng), rng)

    def _whole(self, batch: Batch, rng: Draws) -> Tensor:
        """What both pictures are cut out of."""
        return random_view(batch["image"], self.settings.view, self.cut_px, rng)

    def _pair(self, whole: Tensor, rng: Draws) -> Views:
        matrices = self.draw(rng).to(whole.device)
        return {
            "before": self._middle(whole).contiguous(),
            "after": self._through(whole, matrices),
            "pseudo_label": (self._entries(matrices) - self.entry_mean) / self.entry_std,
        }

    def _middle(self, whole: Tensor) -> Tensor:
        size = self.info.size
        low = (self.cut_px - size) // 2
        return whole[:, :, low : low + size, low : low + size]

    def _through(self, whole: Tensor, matrices: Tensor) -> Tensor:
        """The transformed picture, (B, 3, S, S)."""
        if self.settings.border == "black":
            return seen_through(self._middle(whole), matrices, self.info.size, border="zeros")
        return seen_through(whole, matrices, self.info.size, border="reflection")

    def forward(self, views: Views, progress: Progress, player: str) -> Step:
        """Half the squared error of the standardised entries; 1/2 for the mean parameters."""
        said, truth = self._said(views), views["pseudo_label"]
        loss = 0.5 * (said - truth).square().mean()
        return Step(loss, {self.metric: self._corner_error(said.detach(), truth).mean()})

    def _said(self, views: Views) -> Tensor:
        pictures = torch.cat([views["before"], views["after"]])
        pictures = pictures.contiguous(memory_format=torch.channels_last)
        if self.settings.reads == "features":
            fed: tuple[Tensor, ...] = (torch.cat(self.encoder(pictures).chunk(2), 1),)
        else:
            last = self.encoder.feature_map(pictures, self.encoder.stage_strides[-1])
            fed = F.adaptive_avg_pool2d(last, self.side).chunk(2)
        said: Tensor = self.head(*fed)
        return said

    @torch.no_grad()
    def score(self, batches: Iterable[Batch], rng: Draws) -> Score:
        """Mean corner error, beside that of the mean parameters."""
        value, trivial, rows = 0.0, 0.0, 0
        for i, batch in enumerate(batches):
            count = batch_rows(batch)
            views = self.views(batch, rng.batch(i, count))
            truth = views["pseudo_label"]
            value += float(self._corner_error(self._said(views), truth).sum())
            trivial += float(self._corner_error(torch.zeros_like(truth), truth).sum())
            rows += count
        return Score(self.metric, value / max(rows, 1), trivial / max(rows, 1), rows)

    @torch.no_grad()
    def panels(self, batch: Batch, rng: Draws, *, answers: bool = True) -> list[Panel]:
        """A picture, the transformed one, and the picture under the transform that was named."""
        count = min(SHOWN, len(batch["image"]))
        draws = rng.batch(0, count)
        whole = self._whole({"image": batch["image"].select(range(count))}, draws)
        views = self._pair(whole, draws)
        columns, pictures = ["picture", "transformed"], [views["before"], views["after"]]
        texts = [["", ""]] * count
        caption = f"The network sees both and must name the {self.settings.kind} transform"
        if answers:
            said = self._said(views)
            columns.append("as the network says")
            pictures.append(self._through(whole, self._matrices(said)))
            apart = self._corner_error(said, views["pseudo_label"])
            texts = [["", "", f"corners {share:.0%} of the side away"] for share in apart.tolist()]
            caption += "; the picture under the named transform should look like the second"
        return [
            Panel(
                "geometric_transform",
                "How was it transformed?",
                f"{caption}.",
                columns,
                list(zip(*map(to_uint8, pictures), strict=True)),
                texts,
                "prediction" if answers else "views",
            )
        ]

    def _corner_error(self, said: Tensor, truth: Tensor) -> Tensor:
        """How far the corners of the picture land from where they belong, (B,), in sides of it.

        said, truth: (B, 8 or 6), standardised. The mean over the four corners.
        """
        points = corners(len(truth)).to(truth)
        away = moved(self._matrices(said), points) - moved(self._matrices(truth), points)
        error: Tensor = away.norm(dim=2).mean(1) / 2
        return error

    def _matrices(self, standardised: Tensor) -> Tensor:
        """(B, 8 or 6), standardised -> (B, 3, 3)."""
        entries = standardised * self.entry_std + self.entry_mean
        last = torch.tensor([0.0, 0.0, 1.0], device=entries.device)[-(9 - entries.shape[1]) :]
        return torch.cat([entries, last.expand(len(entries), -1)], 1).view(-1, 3, 3)

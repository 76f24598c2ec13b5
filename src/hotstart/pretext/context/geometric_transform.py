"""Geometric transform: how was this picture turned, scaled and tilted?"""

from __future__ import annotations

import math
from collections.abc import Iterable
from typing import ClassVar, Literal

import torch
import torch.nn.functional as F
from torch import Tensor

from hotstart.augment import ViewSettings, random_view
from hotstart.config import Field
from hotstart.data.draws import Draws
from hotstart.encoders import Encoder, map_shape, mlp
from hotstart.pretext.context.geometry import (
    CORNERS,
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

SHOWN = 6
HIDDEN_DIM = 512
MAP_SIDE = 4
SAMPLES = 10_000
MARGIN = 1.5
"""Side of the square that is cut over that of the view: what the transform lets in is picture."""


class GeometricTransformSettings(Settings):
    """Settings of `geometric_transform`."""

    kind: Literal["projective", "affine"] = "projective"
    strength: float = Field(default=1.0, gt=0, le=2)
    """Multiplies the ranges of shifts, scales and shears: the difficulty."""
    turns: bool = True
    """Also turned by 0, 90, 180 or 270 degrees, as in the paper."""
    border: Literal["picture", "black"] = "picture"
    """What lies outside of the view: `black` takes the guard off, its shape tells the answer."""
    view: ViewSettings = ViewSettings(
        crop_scale=(0.6, 1.0), strength=0.5, jitter=0.8, grey=0.1, blur=0.0
    )


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
    the transform without anything of the picture; the head reads the last map, of at most 4 x 4
    places, where the paper pools it; AdamW.
    """

    metric: ClassVar[str] = "parameter_error"
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
        self.cut_px = round(MARGIN * info.size)
        drawn = self._entries(self.draw(Draws(0, 0, total=SAMPLES, names=("entries",))))
        deviation, mean = torch.std_mean(drawn, 0)
        self.register_buffer("entry_mean", mean, persistent=False)
        self.register_buffer("entry_std", deviation.clamp_min(1e-6), persistent=False)
        channels, side = map_shape(encoder, info.size)
        self.side = min(side, MAP_SIDE)
        self.regressor = mlp((2 * channels * self.side**2, HIDDEN_DIM, drawn.shape[1]))

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
        starts = torch.tensor(CORNERS).expand(len(turn), 4, 2)
        shifts = rng.named("corners").uniform(-0.25 * strength, 0.25 * strength, 4, 2)
        turned = similarity(turn, scale, torch.zeros(len(turn), 2))
        return homography(starts, moved(turned, starts + shifts))

    def views(self, batch: Batch, rng: Draws) -> Views:
        """`before`, `after` (B, 3, S, S); `pseudo_label` float (B, 8 or 6), standardised."""
        whole = random_view(batch["image"], self.settings.view, self.cut_px, rng)
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
        return Step(loss, {"parameter_error": (said - truth).detach().abs().mean()})

    def _said(self, views: Views) -> Tensor:
        pictures = torch.cat([views["before"], views["after"]])
        last = self.encoder.feature_map(
            pictures.contiguous(memory_format=torch.channels_last), self.encoder.stage_strides[-1]
        )
        before, after = F.adaptive_avg_pool2d(last, self.side).flatten(1).chunk(2)
        said: Tensor = self.regressor(torch.cat([before, after], 1))
        return said

    @torch.no_grad()
    def score(self, batches: Iterable[Batch], rng: Draws) -> Score:
        """Mean absolute error of the standardised entries, beside that of their mean."""
        value, trivial, rows = 0.0, 0.0, 0
        for i, batch in enumerate(batches):
            count = batch_rows(batch)
            views = self.views(batch, rng.batch(i, count))
            truth = views["pseudo_label"]
            value += float((self._said(views) - truth).abs().mean(1).sum())
            trivial += float(truth.abs().mean(1).sum())
            rows += count
        return Score(self.metric, value / max(rows, 1), trivial / max(rows, 1), rows)

    @torch.no_grad()
    def panels(self, batch: Batch, rng: Draws, *, answers: bool = True) -> list[Panel]:
        """A picture, the transformed one, and the picture under the transform that was named."""
        count = min(SHOWN, len(batch["image"]))
        shown: Batch = {"image": batch["image"].select(range(count))}
        draws = rng.batch(0, count)
        whole = random_view(shown["image"], self.settings.view, self.cut_px, draws)
        views = self.views(shown, draws)
        columns, pictures = ["picture", "transformed"], [views["before"], views["after"]]
        texts = [["", ""]] * count
        caption = f"The network sees both and must name the {self.settings.kind} transform"
        if answers:
            said = self._said(views)
            matrices = self._matrices(said * self.entry_std + self.entry_mean)
            columns.append("as the network says")
            pictures.append(self._through(whole, matrices))
            corners = torch.tensor(CORNERS, device=said.device).expand(count, 4, 2)
            truth = self._matrices(views["pseudo_label"] * self.entry_std + self.entry_mean)
            apart = (moved(matrices, corners) - moved(truth, corners)).norm(dim=2).mean(1) / 2
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

    def _matrices(self, entries: Tensor) -> Tensor:
        """(B, 8 or 6) -> (B, 3, 3)."""
        last = torch.tensor([0.0, 0.0, 1.0], device=entries.device)[-(9 - entries.shape[1]) :]
        return torch.cat([entries, last.expand(len(entries), -1)], 1).view(-1, 3, 3)

"""Egomotion: how did the camera move between these two frames?"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import ClassVar, Literal

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

from hotstart.augment import ViewSettings, centre_clip, random_clip
from hotstart.config import Field
from hotstart.data import Subset
from hotstart.encoders import Encoder
from hotstart.errors import UsageError
from hotstart.pretext.camera_motion import (
    NUMBERS,
    SHIFTS,
    TURNS,
    chained,
    direction_error,
    in_a_mirror,
    motion_between,
    shift_error,
    turn_error,
)
from hotstart.pretext.motion_reader import MotionReader
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
    Spec,
    Step,
    Views,
    batch_rows,
    to_uint8,
)
from hotstart.pretext.trajectories import axis_names, drawn, two_axes

SHOWN = 6
FRAMES, SECONDS = 9, 1.6
STEPS_APART = 4
WINDOWS = 8
LOOKED_AT = 2_000
OUTSIDE = 0.01
STILL = 1e-4
"""A number that varies by less (a tenth of a millimetre, a ten thousandth degree) is not asked."""
OTHERS = {
    "turn_degrees": (turn_error, TURNS),
    "shift_metres": (shift_error, SHIFTS),
    "direction_degrees": (direction_error, SHIFTS),
}
"""Errors, and which of the six numbers each is of."""


class EgomotionSettings(Settings):
    """Settings of `egomotion`."""

    objective: Literal["binned", "regressed"] = "binned"
    """Each number as one of `bins` classes, as in the paper, or as it is."""
    bins: int = Field(default=20, ge=2, le=200)
    seconds: float = Field(default=SECONDS, gt=0)
    """From the first to the last of nine frames; a pair is one to four of their steps apart."""
    mirror: float = Field(default=0.5, ge=0, le=1)
    """How often a pair, and its motion, is seen in a mirror."""
    view: ViewSettings = ViewSettings(
        crop_scale=(1.0, 1.0),
        crop_ratio=(1.0, 1.0),
        flip=0.0,
        strength=0.5,
        jitter=0.8,
        grey=0.1,
        blur=0.0,
    )
    """Crops would change how many pixels a degree is: the middle square is taken whole."""


class Egomotion(PretextTask):
    """Tell how the camera moved from one frame to another.

    Agrawal 2015 (arXiv:1505.01596), section 3: both frames go through the same encoder, the last
    maps side by side through two convolutions and a hidden layer (its "top" network), which says
    where the second camera stands, seen from the first, and how it is turned; each number is one of
    20 bins of equal width. The truth comes from a pose file.

    Deviations: the two convolutions see, beside both maps, how alike the places of a finer map are
    in both frames (`MotionReader`), without which they learn little in a short time; all six
    numbers are asked (those that vary in the data), not the three that vary most on a road; bins
    reach from the first to the last percentile, what lies beyond is in the outermost; the answer in
    metres and degrees is the mean of the bins' centres, weighted by their probabilities; frames are
    mirrored with their motion half the time; `regressed` is half the squared error of standardised
    numbers; AdamW.
    """

    needs: ClassVar[Mapping[str, Spec]] = dict.fromkeys(("clip", "pose"), Spec(FRAMES, SECONDS))
    metric: ClassVar[str] = "motion_error"
    Settings: ClassVar[type[Settings]] = EgomotionSettings
    optimiser: ClassVar[OptimiserSettings] = OptimiserSettings(
        name="adamw", learning_rate=4e-3, weight_decay=5e-4
    )
    batch_size: ClassVar[int] = 64
    settings: EgomotionSettings
    mean: Tensor
    deviation: Tensor
    low: Tensor
    high: Tensor

    def __init__(self, encoder: Encoder, settings: EgomotionSettings, info: Info) -> None:
        super().__init__(encoder, settings, info)
        self.needs = dict.fromkeys(self.needs, Spec(FRAMES, settings.seconds))  # type: ignore[misc]
        # What the six numbers are like in the pretraining set; of no set in particular until then.
        self.register_buffer("mean", torch.zeros(len(NUMBERS), dtype=torch.float64))
        self.register_buffer("deviation", torch.ones(len(NUMBERS), dtype=torch.float64))
        self.register_buffer("low", torch.full((len(NUMBERS),), -2.0, dtype=torch.float64))
        self.register_buffer("high", torch.full((len(NUMBERS),), 2.0, dtype=torch.float64))
        if settings.view.flip:
            raise UsageError(
                f"egomotion.view.flip={settings.view.flip:g} would mirror frames and not their "
                "motion; egomotion.mirror does both"
            )
        self.top = MotionReader(encoder, info.size, len(NUMBERS) * self.answers)

    @property
    def answers(self) -> int:
        """How many numbers are said of each of the six."""
        return self.settings.bins if self.settings.objective == "binned" else 1

    @torch.no_grad()
    def prepare(self, dataset: Subset, cache: Path, rng: Draws) -> None:
        """Mean, deviation and range of the six numbers, from the poses alone."""
        items = np.unique(np.linspace(0, len(dataset) - 1, LOOKED_AT).astype(np.int64))
        needs = {"pose": self.needs["pose"]}
        motions = []
        for window in range(WINDOWS):
            places = torch.full((len(items),), (window + 0.5) / WINDOWS)
            poses = dataset.batch(items, needs, places)["pose"]
            for apart in range(1, STEPS_APART + 1):
                first, second = poses[:, :-apart].flatten(0, 1), poses[:, apart:].flatten(0, 1)
                motions.append(motion_between(first, second))
        numbers = torch.cat(motions)
        if self.settings.mirror:
            numbers = torch.cat([numbers, in_a_mirror(numbers)])
        deviation, mean = torch.std_mean(numbers, 0)
        self.mean.copy_(mean)
        self.deviation.copy_(deviation)
        ends = np.quantile(numbers.numpy(), (OUTSIDE, 1 - OUTSIDE), axis=0)
        self.low.copy_(torch.from_numpy(ends[0]))
        self.high.copy_(torch.from_numpy(np.maximum(ends[1], ends[0] + STILL)))

    def views(self, batch: Batch, rng: Draws) -> Views:
        """`first`, `second` (B, 3, S, S); `poses` float64 (B, 2, 16) of both, row by row."""
        clips = batch["clip"]
        apart = rng.named("apart").integers(1, STEPS_APART + 1)
        start = (rng.named("start").uniform() * (clips.frames - apart)).long()
        pair = torch.stack([start, start + apart], 1)
        shown = clips.in_order(pair)
        frames = random_clip(shown, self.settings.view, self.info.size, rng.named("view"))
        mirrored = (rng.named("mirror").uniform() < self.settings.mirror).to(frames.device)
        frames = torch.where(mirrored[:, None, None, None, None], frames.flip(4), frames)
        row = torch.arange(len(pair), device=batch["pose"].device)[:, None]
        poses = batch["pose"][row, pair.to(batch["pose"].device)]
        # Seen in a mirror that stands along the line of sight: x becomes -x on both sides.
        mirror = torch.diag(poses.new_tensor([-1.0, 1, 1, 1]))
        poses = torch.where(mirrored[:, None, None, None], mirror @ poses @ mirror, poses)
        return {
            "first": frames[:, :, 0].contiguous(),
            "second": frames[:, :, 1].contiguous(),
            "poses": poses.flatten(2),
        }

    def forward(self, views: Views, progress: Progress, player: str) -> Step:
        """Cross-entropy over the bins, ln 20 at chance, or half the squared error, 1/2."""
        said, truth = self._said(views["first"], views["second"]), _truth(views)
        asked = self.deviation > STILL
        if self.settings.objective == "binned":
            share = (truth - self.low) / (self.high - self.low)
            bins = (share * self.settings.bins).long().clamp(0, self.settings.bins - 1)
            loss = F.cross_entropy(said[:, asked].flatten(0, 1), bins[:, asked].flatten())
        else:
            loss = 0.5 * (said[:, :, 0] - self._scaled(truth))[:, asked].square().mean().float()
        error = self._error(self._numbers(said.detach()), truth)
        return Step(loss, {self.metric: error.square().mean().sqrt()})

    def _said(self, first: Tensor, second: Tensor) -> Tensor:
        """(B, 6, K): a logit for each bin, or one standardised number."""
        said: Tensor = self.top(self.encoder, first, second)
        return said.view(len(first), len(NUMBERS), self.answers)

    def _numbers(self, said: Tensor) -> Tensor:
        """What is said, in metres and degrees: float64 (B, 6)."""
        if self.settings.objective == "regressed":
            return said[:, :, 0].double() * self.deviation + self.mean
        middles = (torch.arange(self.settings.bins, device=said.device) + 0.5) / self.settings.bins
        share = (said.double().softmax(2) * middles).sum(2)
        return self.low + share * (self.high - self.low)

    def _scaled(self, numbers: Tensor) -> Tensor:
        return (numbers - self.mean) / self.deviation.clamp_min(STILL)

    def _error(self, said: Tensor, truth: Tensor) -> Tensor:
        """Root mean square over the numbers that vary, each in its own deviations: (B,)."""
        asked = self.deviation > STILL
        return (self._scaled(said) - self._scaled(truth))[:, asked].square().mean(1).sqrt()

    @torch.no_grad()
    def score(self, batches: Iterable[Batch], rng: Draws) -> Score:
        """`motion_error`, and errors in degrees and metres, each beside that of the mean motion.

        Of turns or shifts that do not vary no error is told.
        """
        said, truth = [], []
        for i, batch in enumerate(batches):
            views = self.views(batch, rng.batch(i, batch_rows(batch)))
            said.append(self._numbers(self._said(views["first"], views["second"])))
            truth.append(_truth(views))
        if not said:
            return Score(self.metric, 0.0, None, 0)
        answers, right = torch.cat(said), torch.cat(truth)
        mean = self.mean.expand_as(right)
        rows = len(right)

        def root(numbers: Tensor) -> float:
            return float(self._error(numbers, right).square().mean().sqrt())

        others = tuple(
            Score(name, float(error(answers, right).mean()), float(error(mean, right).mean()), rows)
            for name, (error, numbers) in OTHERS.items()
            if (self.deviation > STILL)[numbers].any()
        )
        return Score(self.metric, root(answers), root(mean), rows, others)

    @torch.no_grad()
    def panels(self, batch: Batch, rng: Draws, *, answers: bool = True) -> list[Panel]:
        """First and last frame of a few clips, and the way that the camera took between them."""
        count = min(SHOWN, batch_rows(batch))
        poses = batch["pose"][:count].double()
        clips = centre_clip(batch["clip"].select(range(count)), self.info.size)
        frames, last = clips.transpose(1, 2), clips.shape[2] - 1
        relative = torch.linalg.solve(poses[:, :1], poses)
        steps = motion_between(poses[:, :-1].flatten(0, 1), poses[:, 1:].flatten(0, 1))
        ways = [relative]
        if answers:
            said = self._said(frames[:, :-1].flatten(0, 1), frames[:, 1:].flatten(0, 1))
            # The mean of pairs of all distances, at the distance of one step.
            mean = self.mean.expand_as(steps) * 2 / (STEPS_APART + 1)
            ways += [
                chained(numbers.view(count, last, -1)) for numbers in (self._numbers(said), mean)
            ]
        pictures, texts = [], []
        for row in range(count):
            path = [way[row, :, :3, 3].cpu().numpy() for way in ways]
            axes = two_axes(path[0])
            pictures.append([*to_uint8(frames[row, [0, last]]), drawn(path, axes)])
            length = float(np.linalg.norm(np.diff(path[0], axis=0), axis=1).sum())
            told = f"{length:.3g} m; {axis_names(axes)}"
            if answers:
                away = float(np.linalg.norm(path[1][-1] - path[0][-1]))
                told += f"; ends {away:.2g} m off"
            texts.append(["", "", told])
        caption = "The way of the camera through nine frames, from the ring on: dark as it was"
        if answers:
            caption += (
                ", orange as the network puts it together from what it says of each two "
                "neighbours, pale the mean motion"
            )
        return [
            Panel(
                "egomotion",
                "How did the camera move?",
                f"{caption}.",
                ("first frame", "last frame", "way"),
                pictures,
                texts,
                "prediction" if answers else "views",
            )
        ]


def _truth(views: Views) -> Tensor:
    """The six numbers, float64 (B, 6)."""
    poses = views["poses"].unflatten(2, (4, 4))
    return motion_between(poses[:, 0], poses[:, 1])

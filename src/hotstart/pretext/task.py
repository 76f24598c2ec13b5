"""The interface of a pretext task: everything a method needs lives in its one file."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, ClassVar, Literal

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor, nn

from hotstart.config import Settings
from hotstart.data import Subset
from hotstart.data.draws import Draws
from hotstart.data.panel import Panel as Panel
from hotstart.data.panel import PanelKind as PanelKind
from hotstart.data.sample import Batch, Pictures, Spec
from hotstart.encoders import Encoder

Views = dict[str, Tensor]


class OptimiserSettings(Settings):
    """How one player's weights move; a task states its own defaults."""

    name: Literal["sgd", "adamw", "lars"] = "adamw"
    learning_rate: float = 1e-3
    """Peak, for a batch of 256; it grows linearly with the batch (Goyal 2017)."""
    weight_decay: float = 1e-4
    """Not applied to biases and normalisation weights."""
    momentum: float = 0.9
    """SGD and LARS; AdamW's first beta."""
    warmup: float = 0.05
    """Share of the run in which the rate rises linearly from 0; then it falls as a cosine."""


@dataclass(frozen=True)
class Info:
    """What a task may know about the run when it is built."""

    items: int
    """Pictures in the pretraining set, N."""
    size: int
    """Side of a view in pixels."""
    batch_size: int
    """Rows of the global batch."""
    total_steps: int
    classes: int = 0
    """Human classes, for the controls; 0 where there are none."""
    class_names: tuple[str, ...] = ()
    """Of these."""


@dataclass(frozen=True)
class Progress:
    """Where the run stands: `step` of `total_steps`, counted from 0."""

    step: int
    total_steps: int

    @property
    def fraction(self) -> float:
        """0 at the first step, 1 at the end."""
        return min(self.step / max(self.total_steps, 1), 1.0)


@dataclass(frozen=True)
class Step:
    """What one forward pass yields: the loss, scalars to log, and tensors to carry on.

    Metrics named `projection_std` and `projection_rank` (`spread.py`) are watched: training says so
    when they fall to 0 and 1.
    `carry` goes, detached, to the players that come after in this step, who find it among their
    views (a discriminator sees what the generator made), and at last to `after_step`.
    """

    loss: Tensor
    metrics: dict[str, Tensor] = field(default_factory=dict)
    carry: dict[str, Tensor] = field(default_factory=dict)


@dataclass(frozen=True)
class Player:
    """Weights that one loss moves, and how. A GAN has two players; teachers belong to none."""

    parameters: Sequence[nn.Parameter]
    optimiser: OptimiserSettings


@dataclass(frozen=True)
class Epoch:
    """What `before_epoch` may ask for."""

    reset: Sequence[nn.Parameter] = ()
    """Weights just re-initialised: the optimiser forgets their history."""
    order: npt.NDArray[np.int64] | None = None
    """Positions in the pretraining set in the order they are to be loaded; None = shuffled."""


@dataclass(frozen=True)
class Score:
    """The headline metric on held-out pictures beside its value at chance, or a trivial one's."""

    metric: str
    value: float
    trivial: float | None
    examples: int
    others: tuple[Score, ...] = ()
    """What else is measured; of several tasks at once, those of all but the first."""
    among: tuple[int, int] | None = None
    """Of a retrieval: the least and the most things that the right one was sought among."""

    @property
    def each(self) -> tuple[Score, ...]:
        """One for each task: itself, then the others."""
        return (self, *self.others)


class PretextTask(nn.Module, ABC):
    """A pretext task: views and pseudo-labels from the data, a loss, heads, and what transfers.

    A subclass sets the class variables and writes `views` and `forward`; all else has a default.
    """

    needs: ClassVar[Mapping[str, Spec]] = {"image": Spec()}
    """The sample keys that it may read, and their form."""
    accepts: ClassVar[frozenset[str]] = frozenset({"cnn", "vit"})
    """Encoder kinds that it can train."""
    encoders: ClassVar[tuple[str, ...]] = ()
    """Of these kinds the only encoders, by name, the first by default; empty: all."""
    uses_labels: ClassVar[bool] = False
    """True for the controls alone."""
    own_order: ClassVar[bool] = False
    """Whether `before_epoch` asks for an order, whatever the settings; two such tasks cannot be
    trained at once."""
    max_steps: ClassVar[int | None] = None
    """Steps after which there is nothing more to do; None for all that learn."""
    metric: ClassVar[str] = "accuracy"
    """The headline metric, a key of `Step.metrics`."""
    Settings: ClassVar[type[Settings]]
    """Frozen settings of this task."""
    optimiser: ClassVar[OptimiserSettings] = OptimiserSettings()
    batch_size: ClassVar[int] = 256
    """Default rows of a batch; a smaller data set shrinks it."""

    encoder: Encoder
    """What transfers."""

    def __init__(self, encoder: Encoder, settings: Any, info: Info) -> None:
        super().__init__()
        self.encoder = encoder
        self.settings = settings
        self.info = info

    def trivial(self, rows: int) -> float | None:
        """The headline metric at chance in a batch of `rows`, or of a trivial answer; or None."""
        return None

    def prepare(self, dataset: Subset, cache: Path, rng: Draws) -> None:
        """One pass over the raw pictures of the pretraining set, on the CPU, before training.

        Also where a run is resumed, whose weights and buffers are then read back: what is costly
        is kept in `cache`, by `dataset.fingerprint`.
        """

    def before_epoch(self, features: Callable[[], Tensor], rng: Draws) -> Epoch:
        """Called before each epoch. features() -> (N, D) of the pretraining set, when asked."""
        return Epoch()

    @abstractmethod
    def views(self, batch: Batch, rng: Draws) -> Views:
        """Augmented views and pseudo-labels, on the device that the batch is on."""

    @abstractmethod
    def forward(self, views: Views, progress: Progress, player: str) -> Step:
        """The loss of `player` on `views`."""

    def exports(self) -> Mapping[str, Encoder]:
        """Encoders that transfer beside `encoder`, by name: each is a file `encoder-NAME`."""
        return {}

    def players(self) -> dict[str, Player]:
        """Who learns, in the order of play; by default one player with all trainable weights."""
        weights = [p for p in self.parameters() if p.requires_grad]
        return {"task": Player(weights, self.optimiser)}

    def after_step(self, step: Step, progress: Progress) -> None:
        """Teachers, queues, centres: what changes without a gradient, once all players moved."""

    @torch.no_grad()
    def score(self, batches: Iterable[Batch], rng: Draws) -> Score:
        """The headline metric over held-out `batches`: by default its mean, weighted by rows.

        batches: the same ones each time they are gone through.
        """
        total, rows, count = 0.0, 0, self.info.batch_size
        progress = Progress(self.info.total_steps, self.info.total_steps)
        player = next(iter(self.players()))
        for i, batch in enumerate(batches):
            count = batch_rows(batch)
            step = self(self.views(batch, rng.batch(i, count)), progress, player)
            total += float(step.metrics[self.metric]) * count
            rows += count
        return Score(self.metric, total / max(rows, 1), self.trivial(count), rows)

    @torch.no_grad()
    def panels(self, batch: Batch, rng: Draws, *, answers: bool = True) -> list[Panel]:
        """Pictures of input, pseudo-label and prediction on the pictures of `batch`.

        answers: False before training: input and pseudo-label alone, and no panel of what only a
        trained network has to show.
        """
        return []

    @torch.no_grad()
    def generate(self, batch: Batch, rng: Draws) -> Tensor | None:
        """Pictures that the task makes from those of `batch`, (B, 3, S, S) in 0..1.

        Clips are made as frames side by side, (B, 3, S, T S).
        None for a task that makes none. Row i is made from picture i; a task that makes pictures
        from noise pays no heed to what they show.
        """
        return None


def batch_rows(batch: Batch) -> int:
    """Rows of a batch, whatever its keys."""
    first: Any = next(iter(batch.values()))
    return len(first)


def side_by_side(clips: Tensor) -> Tensor:
    """(B, 3, T, H, W) -> (B, 3, H, T W): the frames of a clip from left to right."""
    return clips.transpose(2, 3).flatten(3)


def to_uint8(images: Tensor) -> list[npt.NDArray[np.uint8]]:
    """(B, 3, H, W) in 0..1 -> B arrays uint8 (H, W, 3), for panels."""
    scaled = (images.detach().clamp(0, 1) * 255).round().to(torch.uint8)
    return list(scaled.permute(0, 2, 3, 1).contiguous().cpu().numpy())


__all__ = [
    "Batch",
    "Draws",
    "Epoch",
    "Info",
    "OptimiserSettings",
    "Panel",
    "Pictures",
    "Player",
    "PretextTask",
    "Progress",
    "Score",
    "Settings",
    "Spec",
    "Step",
    "Views",
    "side_by_side",
    "to_uint8",
]

"""MoCo: which of a long queue of keys belongs to this view?"""

from __future__ import annotations

from collections.abc import Mapping
from itertools import pairwise
from typing import ClassVar

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from hotstart.config import Field
from hotstart.data.sample import Spec
from hotstart.encoders import Encoder, Teacher, decay_for, mlp
from hotstart.pretext.distributed import gather
from hotstart.pretext.losses import queue_nce
from hotstart.pretext.spread import PROJECTION_STD, dimension_std
from hotstart.pretext.task import (
    Batch,
    Draws,
    Info,
    OptimiserSettings,
    Progress,
    Settings,
    Step,
    Views,
)
from hotstart.pretext.two_views import (
    TwoViewSettings,
    TwoViewTask,
    at_least_float,
    positive_first,
)

SLOWEST = 0.999
"""The paper's `ema_decay`."""
LONGEST = 65536
"""The paper's queue, for 1.28 million pictures: a twentieth of them."""
LEAST_GROUP = 8
"""Pictures that share batch statistics, at least."""
NOBODY = -1
"""Whose key a place of the queue holds that nothing has come to yet."""


class MoCoSettings(TwoViewSettings):
    """Settings of `moco`."""

    queue: int | None = Field(default=None, ge=1)
    """Keys, K. None: two for each of a twentieth of the pictures, but at least those of a batch,
    and at most the paper's 65,536."""
    ema_decay: float | None = Field(default=None, ge=0, le=1)
    """None: the key encoder remembers a tenth of the run, but it is no faster than 0.9 and no
    slower than the paper's 0.999, which suits runs of 10,000 steps and more."""
    temperature: float = Field(default=0.2, gt=0)
    splits: int = Field(default=8, ge=1)
    """Groups of pictures with batch statistics of their own, of at least 8 pictures each; 1 turns
    the guard off."""
    hidden: int = Field(default=512, ge=1)
    """Width of the projector's hidden layer; the paper's is 2048."""
    projection: int = Field(default=128, ge=1)
    """Length of z."""


class MoCo(TwoViewTask):
    """Find the key of a picture's other view, made by an EMA key encoder, beside a queue of others.

    He 2020 (arXiv:1911.05722), eq. 1 and 2, algorithm 1; head, temperature and views of v2 (Chen
    2020, arXiv:2003.04297). The queue holds the keys of the last batches, of all processes.

    The shortcut: query and positive key stem from the same batch, the negatives do not, so batch
    statistics tell them apart. The paper shuffles keys over GPUs; here each process normalises
    queries in groups of neighbouring rows and keys in groups of rows that lie `splits` apart, so
    that a key shares its group with 1 / splits of its query's group, as a shuffle has it on average
    (the authors' code for one GPU splits BatchNorm likewise).

    Deviations: AdamW in place of SGD; both views are query and key in turn, as in the authors' code
    for CIFAR-10; a key of the query's own picture that is still in the queue is no negative, so
    that a small data set bears the queue; other pictures' keys of the same batch are negatives too,
    and the queue begins empty, where the paper fills it with random vectors: to turn away from
    those all queries may go the same way, which a short run does not recover from; a narrower head
    with BatchNorm, for the same reason; `ema_decay` for short runs.
    """

    name: ClassVar[str] = "moco"
    needs: ClassVar[Mapping[str, Spec]] = {"image": Spec(), "index": Spec()}
    Settings: ClassVar[type[Settings]] = MoCoSettings
    optimiser: ClassVar[OptimiserSettings] = OptimiserSettings(
        name="adamw", learning_rate=1.5e-3, weight_decay=1e-4
    )
    batch_size: ClassVar[int] = 128
    settings: MoCoSettings
    queue: Tensor
    pictures: Tensor
    oldest: Tensor

    def __init__(self, encoder: Encoder, settings: MoCoSettings, info: Info) -> None:
        super().__init__(encoder, settings, info)
        self.projector = mlp((encoder.dim, settings.hidden, settings.projection))
        self.teacher = Teacher(self._student())
        asked = settings.ema_decay
        self.ema_decay = decay_for(info.total_steps, SLOWEST) if asked is None else asked
        count = settings.queue or default_queue(info.items, info.batch_size)
        self.register_buffer("queue", torch.zeros(count, settings.projection))
        self.register_buffer("pictures", torch.full((count,), NOBODY))
        self.register_buffer("oldest", torch.zeros((), dtype=torch.int64))

    def views(self, batch: Batch, rng: Draws) -> Views:
        """`first` and `second`, (B, 3, S, S) each; `index` (B,), if the batch tells."""
        views = super().views(batch, rng)
        return views | ({"index": batch["index"]} if "index" in batch else {})

    def forward(self, views: Views, progress: Progress, player: str) -> Step:
        """InfoNCE of each view's query against the other's key; near ln(2B - 1) at random.

        Later, with a queue of K keys, near ln(2B - 1 + K).
        """
        rows, index = len(views["first"]), views["index"]
        splits = min(self.settings.splits, max(rows // LEAST_GROUP, 1)) if self.training else 1
        q1, q2 = in_groups(self._student(), views, neighbours(rows, splits))
        k1, k2 = in_groups(self.teacher, views, scattered(splits))
        keys, pictures = newest(k1, k2, index)
        owners = torch.cat([pictures, self.pictures])
        loss = queue_nce(
            torch.cat([q1, q2]),
            torch.cat([k2, k1]),
            torch.cat([keys, self.queue.to(keys.dtype)]),
            self.settings.temperature,
            (owners == index.repeat(2)[:, None]) | (owners == NOBODY),
        )
        metrics = {
            "positive_first": positive_first(q1, q2, (k1, k2)),
            PROJECTION_STD: dimension_std(q1),
        }
        return Step(loss, metrics, {"keys": keys, "pictures": pictures})

    @torch.no_grad()
    def after_step(self, step: Step, progress: Progress) -> None:
        """The key encoder follows; the newest keys of all processes take the oldest ones' place."""
        self.teacher.update(self._student(), self.ema_decay)
        keys, pictures, count = step.carry["keys"], step.carry["pictures"], len(self.queue)
        places = (self.oldest + torch.arange(len(keys), device=keys.device))[-count:] % count
        self.queue[places] = keys[-count:].to(self.queue.dtype)
        self.pictures[places] = pictures[-count:]
        self.oldest.copy_((places[-1] + 1) % count)

    def _student(self) -> nn.Module:
        """What the key encoder is a slow copy of."""
        return nn.Sequential(self.encoder, self.projector)


def default_queue(items: int, batch_size: int) -> int:
    """Keys for a set of `items` pictures: both views of a twentieth of them, a batch at least.

    So few pictures come again while their keys are in the queue: those at the end of one epoch and
    the beginning of the next. The paper's share of ImageNet is a twentieth, too.
    """
    return min(max(items // 20, batch_size) * 2, LONGEST)


@torch.no_grad()
def newest(k1: Tensor, k2: Tensor, index: Tensor) -> tuple[Tensor, Tensor]:
    """The keys of both views of all processes' pictures, of length 1, and whose they are.

    k1, k2: (B, D) and index: (B,) of this process. Returns (2M, D) and int64 (2M,), M pictures.
    """
    keys = torch.cat([gather(F.normalize(k, dim=1)) for k in (k1, k2)])
    return keys, gather(index).repeat(2)


def in_groups(network: nn.Module, views: Views, groups: list[slice]) -> tuple[Tensor, Tensor]:
    """The network on both views of one group of pictures after another: two of (B, D).

    Rows of `first` and `second` are taken by `groups`, and come back in their own order.
    """
    first, second = views["first"], views["second"]
    order = torch.cat([torch.arange(len(first))[group] for group in groups]).argsort()
    made = [network(torch.cat([first[group], second[group]])).chunk(2) for group in groups]
    ones, others = (at_least_float(torch.cat(parts))[order] for parts in zip(*made, strict=True))
    return ones, others


def neighbours(rows: int, splits: int) -> list[slice]:
    """`splits` groups of rows that lie side by side, of even size give or take one."""
    ends = [rows * i // splits for i in range(splits + 1)]
    return [slice(a, b) for a, b in pairwise(ends)]


def scattered(splits: int) -> list[slice]:
    """`splits` groups of rows that lie `splits` apart."""
    return [slice(i, None, splits) for i in range(splits)]

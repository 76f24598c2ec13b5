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
"""The picture of a key that is not of one: those that fill the queue at first."""


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
    (the authors' code for one GPU splits BatchNorm likewise). An encoder without BatchNorm needs no
    groups.

    Deviations: AdamW in place of SGD; both views are query and key in turn, as in the authors' code
    for CIFAR-10; a key of the query's own picture that is still in the queue is no negative, so
    that a small data set bears the queue; a narrower head; `ema_decay` for short runs.
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
        widths = (encoder.dim, settings.hidden, settings.projection)
        # v2's head has no BatchNorm: it would need groups of its own.
        self.projector = nn.Sequential(*(m for m in mlp(widths) if not _normalises(m)))
        self.teacher = Teacher(self._student())
        asked = settings.ema_decay
        self.ema_decay = decay_for(info.total_steps, SLOWEST) if asked is None else asked
        self.splits = settings.splits if any(map(_normalises, encoder.modules())) else 1
        count = settings.queue or default_queue(info.items, info.batch_size)
        keys = F.normalize(torch.randn(count, settings.projection), dim=1)
        self.register_buffer("queue", keys)
        self.register_buffer("pictures", torch.full((count,), NOBODY))
        self.register_buffer("oldest", torch.zeros((), dtype=torch.int64))

    def views(self, batch: Batch, rng: Draws) -> Views:
        """`first` and `second`, (B, 3, S, S) each; `index` (B,) where the batch has it."""
        views = super().views(batch, rng)
        return views | ({"index": batch["index"]} if "index" in batch else {})

    def forward(self, views: Views, progress: Progress, player: str) -> Step:
        """InfoNCE of both views' queries against the other's key and the queue; ln(1 + K) first."""
        rows = len(views["first"])
        splits = min(self.splits, max(rows // LEAST_GROUP, 1)) if self.training else 1
        q1, q2 = in_groups(self._student(), views, neighbours(rows, splits))
        k1, k2 = in_groups(self.teacher, views, scattered(splits))
        same = (views["index"].repeat(2)[:, None] == self.pictures) if self.training else None
        queries, keys = torch.cat([q1, q2]), torch.cat([k2, k1])
        loss = queue_nce(queries, keys, self.queue, self.settings.temperature, same)
        metrics = {
            "positive_first": positive_first(q1, q2, (k1, k2)),
            PROJECTION_STD: dimension_std(q1),
        }
        carry = {"first_keys": k1, "second_keys": k2}
        return Step(loss, metrics, carry | ({"pictures": views["index"]} if self.training else {}))

    @torch.no_grad()
    def after_step(self, step: Step, progress: Progress) -> None:
        """The key encoder follows; the newest keys of all processes take the oldest ones' place."""
        self.teacher.update(self._student(), self.ema_decay)
        both = [gather(step.carry[name]) for name in ("first_keys", "second_keys")]
        keys = F.normalize(torch.cat(both), dim=1)
        pictures = gather(step.carry["pictures"]).repeat(2)
        count = len(self.queue)
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


def _normalises(module: nn.Module) -> bool:
    return isinstance(module, nn.modules.batchnorm._BatchNorm)

"""The EMA teacher: a slowly moving copy of a network."""

from __future__ import annotations

import copy
import math
from collections.abc import Iterator

import torch
from torch import Tensor, nn

FASTEST = 0.9
"""The least `ema_decay` that BYOL (table 5a) and MoCo (arXiv:1911.05722, 4.1) found to be safe."""
SPANS = 10
"""Times that the teacher's memory, 1 / (1 - ema_decay) steps, fits a run by default."""


def decay_for(total_steps: int, slowest: float) -> float:
    """The decay with which a teacher remembers a tenth of the run, in `FASTEST` .. `slowest`.

    slowest: a paper's decay, for runs so long that a teacher soon has left its random weights.
    """
    return min(max(1 - SPANS / max(total_steps, 1), FASTEST), slowest)


def ema_schedule(base: float, fraction: float) -> float:
    """The decay that grows from `base` to 1 as a cosine: BYOL (arXiv:2006.07733), section 3.3.

    base: 0..1, at the start. fraction: k / K, the share of the run that is done.
    """
    return 1 - (1 - base) * (math.cos(math.pi * fraction) + 1) / 2


class Teacher(nn.Module):
    """theta_teacher <- ema_decay theta_teacher + (1 - ema_decay) theta_student, after each step.

    As in Tarvainen 2017 (arXiv:1703.01780) and BYOL (arXiv:2006.07733, eq. 1). statistics: those of
    BatchNorm follow the student's likewise; else it keeps its own, of what it sees in training.
    """

    def __init__(self, student: nn.Module, *, statistics: bool = False) -> None:
        super().__init__()
        self.statistics = statistics
        self.network = copy.deepcopy(student).requires_grad_(False)

    @torch.no_grad()
    def forward(self, *inputs: Tensor) -> Tensor:
        output: Tensor = self.network(*inputs)
        return output

    @torch.no_grad()
    def update(self, student: nn.Module, ema_decay: float) -> None:
        """Move towards `student`; ema_decay in 0..1, 1 = stand still."""
        mine, theirs = ([*self._followed(network)] for network in (self.network, student))
        torch._foreach_lerp_(mine, theirs, 1 - ema_decay)

    def _followed(self, network: nn.Module) -> Iterator[Tensor]:
        yield from (p.data for p in network.parameters())
        if self.statistics:
            yield from (b for b in network.buffers() if b.is_floating_point())

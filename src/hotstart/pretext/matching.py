"""Which of two things belong together: wrong partners, retrieval, and how well it went."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor

from hotstart.pretext.distributed import gather

RANKS = (1, 5, 10)
LOTS = 2**31
"""From how many numbers a lot is drawn."""
AMONG = 100
"""Things that the right one is sought among."""


def strangers(groups: Tensor, lot: Tensor) -> tuple[Tensor, Tensor]:
    """For each row one of another group, drawn evenly: a wrong partner.

    groups: int64 (B,) of this process's rows; lot: int64 (B,), drawn for each.
    Returns int64 (B,), positions among the rows of all processes, and bool (B,), whether there is
    one at all.
    """
    other = groups[:, None] != gather(groups)[None]
    count = other.sum(1)
    number = lot % count.clamp_min(1)
    return (other.cumsum(1) > number[:, None]).long().argmax(1), count > 0


def distinct(groups: Tensor, most: int = AMONG) -> Tensor:
    """Positions int64 (N,) of the first row of each group, at most so many, ascending."""
    first = (groups[:, None] == groups[None]).long().argmax(1)
    own = first == torch.arange(len(groups), device=groups.device)
    return own.nonzero()[:most, 0]


def recalls(agreement: Tensor, ranks: Sequence[int] = RANKS) -> list[float]:
    """Recall@k for each k of `ranks`: the share of questions whose answer is among the first k.

    agreement[i, j], (N, N): how well answer j fits question i, whose own answer is i. Of answers
    that fit as well as the right one each is as likely to stand first, so that who finds all alike
    is at chance, k / N.
    """
    right = agreement.diagonal()[:, None]
    before, alike = (agreement > right).sum(1), (agreement == right).sum(1)
    return [float(((rank - before) / alike).clamp(0, 1).mean()) for rank in ranks]

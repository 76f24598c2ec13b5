"""Triplets within a batch: anchor, positive, negative; and the loss that sets them apart."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor

from hotstart.pretext.distributed import gather, rank


def mates(group: Tensor) -> Tensor:
    """A picture of the same group for each picture of this process, int64 (B,).

    group: int64 (B,), the groups of this process's pictures. Returned are rows of the batch of all
    processes: of the picture's group the one that comes next, the first following the last; the
    picture itself where its group has no other. The batch being shuffled, that is one at random.
    """
    everyone, rows = gather(group), len(group)
    own = torch.arange(rows, device=group.device) + rank() * rows
    ahead = (torch.arange(len(everyone), device=group.device) - own[:, None] - 1) % len(everyone)
    return ahead.masked_fill(group[:, None] != everyone, len(everyone)).argmin(1)


def triplet_loss(
    z1: Tensor, z2: Tensor, margin: float, group: Tensor | None = None, *, hardest: bool = False
) -> Tensor:
    """max(0, margin + |a - p|^2 - |a - n|^2): Schroff 2015 (FaceNet, arXiv:1503.03832), eq. 3.

    z1, z2: (B, D), two views of the same B pictures; each of the 2B is an anchor a, and all are
    brought to length 1. margin: >= 0; squared distances are 0..4. group: int64 (B,), see `mates`;
    None: each picture is a group of its own.

    The positive p is the other view of the picture, or, where the batch has another picture of its
    group, the other view of that one. The negative n is of another group (of any process) and
    semi-hard (eq. 4): the nearest of those farther from the anchor than the positive; where none
    is, the farthest of all. hardest: the nearest of all instead, which the paper warns of.

    Returns the mean over this process's 2B anchors; an anchor without a negative counts 0. A little
    below the margin at random, the margin where all are one point.
    """
    z1, z2 = F.normalize(z1, dim=1), F.normalize(z2, dim=1)
    every1, every2 = gather(z1), gather(z2)
    if group is None:
        group = torch.arange(len(z1), device=z1.device) + rank() * len(z1)
    distance = 2 - 2 * torch.cat([z1, z2]) @ torch.cat([every1, every2]).T
    mate = mates(group)
    positive = torch.cat([mate + len(every1), mate])
    to_positive = distance.gather(1, positive[:, None])
    others = (group[:, None] != gather(group)).repeat(2, 2)
    candidates = others if hardest else others & (distance > to_positive)
    nearest = distance.masked_fill(~candidates, float("inf")).amin(1, keepdim=True)
    farthest = distance.masked_fill(~others, float("-inf")).amax(1, keepdim=True)
    to_negative = torch.where(candidates.any(1, keepdim=True), nearest, farthest)
    excess = (margin + to_positive - to_negative).relu()
    return torch.where(others.any(1, keepdim=True), excess, 0).mean()

"""Which vector has the least expected distance to one that is drawn?"""

from __future__ import annotations

import torch
from torch import Tensor

WEISZFELD = 8
"""Iterations towards a geometric median."""


def least_expected_error(likely: Tensor, vectors: Tensor) -> Tensor:
    """Of C vectors (C, 2) that are drawn with probabilities (B, C, h, w): (B, 2, h, w).

    The geometric median, by Weiszfeld's iterations from the mean; or one of the vectors, where that
    is better.
    """
    likely = likely.permute(0, 2, 3, 1)
    costs = likely @ torch.cdist(vectors, vectors)
    cost, best = costs.min(-1)
    median = likely @ vectors
    for _ in range(WEISZFELD):
        away = torch.cdist(median.flatten(0, 2), vectors).view_as(likely)
        near = likely / away.clamp_min(1e-6)
        median = near @ vectors / near.sum(-1, keepdim=True)
    away = torch.cdist(median.flatten(0, 2), vectors).view_as(likely)
    reached = (likely * away).sum(-1)
    found = torch.where((reached < cost)[..., None], median, vectors[best])
    return found.permute(0, 3, 1, 2)

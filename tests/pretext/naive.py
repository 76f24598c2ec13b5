"""Losses written out from their papers, in loops."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor


def naive_nt_xent(z1: Tensor, z2: Tensor, temperature: float) -> Any:
    """Chen 2020 (arXiv:2002.05709), eq. 1 and algorithm 1, one pair at a time."""
    z: list[Tensor] = [*z1, *z2]
    count = len(z1)
    total = torch.zeros(())

    def similarity(i: int, j: int) -> Any:
        return torch.dot(z[i], z[j]) / (z[i].norm() * z[j].norm())

    for i in range(2 * count):
        j = (i + count) % (2 * count)
        others = [torch.exp(similarity(i, k) / temperature) for k in range(2 * count) if k != i]
        total = total - torch.log(torch.exp(similarity(i, j) / temperature) / sum(others))
    return total / (2 * count)

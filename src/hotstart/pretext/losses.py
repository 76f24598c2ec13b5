"""Losses as pure functions; each is checked against a naive loop written from its paper."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor

from hotstart.pretext.distributed import gather, rank


def nt_xent(z1: Tensor, z2: Tensor, temperature: float) -> tuple[Tensor, Tensor]:
    """Normalised temperature-scaled cross-entropy, Chen 2020 (arXiv:2002.05709), eq. 1.

    z1, z2: (B, D) projections of two views of the same B pictures; row i of one is the positive of
    row i of the other, the other 2B - 2 rows are negatives (of all processes' rows, with gradient).
    temperature: > 0.

    Returns the mean over this process's 2B anchors, and the share of them whose positive is ranked
    first. At random the loss is near ln(2B - 1).
    """
    z1, z2 = F.normalize(z1, dim=1), F.normalize(z2, dim=1)
    rows = len(z1)
    all1, all2 = gather(z1), gather(z2)
    mine = torch.cat([z1, z2])
    everyone = torch.cat([all1, all2])
    similarity = mine @ everyone.T / temperature
    own = torch.arange(rows, device=z1.device) + rank() * rows
    itself = torch.cat([own, own + len(all1)])
    positive = torch.cat([own + len(all1), own])
    similarity = similarity.scatter(1, itself[:, None], float("-inf"))
    first = (similarity.argmax(1) == positive).float().mean()
    return F.cross_entropy(similarity, positive), first

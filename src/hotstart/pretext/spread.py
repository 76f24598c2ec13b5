"""How far vectors of different pictures lie apart: what tells a collapse."""

from __future__ import annotations

import math

import torch
import torch.nn.functional as F
from torch import Tensor

PROJECTION_STD = "projection_std"
"""The step metric by which a task says how its projections spread; training watches it."""
PROJECTION_RANK = "projection_rank"
"""The step metric by which a task says in how many dimensions they do; training watches it."""
SAMPLE = 128
"""Rows of a batch that are enough to see a rank fall to 1."""
RANKME_EPSILON = 1e-7


def dimension_std(vectors: Tensor) -> Tensor:
    """Mean deviation of a dimension of v / ||v||, times sqrt(D): 1 = evenly spread, 0 = a point.

    vectors: (B, D) of different pictures. Chen & He 2021 (SimSiam, arXiv:2011.10566), section 4.1.
    """
    unit = F.normalize(vectors.detach().float(), dim=1)
    return unit.std(0, correction=0).mean() * math.sqrt(vectors.shape[1])


def effective_rank(vectors: Tensor) -> Tensor:
    """exp(entropy of the normalised singular values): Roy & Vetterli 2007; 1 .. min(B, D).

    vectors: (B, D) of different pictures; their mean is taken away first.
    """
    vectors = vectors.detach()
    return _exp_entropy(_shares(vectors - vectors.mean(0)))


def rankme(vectors: Tensor) -> Tensor:
    """RankMe of Garrido et al. 2023, arXiv:2210.02885, equation 1; about 1 .. min(B, D).

    vectors: (B, D) of different pictures. It differs from `effective_rank` in that their mean stays
    in, and that 1e-7 is added to each share (the paper's choice for float32).
    """
    return _exp_entropy(_shares(vectors.detach().float()) + RANKME_EPSILON)


def _shares(matrix: Tensor) -> Tensor:
    """(min(B, D),): singular values, divided by their sum."""
    singular = torch.linalg.svdvals(matrix)
    shares: Tensor = singular / singular.sum().clamp_min(1e-12)
    return shares


def _exp_entropy(shares: Tensor) -> Tensor:
    entropy: Tensor = -(shares * shares.clamp_min(1e-12).log()).sum()
    return entropy.exp()


def projection_health(projections: Tensor) -> dict[str, Tensor]:
    """Both step metrics of projections (B, D); the rank of the first `SAMPLE` of them.

    For tasks without negatives: besides a point they may find a line, on which all are well apart.
    """
    return {
        PROJECTION_STD: dimension_std(projections),
        PROJECTION_RANK: effective_rank(projections[:SAMPLE]),
    }

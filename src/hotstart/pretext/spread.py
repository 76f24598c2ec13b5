"""How far vectors of different pictures lie apart: what tells a collapse."""

from __future__ import annotations

import math

import torch.nn.functional as F
from torch import Tensor

PROJECTION_STD = "projection_std"
"""The step metric by which a task says how its projections spread; training watches it."""


def dimension_std(vectors: Tensor) -> Tensor:
    """Mean deviation of a dimension of v / ||v||, times sqrt(D): 1 = evenly spread, 0 = a point.

    vectors: (B, D) of different pictures. Chen & He 2021 (SimSiam, arXiv:2011.10566), section 4.1.
    """
    unit = F.normalize(vectors.detach().float(), dim=1)
    return unit.std(0, correction=0).mean() * math.sqrt(vectors.shape[1])

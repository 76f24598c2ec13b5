"""Two kinds of pictures, rendered and real: making features alike, and asking whether they are."""

from __future__ import annotations

import numpy as np
import torch
from sklearn.linear_model import LogisticRegression
from torch import Tensor, nn

FOLDS = 4


class FeatureAdversary(nn.Module):
    """Is this place of a feature map of a real picture? (B, D, h, w) -> logits (B, h, w).

    Features are put on one scale before, so that doubt is not bought by shrinking them.
    """

    def __init__(self, dim: int, width: int) -> None:
        super().__init__()
        self.layers = nn.Sequential(
            nn.GroupNorm(1, dim, affine=False),
            nn.Conv2d(dim, width, 1),
            nn.LeakyReLU(0.2),
            nn.Conv2d(width, width, 1),
            nn.LeakyReLU(0.2),
            nn.Conv2d(width, 1, 1),
        )

    def forward(self, maps: Tensor) -> Tensor:
        logits: Tensor = self.layers(maps)[:, 0]
        return logits


def domain_accuracy(made: Tensor, real: Tensor) -> float:
    """How well a fresh linear classifier tells the features of two kinds of pictures apart.

    made, real: (N, D) and (M, D). Balanced accuracy on folds that it was not fitted on; features
    are standardised within the fitted ones. 0.5: it can only guess. The adversary itself cannot be
    asked: one that lost may have learnt nothing.
    """
    count = min(len(made), len(real))
    x = torch.cat([made[:count], real[:count]]).double().numpy()
    y = np.repeat([0, 1], count)
    fold = np.tile(np.arange(count) % FOLDS, 2)
    right = []
    for k in range(FOLDS):
        fitted, asked = fold != k, fold == k
        if not asked.any() or not fitted.any():
            continue
        centre, scale = x[fitted].mean(0), x[fitted].std(0) + 1e-6
        judge = LogisticRegression(C=0.1, max_iter=500).fit((x[fitted] - centre) / scale, y[fitted])
        right.append(float(judge.score((x[asked] - centre) / scale, y[asked])))
    return float(np.mean(right)) if right else 0.5

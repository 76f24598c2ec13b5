"""Linear probe: logistic regression on standardised features, its penalty chosen within them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from hotstart.downstream.features import Standardiser
from hotstart.downstream.logistic import Axes, Problems, solve

PENALTIES = tuple(10.0**exponent for exponent in (-5, -4, -3, -2.5, -2, -1.5, -1, -0.5, 0, 1))

SWEEP_TOLERANCE = 1e-3  # enough to tell penalties apart; the last fit goes on to 1e-4


@dataclass(frozen=True)
class LinearProbe:
    """A fitted probe.

    weight: (K, D), bias: (K,), for features that `standardiser` has standardised
    penalty: the one chosen; inner_accuracy: what it reached on the inner validation parts
    """

    standardiser: Standardiser
    weight: Tensor
    bias: Tensor
    penalty: float
    inner_accuracy: float

    def predict(self, features: Tensor) -> Tensor:
        """Class of each row of `features` (N, D), int64 (N,)."""
        logits: Tensor = self.standardiser(features) @ self.weight.T + self.bias
        return logits.argmax(dim=1)


def fit_linear_probe(
    features: Tensor,
    labels: Tensor,
    classes: int,
    folds: Sequence[npt.NDArray[np.int64]],
    penalties: Sequence[float] = PENALTIES,
) -> LinearProbe:
    """Choose the penalty on the inner validation parts, then fit on all labels.

    features: float32 (N, D); labels: int64 (N,), 0 .. classes - 1
    folds: the rows of each part (`subsets.inner_folds`); for each, every penalty is fitted on the
        other rows. The penalty most often right wins; among equals the likeliest.
    """
    standardiser = Standardiser.fit(features)
    axes = Axes.of(standardiser(features))
    penalty = features.new_tensor(penalties)
    inner = features.new_ones(len(folds), len(labels))
    for row, part in zip(inner, folds, strict=True):
        row[torch.from_numpy(part).to(row.device)] = 0
    sweep = Problems(
        axes,
        labels,
        classes,
        penalty.repeat(len(folds)),
        (inner / inner.sum(dim=1, keepdim=True)).repeat_interleave(len(penalties), dim=0),
    )
    solutions = solve(sweep, tolerance=SWEEP_TOLERANCE)
    best, accuracy = _choose(axes, labels, solutions, folds, len(penalties))
    everything = Problems(
        axes, labels, classes, penalty[best : best + 1], torch.full_like(inner[:1], 1 / len(labels))
    )
    (final,) = solve(everything, start=solutions[best : best + 1])
    weight = final[:, :-1] @ axes.rotation.T
    return LinearProbe(standardiser, weight, final[:, -1], penalties[best], accuracy)


def _choose(
    axes: Axes,
    labels: Tensor,
    solutions: Tensor,
    folds: Sequence[npt.NDArray[np.int64]],
    count: int,
) -> tuple[int, float]:
    """The best penalty's position and its accuracy over the inner parts."""
    right = labels.new_zeros(count)
    surprise = axes.rotated.new_zeros(count)
    items = 0
    for part, fitted in zip(
        folds, solutions.view(len(folds), count, *solutions.shape[1:]), strict=True
    ):
        rows = torch.from_numpy(part).to(labels.device)
        truth = labels[rows]
        for position, weight in enumerate(fitted):
            likelihood = (axes.rotated[rows] @ weight.T).log_softmax(dim=1)
            right[position] += (likelihood.argmax(dim=1) == truth).sum()
            surprise[position] -= likelihood.gather(1, truth.unsqueeze(1)).sum()
        items += len(rows)
    best = min(range(count), key=lambda i: (-int(right[i]), float(surprise[i])))
    return best, int(right[best]) / items

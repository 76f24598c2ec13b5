"""Is the representation healthy? Rank and spread of the features, and one sentence of advice."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from hotstart.errors import TrainingError
from hotstart.pretext.spread import dimension_std, effective_rank

COLLAPSED_RANK = 1.5
COLLAPSED_STD = 0.05
ADVICE = "Lower the learning rate, enlarge the batch, or strengthen the views."


@dataclass(frozen=True)
class Health:
    """Spread of the features of a few hundred held-out pictures."""

    effective_rank: float
    """Of the features (`spread.effective_rank`), 1 .. min(B, D)."""
    dimension_std: float
    """Mean deviation of a dimension of h / ||h||, times sqrt(D): 1 = evenly spread, 0 = a point."""
    dim: int


def measure(features: Tensor) -> Health:
    """features: (B, D) of different pictures. Raises TrainingError where one is no number."""
    if not bool(torch.isfinite(features).all()):
        raise TrainingError(
            "The features of held-out pictures are not finite: lower --learning-rate by a factor "
            "of 3, or use --precision 32-true."
        )
    features = features.float()
    rank, spread = effective_rank(features), dimension_std(features)
    return Health(float(rank), float(spread), features.shape[1])


def diagnose(
    health: Health, projection_std: float | None = None, projection_rank: float | None = None
) -> str | None:
    """One sentence of what is wrong and what to do; None while all is well.

    projection_std, projection_rank: spread and effective rank of z, for tasks that tell them.
    Behind features that are all different a projector can make one point of them, or a line, and
    then the loss teaches the encoder next to nothing.
    """
    if health.effective_rank < COLLAPSED_RANK or health.dimension_std < COLLAPSED_STD:
        return (
            f"The representation has collapsed: effective rank {health.effective_rank:.1f} of "
            f"{health.dim} dimensions, spread {health.dimension_std:.3f} (1 is even). " + ADVICE
        )
    if projection_std is not None and projection_std < COLLAPSED_STD:
        return (
            f"The projections have collapsed: their spread is {projection_std:.3f} (1 is even), "
            f"nearly the same for every picture. {ADVICE}"
        )
    if projection_rank is not None and projection_rank < COLLAPSED_RANK:
        return (
            f"The projections have collapsed to a line: their effective rank is "
            f"{projection_rank:.1f}, one number for every picture. {ADVICE}"
        )
    return None


def check_finite(loss: Tensor, step: int, player: str, learning_rate: float) -> None:
    """Raise when the loss is not a number; the last checkpoint is from before."""
    if not bool(torch.isfinite(loss.detach()).all()):
        raise TrainingError(
            f"The loss of {player!r} is {float(loss.detach())} at step {step} (learning rate "
            f"{learning_rate:.2g}): lower --learning-rate by a factor of 3, or use --precision "
            "32-true."
        )

"""Is the representation healthy? Rank and spread of the features, and one sentence of advice."""

from __future__ import annotations

import math
from dataclasses import dataclass

import torch
from torch import Tensor

from hotstart.errors import TrainingError

COLLAPSED_RANK = 1.5
COLLAPSED_STD = 0.05


@dataclass(frozen=True)
class Health:
    """Spread of the features of a few hundred held-out pictures."""

    effective_rank: float
    """exp(entropy of the normalised singular values): Roy & Vetterli 2007; 1 .. min(B, D)."""
    dimension_std: float
    """Mean deviation of a dimension of h / ||h||, times sqrt(D): 1 = evenly spread, 0 = a point."""
    dim: int


def measure(features: Tensor) -> Health:
    """features: (B, D) of different pictures."""
    features = features.float()
    centred = features - features.mean(0)
    singular = torch.linalg.svdvals(centred)
    shares = singular / singular.sum().clamp_min(1e-12)
    entropy = -(shares * shares.clamp_min(1e-12).log()).sum()
    unit = torch.nn.functional.normalize(features, dim=1)
    spread = unit.std(0, correction=0).mean() * math.sqrt(features.shape[1])
    return Health(float(entropy.exp()), float(spread), features.shape[1])


def diagnose(health: Health) -> str | None:
    """One sentence of what is wrong and what to do; None while all is well."""
    if health.effective_rank < COLLAPSED_RANK or health.dimension_std < COLLAPSED_STD:
        return (
            f"The representation has collapsed: effective rank {health.effective_rank:.1f} of "
            f"{health.dim} dimensions, spread {health.dimension_std:.3f} (1 is even). "
            "Lower the learning rate, enlarge the batch, or strengthen the views."
        )
    return None


def check_finite(loss: Tensor, step: int, player: str, learning_rate: float) -> None:
    """Raise when the loss is not a number; the last checkpoint is from before."""
    if not bool(torch.isfinite(loss.detach()).all()):
        raise TrainingError(
            f"The loss of {player!r} is {float(loss.detach())} at step {step} (learning rate "
            f"{learning_rate:.2g}): lower --learning-rate by a factor of 3, or use --precision 32."
        )

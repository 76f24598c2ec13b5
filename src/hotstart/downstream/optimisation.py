"""What every training of a downstream task has in common: weight decay, schedule, order."""

from __future__ import annotations

import math
from collections.abc import Callable

import numpy as np
import numpy.typing as npt
from torch import nn

Int64s = npt.NDArray[np.int64]
WARM_UP = 0.05
"""Share of a training in which the rate rises."""


def decayed(model: nn.Module, weight_decay: float) -> list[dict[str, object]]:
    """Weight decay for matrices and kernels alone; biases and scales keep their size."""
    weights = [weight for weight in model.parameters() if weight.ndim > 1]
    others = [weight for weight in model.parameters() if weight.ndim <= 1]
    return [
        {"params": weights, "weight_decay": weight_decay},
        {"params": others, "weight_decay": 0.0},
    ]


def warm_up_and_cosine(steps: int) -> Callable[[int], float]:
    """Factor of the learning rate at each step: a line up, then half a cosine down to 0."""
    warm_up = max(1, round(WARM_UP * steps))

    def factor(step: int) -> float:
        if step < warm_up:
            return (step + 1) / warm_up
        return 0.5 * (1 + math.cos(math.pi * (step - warm_up) / max(1, steps - warm_up)))

    return factor


def in_passes(items: Int64s, count: int, seed: int) -> Int64s:
    """`count` of the items: shuffled passes over all of them, one behind the other."""
    rng = np.random.default_rng([seed, 3])
    passes = -(-count // len(items))
    return np.concatenate([rng.permutation(items) for _ in range(passes)])[:count]

"""Optimisers and the learning-rate schedule."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable
from typing import Any

import torch
from torch import Tensor, nn
from torch.optim import SGD, AdamW, Optimizer

from hotstart.pretext.task import OptimiserSettings

REFERENCE_BATCH = 256


class LARS(Optimizer):
    """Layer-wise adaptive rate scaling with momentum, You 2017 (arXiv:1708.03888).

    Each matrix's step is scaled by trust ||w|| / ||g + wd w||; vectors (biases, normalisation) take
    a plain momentum step, as in SimCLR's code.
    """

    def __init__(
        self, params: Any, lr: float, momentum: float, weight_decay: float, trust: float = 1e-3
    ) -> None:
        super().__init__(
            params,
            {"lr": lr, "momentum": momentum, "weight_decay": weight_decay, "trust": trust},
        )

    @torch.no_grad()
    def step(self, closure: Callable[[], float] | None = None) -> None:  # type: ignore[override]
        """One step for every weight that has a gradient."""
        for group in self.param_groups:
            for weight in group["params"]:
                if weight.grad is None:
                    continue
                move = weight.grad
                if weight.ndim > 1:
                    move = move.add(weight, alpha=group["weight_decay"])
                    norms = weight.norm(), move.norm()
                    ratio = group["trust"] * norms[0] / norms[1]
                    usable = (norms[0] > 0) & (norms[1] > 0)
                    move = move * torch.where(usable, ratio, torch.ones_like(ratio))
                state = self.state[weight]
                if "momentum" not in state:
                    state["momentum"] = torch.zeros_like(weight)
                state["momentum"].mul_(group["momentum"]).add_(move)
                weight.add_(state["momentum"], alpha=-group["lr"])


def build_optimiser(
    parameters: Iterable[nn.Parameter], settings: OptimiserSettings, batch_size: int
) -> Optimizer:
    """An optimiser whose groups know their peak rate; biases and norms are not decayed."""
    weights = list(parameters)
    rate = settings.learning_rate * batch_size / REFERENCE_BATCH
    groups = [
        {"params": [w for w in weights if w.ndim > 1], "weight_decay": settings.weight_decay},
        {"params": [w for w in weights if w.ndim <= 1], "weight_decay": 0.0},
    ]
    groups = [group for group in groups if group["params"]]
    if settings.name == "adamw":
        optimiser: Optimizer = AdamW(groups, lr=rate, betas=(settings.momentum, 0.999))
    elif settings.name == "lars":
        optimiser = LARS(groups, rate, settings.momentum, settings.weight_decay)
    else:
        optimiser = SGD(groups, lr=rate, momentum=settings.momentum, nesterov=settings.momentum > 0)
    for group in optimiser.param_groups:
        group["peak"] = rate
    return optimiser


def schedule(fraction: float, warmup: float) -> float:
    """Factor of the peak rate: linear from 0 over `warmup` of the run, then a cosine to 0."""
    if fraction < warmup:
        return fraction / warmup
    return 0.5 * (1 + math.cos(math.pi * (fraction - warmup) / max(1 - warmup, 1e-9)))


def set_rate(optimiser: Optimizer, step: int, total_steps: int, warmup: float) -> float:
    """Set the rate for `step` (the middle of the step counts, so the first one moves too)."""
    factor = schedule((step + 0.5) / total_steps, warmup)
    for group in optimiser.param_groups:
        group["lr"] = group["peak"] * factor
    return float(optimiser.param_groups[0]["lr"])


def forget(optimiser: Optimizer, parameters: Iterable[Tensor]) -> None:
    """Drop the history of weights that were just re-initialised."""
    for parameter in parameters:
        optimiser.state.pop(parameter, None)

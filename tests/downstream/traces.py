"""What could betray that an encoder was touched."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor, nn


@dataclass(frozen=True)
class Trace:
    """Values, gradients, modes and layouts of a module."""

    state: dict[str, Tensor]
    modes: list[bool]
    momenta: list[float | None]
    rest: list[tuple[bool, bool, tuple[int, ...]]]


def trace(module: nn.Module) -> Trace:
    """A copy of everything that an evaluation must leave alone."""
    return Trace(
        {name: tensor.clone() for name, tensor in module.state_dict().items()},
        [part.training for part in module.modules()],
        [part.momentum for part in module.modules() if isinstance(part, nn.BatchNorm2d)],
        [(p.requires_grad, p.grad is None, p.stride()) for p in module.parameters()],
    )


def same_state(one: Trace, other: Trace) -> bool:
    """Equal to the bit."""
    return (
        one.state.keys() == other.state.keys()
        and all(torch.equal(tensor, other.state[name]) for name, tensor in one.state.items())
        and (one.modes, one.momenta, one.rest) == (other.modes, other.momenta, other.rest)
    )

"""Losses of two networks that play against each other: one makes pictures, one tells them apart."""

from __future__ import annotations

import torch.nn.functional as F
from torch import Tensor


def discriminator_loss(real: Tensor, made: Tensor) -> Tensor:
    """- log D(real) - log(1 - D(made)), Goodfellow 2014 (arXiv:1406.2661), eq. 1; 2 ln 2 at chance.

    real, made: logits (B,) of D on true and on generated pictures.
    """
    return F.softplus(-real).mean() + F.softplus(made).mean()


def generator_loss(made: Tensor) -> Tensor:
    """- log D(made), the form of Goodfellow 2014 that does not saturate; ln 2 at chance.

    made: logits (B,) of D on generated pictures.
    """
    return F.softplus(-made).mean()

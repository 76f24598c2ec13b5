"""Losses of two networks that play against each other: one makes pictures, one tells them apart."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.nn.modules.batchnorm import _BatchNorm


def discriminator_loss(real: Tensor, made: Tensor, real_label: float = 1.0) -> Tensor:
    """- log D(real) - log(1 - D(made)), Goodfellow 2014 (arXiv:1406.2661), eq. 1; 2 ln 2 at chance.

    real, made: logits (B,) of D on true and on generated pictures. real_label: what D is to answer
    to the real, 1, or a little less: then certainty costs, and D goes on teaching (one-sided label
    smoothing, Salimans 2016, arXiv:1606.03498, section 3.4).
    """
    believed = real_label * F.softplus(-real) + (1 - real_label) * F.softplus(real)
    return believed.mean() + F.softplus(made).mean()


def generator_loss(made: Tensor) -> Tensor:
    """- log D(made), the form of Goodfellow 2014 that does not saturate; ln 2 at chance.

    made: logits (B,) of D on generated pictures.
    """
    return F.softplus(-made).mean()


def judgement(real: Tensor, made: Tensor) -> dict[str, Tensor]:
    """Who is winning, from D's logits on real and made pictures.

    discriminator_accuracy: 0.5 = it can only guess, 1 = it has won, and its gradient teaches little
    believed_real, believed_made: mean probability that it gives to be real
    """
    return {
        "discriminator_accuracy": torch.cat([real > 0, made <= 0]).float().mean(),
        "believed_real": real.detach().sigmoid().mean(),
        "believed_made": made.detach().sigmoid().mean(),
    }


def diversity(made: Tensor, real: Tensor) -> Tensor:
    """Deviation of a pixel from picture to picture, mean, made over real: 1 = as varied, 0 = one.

    made, real: (B, 3, S, S). A generator whose modes collapse falls towards 0.
    """
    return made.detach().std(0, correction=0).mean() / real.std(0, correction=0).mean()


@contextmanager
def statistics_kept(module: nn.Module) -> Iterator[None]:
    """BatchNorm's running statistics stay as they are; a module in training still uses the batch's.

    The discriminator sees real and made pictures in batches of their own (Radford 2016). Where it
    is what transfers, its statistics must be those of real pictures, not half of noise.
    """
    norms = [m for m in module.modules() if isinstance(m, _BatchNorm) and m.track_running_stats]
    for norm in norms:
        norm.track_running_stats = False
    try:
        yield
    finally:
        for norm in norms:
            norm.track_running_stats = True

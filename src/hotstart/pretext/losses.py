"""Losses as pure functions; each is checked against a naive loop written from its paper."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor

from hotstart.pretext.distributed import gather, rank


def weighted_l2(prediction: Tensor, truth: Tensor, weight: Tensor) -> Tensor:
    """Squared error where it counts: the masked L2 of Pathak 2016 (arXiv:1604.07379), eq. 1.

    prediction, truth: (B, C, H, W). weight: (B, 1, H, W), >= 0, some of it above 0 in each row.

    Returns the mean over the batch of each picture's weighted mean over places and channels.
    """
    errors = (prediction - truth).square().mean(1, keepdim=True) * weight
    return (errors.sum((1, 2, 3)) / weight.sum((1, 2, 3))).mean()


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


def nt_xent(z1: Tensor, z2: Tensor, temperature: float) -> tuple[Tensor, Tensor]:
    """Normalised temperature-scaled cross-entropy, Chen 2020 (arXiv:2002.05709), eq. 1.

    z1, z2: (B, D) projections of two views of the same B pictures; row i of one is the positive of
    row i of the other, the other 2B - 2 rows are negatives (of all processes' rows, with gradient).
    temperature: > 0.

    Returns the mean over this process's 2B anchors, and the share of them whose positive is ranked
    first. At random the loss is near ln(2B - 1).
    """
    z1, z2 = F.normalize(z1, dim=1), F.normalize(z2, dim=1)
    rows = len(z1)
    all1, all2 = gather(z1), gather(z2)
    mine = torch.cat([z1, z2])
    everyone = torch.cat([all1, all2])
    similarity = mine @ everyone.T / temperature
    own = torch.arange(rows, device=z1.device) + rank() * rows
    itself = torch.cat([own, own + len(all1)])
    positive = torch.cat([own + len(all1), own])
    similarity = similarity.scatter(1, itself[:, None], float("-inf"))
    first = (similarity.argmax(1) == positive).float().mean()
    return F.cross_entropy(similarity, positive), first

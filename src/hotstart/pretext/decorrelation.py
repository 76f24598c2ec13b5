"""Losses that keep features apart by their batch statistics, without negatives.

The statistics are those of all processes' rows, gathered with gradient, so that N processes that
share a batch equal one.
"""

from __future__ import annotations

import torch.nn.functional as F
from torch import Tensor

from hotstart.pretext.distributed import gather

EPSILON = 1e-5
"""Added to a variance, as by BatchNorm in the authors' code of Barlow Twins."""
VARIANCE_EPSILON = 1e-4
"""Of VICReg, section 4.2."""


def cross_correlation(z1: Tensor, z2: Tensor) -> Tensor:
    """Correlation over the batch of each dimension of z1 with each of z2: (D, D), in -1..1.

    z1, z2: (B, D), row by row. Zbontar 2021 (Barlow Twins, arXiv:2103.03230), eq. 2.
    """
    z1, z2 = standardised(gather(z1)), standardised(gather(z2))
    return z1.T @ z2 / len(z1)


def standardised(z: Tensor) -> Tensor:
    """(B, D), each dimension with mean 0 and variance 1 over the batch."""
    return F.batch_norm(z, None, None, training=True, eps=EPSILON)


def barlow_twins_loss(z1: Tensor, z2: Tensor, redundancy: float) -> Tensor:
    """sum_i (1 - C_ii)^2 + redundancy sum_i sum_(j != i) C_ij^2, with C the `cross_correlation`.

    Zbontar 2021 (Barlow Twins, arXiv:2103.03230), eq. 1. z1, z2: (B, D). redundancy: lambda, >= 0.

    Returns a sum over D dimensions; at random near D + redundancy D (D - 1) / B.
    """
    correlation = cross_correlation(z1, z2)
    diagonal = correlation.diagonal()
    invariance = (1 - diagonal).square().sum()
    return invariance + redundancy * (correlation.square().sum() - diagonal.square().sum())


def variance_loss(z: Tensor) -> Tensor:
    """Hinge of each dimension's deviation at 1: Bardes 2022 (VICReg, arXiv:2105.04906), eq. 1, 2.

    z: (B, D). Returns the mean over dimensions of max(0, 1 - sqrt(Var + 1e-4)): 0 where all vary
    enough, 0.99 where all rows are one point.
    """
    deviation = (gather(z).var(0) + VARIANCE_EPSILON).sqrt()
    return (1 - deviation).relu().mean()


def covariance_loss(z: Tensor) -> Tensor:
    """sum_i sum_(j != i) Cov_ij^2 / D: Bardes 2022 (VICReg, arXiv:2105.04906), eq. 3 and 4.

    z: (B, D). 0 where no two dimensions vary together.
    """
    z = gather(z)
    centred = z - z.mean(0)
    covariance = centred.T @ centred / (len(z) - 1)
    off_diagonal = covariance.square().sum() - covariance.diagonal().square().sum()
    return off_diagonal / z.shape[1]


def vicreg_loss(
    z1: Tensor, z2: Tensor, invariance: float, variance: float, covariance: float
) -> Tensor:
    """Invariance, variance and covariance: Bardes 2022 (VICReg, arXiv:2105.04906), eq. 5 and 6.

    z1, z2: (B, D), row by row. invariance, variance, covariance: lambda, mu, nu; >= 0. Deviation,
    as in the authors' code: the squared distance is the mean over dimensions too (eq. 5 has their
    sum), and the hinge the mean of the two views (eq. 6 has their sum).
    """
    hinge = (variance_loss(z1) + variance_loss(z2)) / 2
    redundancy = covariance_loss(z1) + covariance_loss(z2)
    return invariance * F.mse_loss(z1, z2) + variance * hinge + covariance * redundancy

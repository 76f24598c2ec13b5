"""Barlow Twins and VICReg against loops over i and j from their papers, and against lightly."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
import torch
from lightly.loss import BarlowTwinsLoss, VICRegLoss
from torch import Tensor

from hotstart.pretext.decorrelation import (
    barlow_twins_loss,
    covariance_loss,
    cross_correlation,
    variance_loss,
    vicreg_loss,
)


def pair(rows: int, dims: int, seed: int) -> tuple[Tensor, Tensor]:
    """Two views that have something in common, float64, off centre and of uneven spread."""
    generator = torch.Generator().manual_seed(seed)
    shared, own = torch.randn(2, rows, dims, generator=generator, dtype=torch.float64)
    scale = torch.linspace(0.3, 2.5, dims, dtype=torch.float64)
    return (shared + 0.5) * scale, (shared + 0.7 * own - 1) * scale


def same_value_and_gradient(
    ours: Callable[[Tensor, Tensor], Tensor],
    naive: Callable[[Tensor, Tensor], Any],
    z1: Tensor,
    z2: Tensor,
    tolerance: float,
) -> None:
    mine = z1.clone().requires_grad_(), z2.clone().requires_grad_()
    theirs = z1.clone().requires_grad_(), z2.clone().requires_grad_()
    loss, reference = ours(*mine), naive(*theirs)
    loss.backward()
    reference.backward()
    torch.testing.assert_close(loss, reference, atol=tolerance, rtol=tolerance)
    for a, b in zip(mine, theirs, strict=True):
        assert a.grad is not None
        assert a.grad.abs().max() > 1e-3
        torch.testing.assert_close(a.grad, b.grad, atol=tolerance, rtol=tolerance)


def naive_barlow_twins(z1: Tensor, z2: Tensor, redundancy: float) -> Any:
    """Zbontar 2021 (arXiv:2103.03230), eq. 1 and 2, with z centred over the batch."""
    rows, dims = z1.shape
    total = torch.zeros((), dtype=torch.float64)
    mean1 = [sum(z1[b, i] for b in range(rows)) / rows for i in range(dims)]
    mean2 = [sum(z2[b, i] for b in range(rows)) / rows for i in range(dims)]
    for i in range(dims):
        for j in range(dims):
            above, left, right = (torch.zeros((), dtype=torch.float64) for _ in range(3))
            for b in range(rows):
                a, c = z1[b, i] - mean1[i], z2[b, j] - mean2[j]
                above, left, right = above + a * c, left + a * a, right + c * c
            correlation = above / (left.sqrt() * right.sqrt())
            total = total + ((1 - correlation) ** 2 if i == j else redundancy * correlation**2)
    return total


@pytest.mark.parametrize("redundancy", [0.0, 0.005, 0.3])
def test_barlow_twins_equals_the_paper(redundancy: float) -> None:
    z1, z2 = pair(6, 4, 0)
    # The paper's equation has no epsilon below the root: it moves the value by some 1e-5.
    same_value_and_gradient(
        lambda a, b: barlow_twins_loss(a, b, redundancy),
        lambda a, b: naive_barlow_twins(a, b, redundancy),
        z1,
        z2,
        2e-4,
    )


def test_barlow_twins_equals_lightly() -> None:
    z1, z2 = pair(32, 16, 1)
    peer = BarlowTwinsLoss(lambda_param=0.01)
    same_value_and_gradient(lambda a, b: barlow_twins_loss(a, b, 0.01), peer, z1, z2, 1e-9)


def test_barlow_twins_at_random_is_near_theory_and_zero_for_the_identity() -> None:
    z1, z2 = torch.randn(2, 512, 64, generator=torch.Generator().manual_seed(2))
    loss = barlow_twins_loss(z1, z2, 0.1)
    assert loss.item() == pytest.approx(64 + 0.1 * 64 * 63 / 512, rel=0.05)
    orthogonal = torch.linalg.qr(z1 - z1.mean(0))[0] * 512**0.5
    assert barlow_twins_loss(orthogonal, orthogonal, 0.1).item() < 1e-4
    # One point for all pictures has the worst loss there is; one number for all, only for lambda.
    line = z1[:, :1].expand(-1, 64)
    assert barlow_twins_loss(torch.ones(512, 64), torch.ones(512, 64), 0.1).item() == 64
    assert barlow_twins_loss(line, line, 0.0).item() < 1e-3
    assert barlow_twins_loss(line, line, 0.1).item() == pytest.approx(0.1 * 64 * 63, rel=0.01)


def test_cross_correlation_is_numpys() -> None:
    z1, z2 = pair(9, 4, 3)
    theirs = torch.from_numpy(torch.cat([z1, z2], 1).numpy()).T.corrcoef()[:4, 4:]
    torch.testing.assert_close(cross_correlation(z1, z2), theirs, atol=5e-4, rtol=0)


def naive_vicreg(z1: Tensor, z2: Tensor, weights: tuple[float, float, float]) -> Any:
    """Bardes 2022 (arXiv:2105.04906), eq. 1 to 6, and the reductions of the authors' code."""
    rows, dims = z1.shape
    zero = torch.zeros((), dtype=torch.float64)
    invariance, variance, covariance = zero, zero, zero
    for b in range(rows):
        for i in range(dims):
            invariance = invariance + (z1[b, i] - z2[b, i]) ** 2 / (rows * dims)
    for z in (z1, z2):
        means = [sum(z[b, i] for b in range(rows)) / rows for i in range(dims)]
        for i in range(dims):
            for j in range(dims):
                together = zero
                for b in range(rows):
                    together = together + (z[b, i] - means[i]) * (z[b, j] - means[j]) / (rows - 1)
                if i == j:
                    hinge = torch.clamp(1 - torch.sqrt(together + 1e-4), min=0)
                    variance = variance + hinge / dims / 2
                else:
                    covariance = covariance + together**2 / dims
    return weights[0] * invariance + weights[1] * variance + weights[2] * covariance


@pytest.mark.parametrize("weights", [(25.0, 25.0, 1.0), (1.0, 0.0, 0.0), (0.0, 3.0, 2.0)])
def test_vicreg_equals_the_paper(weights: tuple[float, float, float]) -> None:
    z1, z2 = pair(6, 4, 4)
    same_value_and_gradient(
        lambda a, b: vicreg_loss(a, b, *weights), lambda a, b: naive_vicreg(a, b, weights),
        z1, z2, 1e-9,
    )  # fmt: skip


def test_vicreg_equals_lightly() -> None:
    z1, z2 = pair(32, 16, 5)
    same_value_and_gradient(lambda a, b: vicreg_loss(a, b, 25, 25, 1), VICRegLoss(), z1, z2, 1e-9)


def test_vicregs_terms_see_a_point_and_a_line() -> None:
    spread = torch.randn(4096, 8, generator=torch.Generator().manual_seed(6))
    point, line = torch.ones(64, 8), spread[:, :1].expand(-1, 8)
    assert variance_loss(point).item() == pytest.approx(0.99)
    assert variance_loss(2 * spread).item() == 0
    assert covariance_loss(spread).item() < 0.01
    assert covariance_loss(line).item() == pytest.approx(7, rel=0.1)

"""Codes: Sinkhorn and the loss over crops, against the papers and a peer library."""

from __future__ import annotations

import math
from typing import Any

import pytest
import torch
from lightly.loss import DINOLoss, SwaVLoss
from lightly.loss.swav_loss import sinkhorn as lightly_sinkhorn
from torch import Tensor

from hotstart.pretext.codes import Prototypes, crop_cross_entropy, frozen_steps, sinkhorn
from hotstart.pretext.task import Info


def generator(seed: int) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def naive_sinkhorn(scores: Tensor, epsilon: float, iterations: int) -> Tensor:
    """Caron 2020 (arXiv:2006.09882), eq. 5: Diag(u) exp(C^T Z / epsilon) Diag(v), K by B.

    Rows sum to 1/K and columns to 1/B (eq. 4); codes are the columns, times B.
    """
    rows, count = scores.shape
    kernel = [[math.exp(float(scores[b, k]) / epsilon) for b in range(rows)] for k in range(count)]
    u, v = [1.0] * count, [1.0] * rows
    for _ in range(iterations):
        for k in range(count):
            u[k] = 1 / count / sum(kernel[k][b] * v[b] for b in range(rows))
        for b in range(rows):
            v[b] = 1 / rows / sum(kernel[k][b] * u[k] for k in range(count))
    return torch.tensor(
        [[u[k] * kernel[k][b] * v[b] * rows for k in range(count)] for b in range(rows)]
    )


@pytest.mark.parametrize("iterations", [1, 3])
def test_sinkhorn_equals_the_paper_and_lightly(iterations: int) -> None:
    scores = torch.rand(7, 4, generator=generator(0)) * 2 - 1
    ours = sinkhorn(scores, 0.1, iterations)
    torch.testing.assert_close(ours, naive_sinkhorn(scores, 0.1, iterations))
    torch.testing.assert_close(ours, lightly_sinkhorn(scores, iterations, 0.1))


def test_sinkhorn_gives_each_prototype_its_share_though_all_prefer_one() -> None:
    scores = torch.rand(64, 8, generator=generator(1)) * 0.2
    scores[:, 3] += 0.7
    assert (scores.argmax(1) == 3).all()
    codes = sinkhorn(scores, 0.05, 50)
    torch.testing.assert_close(codes.sum(1), torch.ones(64))
    torch.testing.assert_close(codes.sum(0), torch.full((8,), 8.0), atol=1e-3, rtol=1e-3)
    # A small epsilon overflows nothing.
    assert torch.isfinite(sinkhorn(scores, 0.005, 3)).all()


def test_sinkhorn_passes_no_gradient() -> None:
    scores = torch.rand(6, 3, generator=generator(2)).requires_grad_()
    assert not sinkhorn(scores, 0.05, 3).requires_grad


def naive_crop_cross_entropy(targets: Tensor, logits: Tensor) -> Any:
    """Caron 2020, eq. 2 and 6; Caron 2021 (arXiv:2104.14294), eq. 3: pair by pair, row by row."""
    total, pairs = torch.zeros(()), 0
    for t in range(len(targets)):
        for v in range(len(logits)):
            if v == t:
                continue
            pairs += 1
            for b in range(targets.shape[1]):
                shares = torch.exp(logits[v, b]) / torch.exp(logits[v, b]).sum()
                total = total - (targets[t, b] * torch.log(shares)).sum() / targets.shape[1]
    return total / pairs


def test_crop_cross_entropy_equals_the_papers_and_gives_the_targets_no_gradient() -> None:
    logits = torch.randn(5, 3, 4, generator=generator(3))
    targets = torch.randn(2, 3, 4, generator=generator(4)).softmax(2).requires_grad_()
    ours, theirs = logits.clone().requires_grad_(), logits.clone().requires_grad_()
    loss = crop_cross_entropy(targets, ours)
    reference = naive_crop_cross_entropy(targets.detach(), theirs)
    loss.backward()
    reference.backward()
    torch.testing.assert_close(loss, reference)
    torch.testing.assert_close(ours.grad, theirs.grad)
    assert targets.grad is None


def test_swav_equals_lightly() -> None:
    scores = torch.rand(6, 16, 5, generator=generator(5)) * 2 - 1
    codes = torch.stack([sinkhorn(crop, 0.05, 3) for crop in scores[:2]])
    ours = crop_cross_entropy(codes, scores / 0.1)
    theirs = SwaVLoss()(list(scores[:2]), list(scores[2:]))
    torch.testing.assert_close(ours, theirs.squeeze())


def test_dino_equals_lightly() -> None:
    student = torch.randn(6, 16, 5, generator=generator(6))
    teacher = torch.randn(2, 16, 5, generator=generator(7))
    peer = DINOLoss(output_dim=5, teacher_temp=0.07)
    peer.center.copy_(torch.randn(1, 1, 5, generator=generator(8)))
    targets = ((teacher - peer.center) / 0.07).softmax(2)
    ours = crop_cross_entropy(targets, student / 0.1)
    torch.testing.assert_close(ours, peer(list(teacher), list(student)))


def test_prototypes_tell_cosines_and_stand_still_where_frozen() -> None:
    prototypes = Prototypes(4, 3)
    z = torch.randn(5, 4, generator=generator(9))
    scores = prototypes(z)
    for b in range(5):
        for k in range(3):
            cosine = torch.nn.functional.cosine_similarity(z[b], prototypes.weight[k], 0)
            torch.testing.assert_close(scores[b, k], cosine)
    assert not prototypes(z, frozen=True).requires_grad
    torch.testing.assert_close(prototypes(z, frozen=True), scores.detach())


@pytest.mark.parametrize(
    ("items", "steps", "expected"), [(1000, 10_000, 10), (1000, 50, 5), (50, 1000, 1), (50, 3, 0)]
)
def test_prototypes_are_frozen_for_an_epoch_but_a_tenth_of_the_run(
    items: int, steps: int, expected: int
) -> None:
    assert frozen_steps(Info(items, 32, 100, steps)) == expected

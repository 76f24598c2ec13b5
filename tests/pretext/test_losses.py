"""Each loss against a naive loop written from its paper, and against a peer library."""

from __future__ import annotations

import math
from typing import Any

import pytest
import torch
from lightly.loss import NegativeCosineSimilarity, NTXentLoss
from torch import Tensor
from torch.nn.functional import normalize

from hotstart.pretext.losses import negative_cosine, nt_xent, queue_nce, regression_loss
from hotstart.pretext.two_views import positive_first
from tests.pretext.naive import naive_nt_xent


@pytest.mark.parametrize("temperature", [0.1, 0.5, 1.0])
def test_nt_xent_equals_the_paper(temperature: float) -> None:
    generator = torch.Generator().manual_seed(0)
    z1, z2 = torch.randn(2, 7, 5, generator=generator)
    ours = [z1.clone().requires_grad_(), z2.clone().requires_grad_()]
    theirs = [z1.clone().requires_grad_(), z2.clone().requires_grad_()]
    loss = nt_xent(ours[0], ours[1], temperature)
    reference = naive_nt_xent(theirs[0], theirs[1], temperature)
    loss.backward()
    reference.backward()
    torch.testing.assert_close(loss, reference)
    for mine, other in zip(ours, theirs, strict=True):
        torch.testing.assert_close(mine.grad, other.grad)


def test_nt_xent_equals_lightly() -> None:
    generator = torch.Generator().manual_seed(1)
    z1, z2 = torch.randn(2, 32, 16, generator=generator)
    loss = nt_xent(z1, z2, 0.2)
    torch.testing.assert_close(loss, NTXentLoss(temperature=0.2)(z1, z2))


def test_nt_xent_at_random_is_near_theory() -> None:
    generator = torch.Generator().manual_seed(2)
    z1, z2 = torch.randn(2, 256, 128, generator=generator)
    loss = nt_xent(z1, z2, 1.0)
    assert loss.item() == pytest.approx(math.log(511), abs=0.02)
    assert positive_first(z1, z2).item() < 0.02


def test_positive_first_counts_ranks() -> None:
    z = torch.randn(6, 3, generator=torch.Generator().manual_seed(3))
    assert positive_first(z, z).item() == 1.0
    assert positive_first(z, -z).item() == 0.0


def naive_regression_loss(prediction: Tensor, target: Tensor) -> Any:
    """Grill 2020 (arXiv:2006.07733), eq. 2, left side: one row at a time, sums of squares."""
    total = torch.zeros(())
    for q, z in zip(prediction, target, strict=True):
        total = total + ((q / q.norm() - z / z.norm()) ** 2).sum()
    return total / len(prediction)


def test_regression_loss_equals_the_paper_and_gives_the_target_no_gradient() -> None:
    p, z = torch.randn(2, 7, 5, generator=torch.Generator().manual_seed(4))
    ours, theirs = p.clone().requires_grad_(), p.clone().requires_grad_()
    target = z.clone().requires_grad_()
    loss, reference = regression_loss(ours, target), naive_regression_loss(theirs, z)
    loss.backward()
    reference.backward()
    torch.testing.assert_close(loss, reference)
    torch.testing.assert_close(ours.grad, theirs.grad)
    assert target.grad is None


def test_regression_loss_equals_lightly() -> None:
    p, z = torch.randn(2, 32, 16, generator=torch.Generator().manual_seed(5))
    torch.testing.assert_close(regression_loss(p, z), 2 + 2 * NegativeCosineSimilarity()(p, z))


def naive_negative_cosine(prediction: Tensor, target: Tensor) -> Any:
    """Chen & He 2021 (arXiv:2011.10566), eq. 1: one row at a time."""
    total = torch.zeros(())
    for p, z in zip(prediction, target, strict=True):
        total = total - torch.dot(p / p.norm(), z / z.norm())
    return total / len(prediction)


def test_negative_cosine_equals_the_paper_and_lightly() -> None:
    p, z = torch.randn(2, 7, 5, generator=torch.Generator().manual_seed(6))
    ours, theirs = p.clone().requires_grad_(), p.clone().requires_grad_()
    target = z.clone().requires_grad_()
    loss, reference = negative_cosine(ours, target), naive_negative_cosine(theirs, z)
    loss.backward()
    reference.backward()
    torch.testing.assert_close(loss, reference)
    torch.testing.assert_close(ours.grad, theirs.grad)
    assert target.grad is None
    torch.testing.assert_close(loss, NegativeCosineSimilarity()(p, z))


def naive_queue_nce(
    q: Tensor, k: Tensor, queue: Tensor, temperature: float, same: Tensor | None = None
) -> Any:
    """He 2020 (arXiv:1911.05722), eq. 1, one query at a time."""
    total = torch.zeros(())
    for i in range(len(q)):
        query, key = q[i] / q[i].norm(), k[i] / k[i].norm()
        positive = torch.exp(torch.dot(query, key) / temperature)
        everything = positive
        for j in range(len(queue)):
            if same is None or not same[i, j]:
                everything = everything + torch.exp(torch.dot(query, queue[j]) / temperature)
        total = total - torch.log(positive / everything)
    return total / len(q)


@pytest.mark.parametrize("masked", [False, True])
def test_queue_nce_equals_the_paper_and_gives_keys_no_gradient(masked: bool) -> None:
    generator = torch.Generator().manual_seed(7)
    q, k = torch.randn(2, 6, 5, generator=generator)
    queue = normalize(torch.randn(11, 5, generator=generator), dim=1)
    same = torch.rand(6, 11, generator=generator) < 0.3 if masked else None
    ours, theirs = q.clone().requires_grad_(), q.clone().requires_grad_()
    keys, held = k.clone().requires_grad_(), queue.clone().requires_grad_()
    loss = queue_nce(ours, keys, held, 0.2, same)
    reference = naive_queue_nce(theirs, k, queue, 0.2, same)
    loss.backward()
    reference.backward()
    torch.testing.assert_close(loss, reference)
    torch.testing.assert_close(ours.grad, theirs.grad)
    assert keys.grad is None
    assert held.grad is None


def test_queue_nce_equals_lightly() -> None:
    generator = torch.Generator().manual_seed(8)
    q, k = torch.randn(2, 32, 16, generator=generator)
    peer = NTXentLoss(temperature=0.2, memory_bank_size=(64, 16))
    loss = queue_nce(q, k, peer.memory_bank.bank, 0.2)
    torch.testing.assert_close(loss, peer(q, k))

"""Losses and measures of painted pictures against loops written from their papers."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from torch import Tensor

from hotstart.pretext.adversarial import discriminator_loss, generator_loss
from hotstart.pretext.reconstruction import psnr_db, weighted_l2


def generator(seed: int) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def naive_weighted_l2(prediction: Tensor, truth: Tensor, weight: Tensor) -> Any:
    """Pathak 2016 (arXiv:1604.07379), eq. 1, one pixel at a time, normalised by picture."""
    total = torch.zeros(())
    rows, channels, height, width = prediction.shape
    for b in range(rows):
        above, below = torch.zeros(()), torch.zeros(())
        for y in range(height):
            for x in range(width):
                for c in range(channels):
                    error = truth[b, c, y, x] - prediction[b, c, y, x]
                    above = above + weight[b, 0, y, x] * error**2
                    below = below + weight[b, 0, y, x]
        total = total + above / below
    return total / rows


def test_weighted_l2_equals_the_paper() -> None:
    prediction, truth = torch.randn(2, 3, 3, 4, 5, generator=generator(0))
    weight = torch.rand(3, 1, 4, 5, generator=generator(1)) * (
        torch.rand(3, 1, 4, 5, generator=generator(2)) > 0.5
    )
    mine, other = (prediction.clone().requires_grad_() for _ in range(2))
    loss, reference = weighted_l2(mine, truth, weight), naive_weighted_l2(other, truth, weight)
    loss.backward()
    reference.backward()
    torch.testing.assert_close(loss, reference)
    torch.testing.assert_close(mine.grad, other.grad)
    assert mine.grad is not None
    assert not mine.grad[(weight == 0).expand_as(mine.grad)].any()


def test_adversarial_losses_equal_the_paper() -> None:
    real, made = torch.randn(2, 9, generator=generator(3)) * 3
    says_real = [1 / (1 + math.exp(-float(x))) for x in real]
    says_made = [1 / (1 + math.exp(-float(x))) for x in made]
    for_d = -sum(map(math.log, says_real)) / 9 - sum(math.log(1 - d) for d in says_made) / 9
    assert float(discriminator_loss(real, made)) == pytest.approx(for_d, rel=1e-5)
    assert float(generator_loss(made)) == pytest.approx(-sum(map(math.log, says_made)) / 9)
    ones = F.binary_cross_entropy_with_logits(made, torch.ones(9))
    torch.testing.assert_close(generator_loss(made), ones)
    undecided = torch.zeros(4)
    assert float(discriminator_loss(undecided, undecided)) == pytest.approx(2 * math.log(2))
    assert float(generator_loss(undecided)) == pytest.approx(math.log(2))


def test_adversarial_losses_are_finite_for_a_sure_discriminator() -> None:
    sure = torch.tensor([200.0], requires_grad=True)
    loss = discriminator_loss(-sure, sure) + generator_loss(-sure)
    loss.backward()
    assert loss.item() == pytest.approx(600)
    assert sure.grad is not None
    assert torch.isfinite(sure.grad).all()


def test_psnr_is_that_of_the_pixels_asked_for() -> None:
    truth = torch.rand(2, 3, 6, 6, generator=generator(4))
    pictures = truth + 0.1 * torch.randn(2, 3, 6, 6, generator=generator(5))
    where = torch.zeros(2, 1, 6, 6, dtype=torch.bool)
    where[0, 0, 1:3, 2:6] = True
    where[1, 0, 5, 0] = True
    found = psnr_db(pictures, truth, where)
    for row, (ys, xs) in enumerate([(slice(1, 3), slice(2, 6)), (slice(5, 6), slice(0, 1))]):
        ours = np.clip(pictures[row, :, ys, xs].numpy(), 0, 1)
        mean = np.mean((ours - truth[row, :, ys, xs].numpy()) ** 2)
        assert float(found[row]) == pytest.approx(10 * math.log10(1 / mean), abs=1e-3)


def test_psnr_of_the_truth_is_that_of_rounding_to_8_bits() -> None:
    truth = torch.rand(1, 3, 4, 4, generator=generator(6))
    everywhere = torch.ones(1, 1, 4, 4, dtype=torch.bool)
    assert float(psnr_db(truth, truth, everywhere)) == pytest.approx(58.92, abs=0.01)
    assert float(psnr_db(truth + 1, torch.ones_like(truth), everywhere)) > 58  # clipped to 1

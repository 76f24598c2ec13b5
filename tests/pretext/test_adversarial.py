"""What the players of an adversarial game share: losses, who is winning, normalisation."""

from __future__ import annotations

import math
from typing import Any

import pytest
import torch
from torch import Tensor, nn

from hotstart.pretext.adversarial import (
    discriminator_loss,
    diversity,
    generator_loss,
    judgement,
    statistics_kept,
)


def naive(real: Tensor, made: Tensor, label: float) -> Any:
    """Goodfellow 2014, eq. 1, with Salimans 2016's one-sided smoothing, one picture at a time."""
    total = torch.zeros(())
    for logit in real:
        believed = 1 / (1 + torch.exp(-logit))
        cross = label * torch.log(believed) + (1 - label) * torch.log(1 - believed)
        total = total - cross / len(real)
    for logit in made:
        total = total - torch.log(1 - 1 / (1 + torch.exp(-logit))) / len(made)
    return total


@pytest.mark.parametrize("label", [1.0, 0.9])
def test_discriminator_loss_equals_the_paper_in_value_and_gradient(label: float) -> None:
    logits = torch.randn(2, 9, generator=torch.Generator().manual_seed(0))
    ours, theirs = (logits.clone().requires_grad_() for _ in range(2))
    loss, reference = (
        discriminator_loss(ours[0], ours[1], label),
        naive(theirs[0], theirs[1], label),
    )
    torch.testing.assert_close(loss, reference)
    loss.backward()
    reference.backward()
    torch.testing.assert_close(ours.grad, theirs.grad)


def test_losses_at_chance_and_what_smoothing_is_best_at() -> None:
    unsure = torch.zeros(4)
    assert discriminator_loss(unsure, unsure).item() == pytest.approx(2 * math.log(2))
    assert discriminator_loss(unsure, unsure, 0.9).item() == pytest.approx(2 * math.log(2))
    assert generator_loss(unsure).item() == pytest.approx(math.log(2))
    real = torch.zeros(1, requires_grad=True)
    optimum = math.log(0.9 / 0.1)
    discriminator_loss(real + optimum, unsure, 0.9).backward()
    assert real.grad is not None
    assert real.grad.item() == pytest.approx(0, abs=1e-6)


def test_judgement_tells_who_is_winning() -> None:
    won = judgement(torch.full((4,), 9.0), torch.full((4,), -9.0))
    lost = judgement(torch.tensor([1.0, -1.0]), torch.tensor([2.0, -2.0]))
    assert won["discriminator_accuracy"] == 1
    assert won["believed_real"] > 0.99
    assert won["believed_made"] < 0.01
    assert lost["discriminator_accuracy"] == 0.5


def test_diversity_is_one_for_the_same_variety_and_zero_for_one_picture() -> None:
    real, made = torch.rand(2, 200, 3, 8, 8, generator=torch.Generator().manual_seed(0))
    assert diversity(made, real).item() == pytest.approx(1, abs=0.05)
    assert diversity(made[:1].expand(200, -1, -1, -1), real).item() == pytest.approx(0, abs=1e-6)
    two = made[:2].repeat(100, 1, 1, 1)
    assert diversity(two, real).item() < 0.95


def test_statistics_are_kept_but_the_batchs_own_are_used() -> None:
    norm = nn.BatchNorm1d(4)
    network = nn.Sequential(nn.Linear(3, 4), norm)
    inputs = torch.randn(8, 3, generator=torch.Generator().manual_seed(0)) + 5
    before = {name: value.clone() for name, value in network.state_dict().items()}
    with statistics_kept(network):
        kept = network(inputs)
    assert all(torch.equal(value, before[name]) for name, value in network.state_dict().items())
    assert torch.equal(kept, network(inputs))
    assert not torch.equal(norm.state_dict()["running_mean"], before["1.running_mean"])
    network.eval()
    with statistics_kept(network):
        evaluated = network(inputs)
    assert torch.equal(evaluated, network(inputs))


def test_statistics_move_again_after_an_error() -> None:
    norm = nn.BatchNorm1d(2)
    with pytest.raises(ValueError, match="mine"), statistics_kept(norm):
        raise ValueError("mine")
    assert norm.track_running_stats

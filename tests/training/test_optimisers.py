"""Optimisers against a hand calculation, the schedule against its shape."""

from __future__ import annotations

import pytest
import torch
from torch import nn

from hotstart.pretext.task import OptimiserSettings
from hotstart.training.optimisers import LARS, build_optimiser, forget, schedule, set_rate


def test_lars_scales_a_matrix_by_its_trust_ratio() -> None:
    weight = nn.Parameter(torch.tensor([[3.0, 4.0]]))
    weight.grad = torch.tensor([[0.0, 2.0]])
    LARS([weight], lr=0.5, momentum=0.9, weight_decay=0.1, trust=0.01).step()
    move = torch.tensor([[0.3, 2.4]])
    ratio = 0.01 * 5.0 / move.norm()
    torch.testing.assert_close(weight.data, torch.tensor([[3.0, 4.0]]) - 0.5 * ratio * move)


def test_lars_takes_plain_momentum_steps_for_vectors_and_survives_zeros() -> None:
    bias = nn.Parameter(torch.tensor([1.0]))
    zero = nn.Parameter(torch.zeros(2, 2))
    bias.grad, zero.grad = torch.tensor([2.0]), torch.ones(2, 2)
    optimiser = LARS([bias, zero], lr=0.1, momentum=0.5, weight_decay=1.0)
    optimiser.step()
    optimiser.step()
    assert bias.item() == pytest.approx(1 - 0.1 * 2 - 0.1 * (0.5 * 2 + 2))
    assert torch.isfinite(zero).all()


def test_schedule_rises_then_falls_and_even_a_short_run_moves() -> None:
    values = [schedule((step + 0.5) / 30, 0.1) for step in range(30)]
    peak = values.index(max(values))
    assert peak in (2, 3)
    assert values[:peak] == sorted(values[:peak])
    assert values[peak:] == sorted(values[peak:], reverse=True)
    assert min(values) > 0
    assert schedule(1.0, 0.1) == pytest.approx(0)


def test_rate_grows_with_the_batch_and_norms_are_not_decayed() -> None:
    network = nn.Sequential(nn.Linear(2, 2), nn.BatchNorm1d(2))
    settings = OptimiserSettings(name="sgd", learning_rate=0.1, weight_decay=0.5, warmup=0.0)
    optimiser = build_optimiser(network.parameters(), settings, batch_size=512)
    assert [group["weight_decay"] for group in optimiser.param_groups] == [0.5, 0.0]
    assert len(optimiser.param_groups[1]["params"]) == 3
    assert set_rate(optimiser, 0, 10**6, 0.0) == pytest.approx(0.2)


def test_forget_drops_the_history_of_reset_weights() -> None:
    a, b = nn.Parameter(torch.ones(2, 2)), nn.Parameter(torch.ones(2, 2))
    optimiser = build_optimiser([a, b], OptimiserSettings(name="sgd"), 256)
    a.grad, b.grad = torch.ones(2, 2), torch.ones(2, 2)
    optimiser.step()
    forget(optimiser, [a])
    assert a not in optimiser.state
    assert b in optimiser.state

"""Triplets: the loss against a loop from the paper; who is whose positive."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from torch import Tensor

from hotstart.pretext.triplets import mates, triplet_loss


def naive_mates(group: list[int]) -> list[int]:
    """The next picture of the same group, round and round."""
    count = len(group)
    found = []
    for i in range(count):
        ahead = [(i + step) % count for step in range(1, count + 1)]
        found.append(next(j for j in ahead if group[j] == group[i]))
    return found


def naive_triplet_loss(
    z1: Tensor, z2: Tensor, margin: float, group: list[int], *, hardest: bool
) -> Any:
    """Schroff 2015 (arXiv:1503.03832), eq. 3 and 4, one anchor at a time."""
    count = len(z1)
    z = [row / row.norm() for row in (*z1, *z2)]
    groups = group * 2
    mate = naive_mates(group)
    total = torch.zeros(())
    for a in range(2 * count):
        p = mate[a] + count if a < count else mate[a - count]
        others = [n for n in range(2 * count) if groups[n] != groups[a]]
        if not others:
            continue
        far = {n: ((z[a] - z[n]) ** 2).sum() for n in others}
        positive = ((z[a] - z[p]) ** 2).sum()
        semi_hard = [n for n in others if far[n] > positive]
        if hardest:
            n = min(others, key=lambda n: float(far[n].detach()))
        elif semi_hard:
            n = min(semi_hard, key=lambda n: float(far[n].detach()))
        else:
            n = max(others, key=lambda n: float(far[n].detach()))
        total = total + torch.clamp(positive - far[n] + margin, min=0)
    return total / (2 * count)


@pytest.mark.parametrize("hardest", [False, True])
@pytest.mark.parametrize("group", [None, [0, 1, 0, 2, 1, 0, 3], [0, 0, 0, 0, 0, 0, 1], [0] * 7])
@pytest.mark.parametrize("spread", [0.3, 2.0])
def test_triplet_loss_equals_the_paper(
    hardest: bool, group: list[int] | None, spread: float
) -> None:
    generator = torch.Generator().manual_seed(0)
    z1, own = torch.randn(2, 7, 5, generator=generator)
    z2 = z1 + spread * own
    mine = z1.clone().requires_grad_(), z2.clone().requires_grad_()
    theirs = z1.clone().requires_grad_(), z2.clone().requires_grad_()
    asked = None if group is None else torch.tensor(group)
    loss = triplet_loss(*mine, 0.4, asked, hardest=hardest)
    reference = naive_triplet_loss(*theirs, 0.4, group or list(range(7)), hardest=hardest)
    torch.testing.assert_close(loss, reference)
    loss.backward()
    if group == [0] * 7:
        assert loss.item() == 0
        assert all(z.grad is not None and torch.isfinite(z.grad).all() for z in mine)
        return
    assert loss.item() > 0
    reference.backward()
    for a, b in zip(mine, theirs, strict=True):
        torch.testing.assert_close(a.grad, b.grad)


def test_one_point_for_all_pictures_costs_the_margin() -> None:
    point = torch.ones(8, 4)
    assert triplet_loss(point, point, 0.3).item() == pytest.approx(0.3)


def test_mates_are_of_the_group_and_alone_only_where_it_has_no_other() -> None:
    group = [4, 7, 4, 9, 7, 4]
    assert mates(torch.tensor(group)).tolist() == naive_mates(group) == [2, 4, 5, 3, 1, 0]

"""DiffAugment against a picture-by-picture reference, and its gradient."""

from __future__ import annotations

import torch
from torch import Tensor

from hotstart.data.draws import Draws
from hotstart.pretext.diff_augment import POLICY, diff_augment, draw_augment

SIDE = 16


def naive(picture: Tensor, draw: list[float]) -> Tensor:
    """Zhao 2020 (arXiv:2006.10738) and its published code, one pixel at a time, in -1..1."""
    x = 2 * picture - 1
    x = x + (draw[0] - 0.5)
    mean = sum(x[c] for c in range(3)) / 3
    x = torch.stack([(x[c] - mean) * (draw[1] * 2) + mean for c in range(3)])
    x = (x - x.mean()) * (draw[2] + 0.5) + x.mean()
    shift = int(SIDE / 8 + 0.5)
    right, down = (int(d * (2 * shift + 1)) - shift for d in draw[3:5])
    hole = int(SIDE * 0.5 + 0.5)
    left, top = (int(d * (SIDE + 1)) - hole // 2 for d in draw[5:7])
    result = torch.zeros_like(x)
    for row in range(SIDE):
        for column in range(SIDE):
            inside = left <= column < left + hole and top <= row < top + hole
            source = row + down, column + right
            if not inside and all(0 <= place < SIDE for place in source):
                result[:, row, column] = x[:, source[0], source[1]]
    return (result + 1) / 2


def test_every_picture_equals_the_reference_and_so_does_its_gradient() -> None:
    rows = 12
    pictures = torch.rand(rows, 3, SIDE, SIDE, generator=torch.Generator().manual_seed(0))
    draws = draw_augment(Draws(0, 0, total=rows))
    weight = torch.randn(pictures.shape, generator=torch.Generator().manual_seed(1))
    ours, theirs = (pictures.clone().requires_grad_() for _ in range(2))
    augmented = diff_augment(ours, draws)
    reference = torch.stack([naive(p, d) for p, d in zip(theirs, draws.tolist(), strict=True)])
    torch.testing.assert_close(augmented, reference)
    (augmented * weight).sum().backward()
    (reference * weight).sum().backward()
    torch.testing.assert_close(ours.grad, theirs.grad)


def test_the_middle_of_all_draws_moves_nothing_but_the_hole() -> None:
    pictures = torch.rand(1, 3, SIDE, SIDE, generator=torch.Generator().manual_seed(0))
    augmented = diff_augment(pictures, torch.full((1, 7), 0.5))
    same = (augmented - pictures).abs().amax(1) < 1e-6
    assert int((~same).sum()) == (SIDE // 2) ** 2


def test_draws_at_the_edge_of_their_range_stay_inside() -> None:
    pictures = torch.rand(2, 3, SIDE, SIDE, generator=torch.Generator().manual_seed(0))
    last = torch.nextafter(torch.tensor(1.0), torch.tensor(0.0))
    for draws in (torch.zeros(2, 7), torch.full((2, 7), float(last)), torch.ones(2, 7)):
        assert torch.isfinite(diff_augment(pictures, draws)).all()


def test_a_policy_does_its_own_operation_alone() -> None:
    pictures = torch.rand(4, 3, SIDE, SIDE, generator=torch.Generator().manual_seed(0))
    draws = draw_augment(Draws(0, 0, total=4))
    assert torch.equal(diff_augment(pictures, draws, ()), pictures - 0.5 + 0.5)
    colour = diff_augment(pictures, draws, POLICY[:1])
    assert ((colour - pictures).abs().amax(1) > 1e-6).float().mean() > 0.9
    cut = diff_augment(pictures, draws, POLICY[2:])
    assert ((cut - pictures).abs().amax(1) < 1e-6).float().mean() > 0.7
    shifted = diff_augment(pictures, draws, POLICY[1:2])
    for before, after in zip(pictures, shifted, strict=True):
        assert torch.isin(after[after != 0.5].round(decimals=4), before.round(decimals=4)).all()
    together = diff_augment(colour, draws, POLICY[1:2])
    torch.testing.assert_close(
        diff_augment(together, draws, POLICY[2:]), diff_augment(pictures, draws)
    )

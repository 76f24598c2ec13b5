"""Flow under crop and mirror, against the pictures' own engine; and the colour wheel."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch
from torch import Tensor

from hotstart.augment import (
    ViewSettings,
    apply_flow,
    apply_view,
    colour_wheel,
    draw_view,
    flow_colours,
)
from hotstart.augment.settings import plain
from hotstart.data.draws import Draws
from hotstart.data.sample import Flows, Pictures


def flows_of(vectors: list[Tensor], known: list[Tensor] | None = None, fields: int = 1) -> Flows:
    """Packed from fields (H, W, 2)."""
    known = [torch.ones(v.shape[:2], dtype=torch.bool) for v in vectors] if known is None else known
    sizes = torch.tensor([v.shape[0] * v.shape[1] for v in vectors])
    rows = len(vectors) // fields
    return Flows(
        torch.cat([v.reshape(-1, 2) for v in vectors]).half(),
        torch.cat([k.reshape(-1) for k in known]),
        sizes.cumsum(0) - sizes,
        torch.tensor([v.shape[0] for v in vectors]),
        torch.tensor([v.shape[1] for v in vectors]),
        torch.zeros(rows, fields + 1, dtype=torch.float64),
    )


def pictures_of(*sizes: tuple[int, int]) -> Pictures:
    return Pictures.from_arrays([np.zeros((*size, 3), np.uint8) for size in sizes])


def test_vectors_are_shares_of_the_view_and_turn_with_its_mirror() -> None:
    """A quarter of the shorter side to the right and an eighth down, seen through three views."""
    field = torch.tensor([0.25, 0.125]).expand(10, 20, 2)
    pictures = pictures_of((20, 40), (20, 40), (20, 40))
    box = torch.tensor([[0, 0, 40, 20], [3, 5, 10, 10], [3, 5, 10, 10]])
    parameters = plain(box, torch.tensor([False, False, True]))
    moved, known = apply_flow(flows_of([field] * 3), pictures, parameters, 8)
    assert moved.shape == (3, 1, 2, 8, 8)
    assert known.all()
    expected = torch.tensor([[5 / 40, 2.5 / 20], [5 / 10, 2.5 / 10], [-5 / 10, 2.5 / 10]])
    assert torch.allclose(moved, expected[:, None, :, None, None].expand_as(moved), atol=1e-3)


def test_places_move_as_pixels_do() -> None:
    """A smooth field drawn as a picture too: the same crop and mirror by the views' engine."""
    rows, size = 12, 24
    rng = np.random.default_rng(0)
    y, x = np.mgrid[0:40, 0:56]
    arrays = []
    for _ in range(rows):
        wave = np.sin(x * rng.uniform(0.05, 0.2) + y * rng.uniform(0.05, 0.2) + rng.uniform(0, 6))
        arrays.append(np.repeat((127 + 100 * wave)[..., None], 3, 2).astype(np.uint8))
    pictures = Pictures.from_arrays(arrays)
    settings = ViewSettings(crop_scale=(0.1, 0.5), jitter=0.0, grey=0.0, blur=0.0)
    parameters = draw_view(settings, pictures, size, Draws(0, 0, total=rows))
    seen = apply_view(pictures, parameters, size)[:, 0]
    fields = []
    for array in arrays:
        half = torch.from_numpy(array[..., 0].reshape(20, 2, 28, 2).mean((1, 3))) / 255
        fields.append(torch.stack([torch.zeros_like(half), half], 2).float())
    moved, _ = apply_flow(flows_of(fields), pictures, parameters, size)
    scale = 40 / parameters.box[:, 3]
    assert parameters.flip.any()
    inside = slice(2, -2)  # at its edge a crop does not read beyond itself
    difference = (moved[:, 0, 1] / scale[:, None, None] - seen)[:, inside, inside]
    assert difference.abs().max() < 0.03


def test_what_is_not_known_stays_so() -> None:
    known = torch.ones(10, 10, dtype=torch.bool)
    known[:, :5] = False
    flows = flows_of([torch.zeros(10, 10, 2)] * 2, [known, ~known], fields=2)
    pictures = pictures_of((20, 20))
    _, seen = apply_flow(flows, pictures, plain(torch.tensor([[0, 0, 20, 20]])), 20)
    assert seen.shape == (1, 2, 20, 20)
    assert not seen[0, 0, :, :10].any()
    assert seen[0, 0, :, 10:].all()
    assert torch.equal(seen[0, 1], ~seen[0, 0])


def test_the_wheel_is_that_of_middlebury() -> None:
    """Baker 2011's colours of a few vectors, as its code computes them."""
    vectors = torch.tensor([[1, 0], [0, 1], [-1, 0], [0, -1], [0, 0], [2, 0]], dtype=torch.float32)
    colours = flow_colours(vectors[:, :, None, None], 1.0)[:, :, 0, 0]
    assert colours[0].tolist() == pytest.approx([1, 0, 0], abs=0.12)  # right: red
    assert colours[1, :2].min() > 0.6  # down: yellow
    assert colours[1, 2] < 0.05
    assert colours[2, 0] < 0.05  # left: between cyan and blue
    assert colours[2, 2] > 0.9
    assert colours[4].tolist() == [1, 1, 1]
    assert torch.allclose(colours[5], colours[0] * 0.75)
    half = flow_colours(vectors[:, :, None, None] / 2, 1.0)[:4, :, 0, 0]
    assert torch.allclose(half, (1 + colours[:4]) / 2, atol=1e-6)
    assert torch.allclose(
        flow_colours(vectors[:4, :, None, None], torch.full((4,), 2.0)), half[..., None, None]
    )


def test_hues_go_round_without_a_jump() -> None:
    angles = torch.linspace(-math.pi, math.pi, 721)
    ring = torch.stack([torch.cos(angles), torch.sin(angles)])[:, None]
    colours = flow_colours(ring, 1.0)[:, 0]
    assert colours.diff(dim=1).abs().max() < 0.05
    assert torch.allclose(colours[:, 0], colours[:, -1], atol=1e-3)
    key = colour_wheel(33)
    assert key.shape == (3, 33, 33)
    assert torch.allclose(key[:, 0, 0], torch.tensor(0.5))
    assert key[:, 16, 16].min() > 0.9


def test_it_does_not_depend_on_the_company() -> None:
    """Row by row, as in a batch."""
    rng = torch.Generator().manual_seed(0)
    fields = [torch.randn(6, 8, 2, generator=rng), torch.randn(9, 5, 2, generator=rng)]
    flows, pictures = flows_of(fields), pictures_of((12, 16), (18, 10))
    parameters = draw_view(ViewSettings(), pictures, 12, Draws(0, 0, total=2))
    both, _ = apply_flow(flows, pictures, parameters, 12)
    for row in (0, 1):
        one, _ = apply_flow(
            flows.select([row]), pictures.select([row]), parameters.select(torch.tensor([row])), 12
        )
        assert torch.equal(one[0], both[row])

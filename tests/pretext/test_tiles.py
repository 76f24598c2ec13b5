"""Tiles: where they are cut, what keeps apart from what, and permutations that lie far apart."""

from __future__ import annotations

import itertools

import numpy as np
import pytest
import torch

from hotstart.augment import ViewSettings
from hotstart.encoders import build_encoder, resolve_spec
from hotstart.pretext.context.permutations import (
    distant_permutations,
    every_permutation,
    hamming_distances,
)
from hotstart.pretext.tiles import Grid, montage, standardised, tiles_of
from tests.pretext.pictures import batch_of, draws


def test_tiles_are_pieces_of_the_picture_with_gaps_between_them() -> None:
    """Each pixel tells its place: what a tile holds says where it was cut."""
    grid = Grid(tile_px=8, gap_px=3, jitter_px=2)
    side, rows = grid.side_px, 64
    assert side == 3 * 8 + 2 * 3 + 2
    y, x = torch.meshgrid(torch.arange(side), torch.arange(side), indexing="ij")
    picture = torch.stack([y, x, torch.zeros_like(x)]).float().expand(rows, 3, side, side)
    tiles = grid.cut(picture, draws(rows))
    assert tiles.shape == (rows, 9, 3, 8, 8)
    corner = tiles[:, :, :2, 0, 0]
    inside = torch.stack(torch.meshgrid(torch.arange(8), torch.arange(8), indexing="ij"))
    assert torch.equal(tiles[:, :, :2], corner[..., None, None] + inside)
    cell = torch.arange(9)
    shake = corner - 11 * torch.stack([cell // 3, cell % 3], 1)
    assert set(shake.flatten().tolist()) == {0.0, 1.0, 2.0}, "every shift that is allowed"
    assert (shake[:, 0] != shake[:, 1]).any(), "each tile by itself"
    right, left = corner[:, 1, 1], corner[:, 0, 1] + 8
    assert (right - left).min() >= 3 - 2


def test_no_tile_tells_by_its_rim_that_it_lies_at_the_edge() -> None:
    """An even slope is an even slope in every tile: no pixel at the edge of a view is repeated."""
    grid = Grid(tile_px=16, gap_px=3, jitter_px=0)
    slope = np.broadcast_to((np.arange(24, dtype=np.uint8) * 10)[:, None, None], (24, 24, 3))
    whole = ViewSettings(
        crop_scale=(1.0, 1.0), crop_ratio=(1.0, 1.0), flip=0.0, jitter=0.0, grey=0.0, blur=0.0
    )
    view = grid.view(batch_of([slope.copy()])["image"], whole, draws(1))
    steps = grid.cut(view, draws(1)).diff(dim=-2)
    torch.testing.assert_close(
        steps, torch.full_like(steps, float(steps.mean())), atol=1e-4, rtol=0
    )


def test_without_gap_and_jitter_tiles_fill_the_square() -> None:
    grid = Grid(tile_px=5, gap_px=0, jitter_px=0)
    picture = torch.rand(2, 3, 15, 15)
    assert torch.equal(montage(grid.cut(picture, draws(2))), picture)
    assert torch.equal(tiles_of(picture), grid.cut(picture, draws(2)))


@pytest.mark.parametrize(
    ("encoder", "size", "tile"),
    [("resnet10_narrow", 32, 16), ("resnet10_narrow", 224, 64), ("vit_tiny_depth6", 64, 24)],
)
def test_a_tile_is_what_the_encoder_can_take(encoder: str, size: int, tile: int) -> None:
    built = build_encoder(resolve_spec(encoder, size), 0)
    grid = Grid.of(built, size, 11 / 64, 11 / 64)
    assert grid.tile_px == tile
    if size == 224:
        assert (grid.side_px, grid.gap_px) == (225, 11), "the paper's 225 px, 75 a cell"
    assert built(torch.rand(2, 3, tile, tile)).shape == (2, built.dim)


def test_standardised_tiles_have_one_brightness_and_contrast() -> None:
    encoder = build_encoder(resolve_spec("resnet10_narrow", 32), 0)
    contrast, light = 0.2 + torch.rand(3, 9, 3, 1, 1), torch.rand(3, 9, 3, 1, 1)
    tiles = torch.rand(3, 9, 3, 8, 8) * contrast + light
    seen = encoder.normalise(standardised(tiles, encoder).flatten(0, 1))
    deviation, mean = torch.std_mean(seen, dim=(2, 3))
    torch.testing.assert_close(mean, torch.zeros_like(mean), atol=1e-4, rtol=0)
    torch.testing.assert_close(deviation, torch.ones_like(mean), atol=0.1, rtol=0)


def test_every_permutation_is_there_once() -> None:
    table = every_permutation()
    assert table.shape == (362_880, 9)
    assert (np.sort(table, axis=1) == np.arange(9)).all()
    assert len(np.unique(table @ 10 ** np.arange(9))) == len(table)


def test_distant_permutations_are_the_greedy_choice() -> None:
    """Against the rule written out for the first few, over all of them."""
    table = [tuple(row) for row in every_permutation()[::97].tolist()]

    def apart(one: tuple[int, ...], other: tuple[int, ...]) -> int:
        return sum(a != b for a, b in zip(one, other, strict=True))

    chosen = [tuple(row) for row in distant_permutations(12).tolist()]
    assert chosen[0] == tuple(range(9))
    for count in range(1, 12):
        before = chosen[:count]

        def rank(candidate: tuple[int, ...], known: list[tuple[int, ...]] = before) -> list[int]:
            distances = [apart(candidate, one) for one in known]
            return [min(distances), sum(distances)]

        assert max(map(rank, table)) <= rank(chosen[count])
    pairs = [apart(one, other) for one, other in itertools.combinations(chosen, 2)]
    mean, least = hamming_distances(distant_permutations(12))
    assert mean == pytest.approx(float(np.mean(pairs)))
    assert least == min(pairs)


def test_a_thousand_permutations_lie_far_apart() -> None:
    many = distant_permutations(1000)
    assert np.array_equal(many[:100], distant_permutations(100)), "a larger set holds a smaller one"
    mean, least = hamming_distances(many)
    assert mean > 8.0
    assert least >= 5
    rng = np.random.default_rng(0)
    at_random = every_permutation()[rng.choice(362_880, 1000, replace=False)]
    assert hamming_distances(at_random)[1] < least

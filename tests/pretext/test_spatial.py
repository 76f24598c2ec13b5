"""Jigsaw, relative position, geometric transform: what is asked is what the pictures show."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from torch import Tensor

from hotstart.augment import crop
from hotstart.config import parse
from hotstart.data.draws import Draws
from hotstart.encoders import build_encoder, resolve_spec
from hotstart.pretext.context.geometric_transform import GeometricTransform, PairHead
from hotstart.pretext.context.geometry import (
    corners,
    homography,
    moved,
    seen_through,
    similarity,
)
from hotstart.pretext.context.jigsaw import Jigsaw
from hotstart.pretext.context.relative_position import RelativePosition, without_fringes
from hotstart.pretext.task import Info, PretextTask
from hotstart.pretext.tiles import EDGE_PX, montage, tiles_of
from tests.conformance.material import play
from tests.pretext.pictures import SIZE, batch_of, draws, noise

PLAIN = {
    "crop_scale": (1.0, 1.0),
    "crop_ratio": (1.0, 1.0),
    "flip": 0.0,
    "jitter": 0.0,
    "grey": 0.0,
}


def make(cls: type[PretextTask], **own: Any) -> Any:
    settings = parse(cls.Settings, {"view": PLAIN, **own}, cls.__name__)
    with torch.random.fork_rng():
        torch.manual_seed(0)
        encoder = build_encoder(resolve_spec("resnet10_narrow", SIZE), 0)
        return cls(encoder, settings, Info(100, SIZE, 8, 100))


def inside(arrays: list[Any], side: int) -> Tensor:
    """Whole pictures at the side that is cut, without their repeated edge."""
    box = torch.tensor([[0, 0, SIZE, SIZE]]).expand(len(arrays), 4)
    wide = crop(batch_of(arrays)["image"], box, side + 2 * EDGE_PX)
    return wide[:, :, EDGE_PX:-EDGE_PX, EDGE_PX:-EDGE_PX]


def test_jigsaws_label_is_the_order_in_which_the_tiles_stand() -> None:
    """Without guards the tiles, put back by the label, are the picture."""
    task = make(Jigsaw, gap=0.0, jitter=0.0, permutations=20)
    views = task.views(batch_of(noise(8)), draws(8))
    whole = inside(noise(8), task.grid.side_px)
    for shuffled, label, picture in zip(
        tiles_of(views["image"]), views["pseudo_label"], tiles_of(whole), strict=True
    ):
        for place, tile in enumerate(task.orders[label].tolist()):
            assert torch.equal(shuffled[place], picture[tile])
    assert torch.equal(task._restored(views["image"], views["pseudo_label"]), whole)


def test_jigsaw_asks_about_the_other_orders_as_if_they_were_shown() -> None:
    """Each of the K answers equals that of a picture whose tiles do stand in that order."""
    task = make(Jigsaw, permutations=20, orders_per_picture=3).eval()
    views = task.views(batch_of(noise(4)), draws(4))
    orders = torch.cat([views["pseudo_label"][:, None], views["more"]], 1)
    answers = task._logits(views["image"], orders)
    upright = tiles_of(task._restored(views["image"], orders[:, 0]))
    row = torch.arange(4)[:, None]
    for k in range(3):
        shown = montage(upright[row, task.orders[orders[:, k]]])
        alone = task._logits(shown, orders[:, k : k + 1])[:, 0]
        torch.testing.assert_close(answers[:, k], alone, atol=1e-4, rtol=1e-4)
    loss = F.cross_entropy(answers.flatten(0, 1), orders.flatten())
    torch.testing.assert_close(play(task, views, "task").loss, loss)


def test_jigsaws_guards_hide_brightness_and_can_be_taken_off() -> None:
    guarded, bare = make(Jigsaw).eval(), make(Jigsaw, normalise=False).eval()
    views = guarded.views(batch_of(noise(2)), draws(2))
    orders = views["pseudo_label"][:, None]
    darker = views["image"] * 0.5
    torch.testing.assert_close(
        guarded._logits(darker, orders), guarded._logits(views["image"], orders), atol=0.05, rtol=0
    )
    assert not torch.allclose(bare._logits(darker, orders), bare._logits(views["image"], orders))
    assert make(Jigsaw, gap=0.0, jitter=0.0).grid.side_px == 3 * guarded.grid.tile_px


def test_relative_position_pairs_the_middle_with_each_neighbour_in_its_place() -> None:
    task = make(RelativePosition, gap=0.0, jitter=0.0)
    arrays = noise(3)
    views = task.views(batch_of(arrays), draws(3))
    whole = tiles_of(inside(arrays, task.grid.side_px))
    assert torch.equal(views["centre"], whole[:, 4])
    around = [0, 1, 2, 3, 5, 6, 7, 8]
    for row in range(3):
        for place in range(8):
            assert int(views["pseudo_label"][8 * row + place]) == place
            assert torch.equal(views["image"][8 * row + place], whole[row, around[place]])


def test_colour_fringes_are_gone_and_grey_stays() -> None:
    images = torch.rand(2, 3, 8, 8)
    fringe = torch.rand(2, 1, 8, 8) * torch.tensor([-1.0, 2.0, -1.0]).view(1, 3, 1, 1)
    torch.testing.assert_close(without_fringes(images + fringe), without_fringes(images))
    grey = torch.rand(2, 1, 8, 8).expand(2, 3, 8, 8)
    torch.testing.assert_close(without_fringes(grey), grey)
    task = make(RelativePosition).eval()
    views = task.views(batch_of(noise(2)), draws(2))
    fringed = views | {"image": views["image"] + 0.1 * torch.tensor([-1.0, 2, -1]).view(3, 1, 1)}
    torch.testing.assert_close(play(task, fringed, "task").loss, play(task, views, "task").loss)


def test_a_homography_maps_the_four_points() -> None:
    starts = torch.tensor([[-1.0, -1], [1, -1], [1, 1], [-1, 1]]).expand(5, 4, 2)
    ends = starts + torch.rand(5, 4, 2) * 0.4
    torch.testing.assert_close(moved(homography(starts, ends), starts), ends, atol=1e-5, rtol=1e-5)


@pytest.mark.parametrize("turn", [0, 1, 2, 3])
def test_a_quarter_turn_moves_pixels_exactly(turn: int) -> None:
    pictures = torch.rand(1, 3, 12, 12)
    angle = torch.tensor([turn * math.pi / 2])
    matrix = similarity(angle, torch.ones(1), torch.zeros(1, 2))
    seen = seen_through(pictures, matrix, 8, border="reflection")
    middle = pictures[:, :, 2:10, 2:10]
    torch.testing.assert_close(seen, torch.rot90(middle, turn, (2, 3)), atol=1e-5, rtol=0)


@pytest.mark.parametrize("kind", ["projective", "affine"])
def test_the_label_tells_how_the_second_picture_came_about(kind: str) -> None:
    """A bright spot lands where the matrix of the pseudo-label says; no border is seen."""
    task = make(GeometricTransform, kind=kind)
    array = np.full((SIZE, SIZE, 3), 40, np.uint8)
    array[17:20, 13:16] = 250
    views = task.views(batch_of([array] * 32), draws(32))
    matrices = task._matrices(views["pseudo_label"])

    def spot(images: Tensor) -> Tensor:
        """Centre of what is bright, (B, 1, 2), in units of half a side."""
        weight = (images.mean(1) - 0.17).clamp_min(0).flatten(1)
        axis = (torch.arange(SIZE) + 0.5) / SIZE * 2 - 1
        y, x = torch.meshgrid(axis, axis, indexing="ij")
        places = torch.stack([x.flatten(), y.flatten()], 1)
        return (weight @ places / weight.sum(1, keepdim=True))[:, None]

    seen = moved(matrices, spot(views["after"]))
    torch.testing.assert_close(seen, spot(views["before"]), atol=0.04, rtol=0)
    assert views["after"].min() > 0.15, "nothing black came in"
    black = make(GeometricTransform, kind=kind, border="black")
    assert black.views(batch_of([array] * 32), draws(32))["after"].min() < 0.01


def naive_pair_head(task: GeometricTransform, views: dict[str, Tensor]) -> list[Tensor]:
    """What the head is fed, written out: every cosine of a place before and a place after."""
    maps = [
        task.encoder.feature_map(views[name], task.encoder.stage_strides[-1])
        for name in ("before", "after")
    ]
    channels, side = maps[0].shape[1:3]
    rows = []
    for before, after in zip(*maps, strict=True):
        alike = []
        for p in range(side**2):
            for q in range(side**2):
                one, other = before[:, p // side, p % side], after[:, q // side, q % side]
                alike.append((one @ other) / (one.norm() * other.norm()))
        rows.append((torch.stack(alike), before.reshape(-1), after.reshape(-1)))
    assert len(rows[0][1]) == channels * side**2
    stacked = [torch.stack(column) for column in zip(*rows, strict=True)]
    assert isinstance(task.head, PairHead)
    fed = torch.cat([task.head.norm(stacked[0]), *stacked[1:]], 1)
    return list(task.head.perceptron(fed))


def naive_head(task: GeometricTransform, views: dict[str, Tensor]) -> list[Tensor]:
    """The paper's: h of one beside h of the other."""
    h = [task.encoder(views[name]) for name in ("before", "after")]
    return [task.head(torch.cat(pair)[None])[0] for pair in zip(*h, strict=True)]


@pytest.mark.parametrize(("reads", "naive"), [("maps", naive_pair_head), ("features", naive_head)])
def test_geometric_loss_is_that_of_the_paper(
    reads: str, naive: Callable[[GeometricTransform, dict[str, Tensor]], list[Tensor]]
) -> None:
    """Zhang 2019, eq. 4, on standardised entries: value and gradient."""
    task = make(
        GeometricTransform, reads=reads
    ).eval()  # So that two passes see the same BatchNorm.
    views = task.views(batch_of(noise(4)), draws(4))
    loss = play(task, views, "task").loss
    reference = torch.zeros(())
    for said, truth in zip(naive(task, views), views["pseudo_label"], strict=True):
        for k in range(8):
            reference = reference + 0.5 * (said[k] - truth[k]) ** 2 / (4 * 8)
    torch.testing.assert_close(loss, reference)
    weights = list(task.parameters())
    for mine, other in zip(
        torch.autograd.grad(loss, weights, allow_unused=True),
        torch.autograd.grad(reference, weights, allow_unused=True),
        strict=True,
    ):
        torch.testing.assert_close(mine, other, atol=1e-5, rtol=1e-4)


@pytest.mark.parametrize("kind", ["projective", "affine"])
def test_the_corner_error_is_the_way_from_where_corners_land_to_where_they_belong(
    kind: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    task = make(GeometricTransform, kind=kind).eval()
    batches = [batch_of(noise(6, seed=seed)) for seed in range(2)]
    truths = [task.views(b, draws(1).batch(i, 6))["pseudo_label"] for i, b in enumerate(batches)]

    def by_hand(said: Tensor, truth: Tensor) -> float:
        ends = []
        for entries in (said, truth):
            free = entries * task.entry_std + task.entry_mean
            matrix = torch.cat([free, torch.tensor([0.0, 0.0, 1.0])[len(free) - 9 :]]).view(3, 3)
            ends.append(
                [matrix @ torch.tensor([x, y, 1.0]) for x in (-1.0, 1.0) for y in (-1.0, 1.0)]
            )
        ways = [(a[:2] / a[2] - b[:2] / b[2]).norm() / 2 for a, b in zip(*ends, strict=True)]
        return float(torch.stack(ways).mean())

    answer = torch.randn(12, len(task.entry_std)) * 0.1
    monkeypatch.setattr(task, "_said", lambda views: answer[: len(views["before"])])
    score = task.score(iter(batches), draws(1))
    pairs = [(answer[i], truth) for block in truths for i, truth in enumerate(block)]
    assert score.value == pytest.approx(np.mean([by_hand(*pair) for pair in pairs]), rel=1e-4)
    nothing = torch.zeros_like(answer[0])
    trivial = np.mean([by_hand(nothing, truth) for _, truth in pairs])
    assert score.trivial == pytest.approx(trivial, rel=1e-4)
    assert score.examples == 12


@pytest.mark.parametrize("settings", [{}, {"kind": "affine"}, {"strength": 2.0}, {"turns": False}])
def test_no_transform_reaches_beyond_what_is_cut(settings: dict[str, Any]) -> None:
    task = make(GeometricTransform, **settings)
    reached = moved(task.draw(draws(2000, 1)), corners(2000)).abs().max()
    assert reached <= task.cut_px / SIZE + 0.05, "but for a pixel, which is reflected"
    assert (task.cut_px - SIZE) % 2 == 0
    assert task.cut_px <= SIZE * 1.1 * reached, "and no more of the picture is lost than must be"


def test_the_panel_shows_the_picture_under_the_answer(monkeypatch: pytest.MonkeyPatch) -> None:
    """A network that is right makes of the first picture the second."""
    task = make(GeometricTransform).eval()
    said: dict[str, Tensor] = {}
    pair = task._pair

    def kept(whole: Tensor, rng: Draws) -> dict[str, Tensor]:
        views: dict[str, Tensor] = pair(whole, rng)
        said["truth"] = views["pseudo_label"]
        return views

    monkeypatch.setattr(task, "_pair", kept)
    monkeypatch.setattr(task, "_said", lambda views: said["truth"])
    (panel,) = task.panels(batch_of(noise(3)), draws(3))
    for _, after, answer in panel.pictures:
        assert np.abs(after.astype(int) - answer).max() <= 1
    assert all(row[2].startswith("corners 0%") for row in panel.texts)


def test_the_panel_shows_the_picture_that_the_patches_were_cut_from() -> None:
    task = make(RelativePosition, gap=0.0, jitter=0.0).eval()
    (panel,) = task.panels(batch_of(noise(4)), draws(4))
    side = task.grid.tile_px
    for first, second, _, whole in panel.pictures:
        assert np.array_equal(first, whole[side : 2 * side, side : 2 * side])
        tiles = [
            whole[y : y + side, x : x + side]
            for y in range(0, 3 * side, side)
            for x in range(0, 3 * side, side)
        ]
        assert any(np.array_equal(second, tile) for tile in tiles)

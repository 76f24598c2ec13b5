"""What is drawn: distributions, independence, ranks."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import fields

import pytest
import torch
from torch import Tensor
from torchvision.transforms.v2 import RandomResizedCrop

from hotstart.augment import ViewSettings, draw_view, random_view
from hotstart.augment.settings import draw_boxes
from hotstart.config import parse
from hotstart.data.draws import Draws
from hotstart.data.sample import Pictures
from hotstart.errors import UsageError

ROWS = 6000


def same_distribution(ours: Tensor, theirs: Tensor) -> None:
    """Two-sample Kolmogorov-Smirnov at 0.1 %."""
    both = torch.cat([ours, theirs]).double().sort().values
    ours, theirs = ours.double().sort().values, theirs.double().sort().values
    distance = (
        torch.searchsorted(ours, both, right=True) / len(ours)
        - torch.searchsorted(theirs, both, right=True) / len(theirs)
    ).abs()
    assert distance.max() < 1.95 * (1 / len(ours) + 1 / len(theirs)) ** 0.5


@pytest.mark.parametrize("shape", [(32, 32), (96, 128), (200, 60), (40, 300)])
@pytest.mark.parametrize("scale", [(0.08, 1.0), (0.5, 1.0)])
def test_boxes_are_distributed_like_torchvisions(
    shape: tuple[int, int], scale: tuple[float, float]
) -> None:
    """The last two shapes are so long that many rows, or all, take the fallback."""
    height, width = shape
    boxes = draw_boxes(
        torch.full((ROWS,), height),
        torch.full((ROWS,), width),
        scale,
        (3 / 4, 4 / 3),
        Draws(0, 0, total=ROWS),
    )
    x, y, w, h = boxes.unbind(1)
    assert boxes[:, :2].amin() >= 0
    assert boxes[:, 2:].amin() >= 1
    assert ((x + w) <= width).all()
    assert ((y + h) <= height).all()
    torch.manual_seed(0)
    transform = RandomResizedCrop(32, scale=scale)
    empty = torch.zeros(3, height, width)
    drawn = [transform.make_params([empty]) for _ in range(ROWS)]
    reference = torch.tensor([[d["left"], d["top"], d["width"], d["height"]] for d in drawn])
    rx, ry, rw, rh = reference.unbind(1)
    same_distribution(w * h, rw * rh)
    same_distribution(w / h, rw / rh)
    same_distribution(x, rx)
    same_distribution(y, ry)


@pytest.mark.parametrize("strength", [0.5, 1.0])
def test_parameters_are_in_range_and_as_probable_as_set(
    photographs: Callable[..., Pictures], strength: float
) -> None:
    pictures = photographs((20, 20)).select([0] * ROWS)
    settings = ViewSettings(strength=strength, brightness=1.2, solarise=0.1, cutout=0.3)
    drawn = draw_view(settings, pictures, 32, Draws(1, 0, total=ROWS))
    jittered = drawn.contrast != 1
    shares = {
        settings.flip: drawn.flip,
        settings.jitter: jittered,
        settings.grey: drawn.grey,
        settings.blur: drawn.blur_sigma > 0,
        settings.solarise: drawn.solarise,
        settings.cutout: drawn.cutout[:, 2] > 0,
    }
    for probability, happened in shares.items():
        assert abs(happened.float().mean() - probability) < 0.025
    uniform = torch.rand(ROWS, generator=torch.Generator().manual_seed(0))
    for values, spread in (
        (drawn.brightness, 1.2 * strength),
        (drawn.contrast, 0.8 * strength),
        (drawn.saturation, 0.8 * strength),
    ):
        low, high = max(0.0, 1 - spread), 1 + spread
        same_distribution((values[jittered] - low) / (high - low), uniform)
    same_distribution(drawn.hue[jittered] / (0.2 * strength) / 2 + 0.5, uniform)
    assert not drawn.hue[~jittered].any()
    blurred = drawn.blur_sigma[drawn.blur_sigma > 0]
    same_distribution((blurred - 0.1) / 1.9, uniform)
    assert (drawn.order.sort(1).values == torch.arange(3)).all()
    assert len(set(map(tuple, drawn.order.tolist()))) == 6


def test_operations_are_independent(photographs: Callable[..., Pictures]) -> None:
    pictures = photographs((32, 32)).select([0] * ROWS)
    settings = ViewSettings(jitter=1, blur=1, solarise=0.5)
    drawn = draw_view(settings, pictures, 32, Draws(2, 0, total=ROWS))
    columns = [
        getattr(drawn, field.name).float().reshape(ROWS, -1)
        for field in fields(drawn)
        if field.name not in ("order", "cutout")
    ]
    # Width and height of one box go together, so of the box only its x and y are looked at.
    columns[0] = columns[0][:, 2:3]
    correlation = torch.corrcoef(torch.cat(columns, 1).T)
    assert (correlation - torch.eye(len(correlation))).abs().max() < 0.06


@pytest.mark.parametrize("change", [{"flip": 0.9}, {"blur": 0.0}, {"crop_scale": (0.5, 1.0)}])
def test_a_setting_does_not_move_the_draws_of_others(
    ragged: Pictures, change: dict[str, object]
) -> None:
    rows = len(ragged)
    before = draw_view(ViewSettings(), ragged, 32, Draws(0, 0, total=rows))
    after = draw_view(parse(ViewSettings, change, "views"), ragged, 32, Draws(0, 0, total=rows))
    different = {
        field.name
        for field in fields(before)
        if not torch.equal(getattr(before, field.name), getattr(after, field.name))
    }
    allowed = {"flip": {"flip"}, "blur": {"blur_sigma"}, "crop_scale": {"box"}}
    assert different == allowed[next(iter(change))]


def test_two_halves_equal_the_whole(ragged: Pictures) -> None:
    rows, settings = len(ragged), ViewSettings(solarise=0.2, cutout=0.2)
    whole = random_view(ragged, settings, 32, Draws(7, 3, total=rows))
    halves = []
    for start in (0, rows // 2):
        part = torch.arange(start, start + rows // 2)
        rng = Draws(7, 3, total=rows, start=start, stop=start + rows // 2)
        halves.append(random_view(ragged.select(part), settings, 32, rng))
    assert torch.equal(torch.cat(halves), whole)


def test_views_differ_by_row_step_and_stream(photographs: Callable[..., Pictures]) -> None:
    pictures = photographs((40, 40)).select([0] * 8)
    rng = Draws(0, 0, total=8)
    views = [
        random_view(pictures, ViewSettings(), 32, draws)
        for draws in (rng.named("one"), rng.named("two"), Draws(0, 1, total=8).named("one"))
    ]
    flat = torch.cat(views).flatten(1)
    assert torch.pdist(flat).min() > 0
    again = random_view(pictures, ViewSettings(), 32, Draws(0, 0, total=8).named("one"))
    assert torch.equal(again, views[0])


@pytest.mark.parametrize(
    ("values", "said"),
    [
        ({"flips": 0.5}, "nearest: flip"),
        ({"flip": 1.5}, "flip"),
        ({"crop_scale": (0.5, 0.1)}, r"crop_scale must be 0 < low <= high, got \(0.5, 0.1\)"),
        ({"crop_scale": (0.5, 2)}, "share of the area"),
        ({"strength": 3}, "half a turn"),
    ],
)
def test_wrong_settings_are_refused(values: dict[str, object], said: str) -> None:
    with pytest.raises(UsageError, match=said):
        parse(ViewSettings, values, "views")

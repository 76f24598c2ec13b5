"""Each operation alone, in both engines, against torchvision."""

from __future__ import annotations

import itertools
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest
import torch
import torchvision.transforms.v2.functional as reference
from torch import Tensor

from hotstart.augment import ViewParameters, apply_view
from hotstart.augment.settings import plain
from hotstart.augment.views import Engine
from hotstart.data.sample import Pictures

SIZE = 48
GREY_LEVEL = 1 / 255
Photographs = Callable[..., Pictures]

pytestmark = pytest.mark.parametrize("engine", ["opencv", "torch"])


@pytest.fixture
def pictures(photographs: Photographs) -> Pictures:
    return photographs(*[(SIZE, SIZE)] * 6)


def whole(pictures: Pictures) -> ViewParameters:
    zero = torch.zeros_like(pictures.widths)
    return plain(torch.stack([zero, zero, pictures.widths, pictures.heights], 1))


def exact(pictures: Pictures) -> Tensor:
    """The pictures themselves, which are all of one size: float (B, 3, H, W)."""
    stacked = torch.stack([pictures[i] for i in range(len(pictures))])
    return stacked.permute(0, 3, 1, 2).float() / 255


def changed(pictures: Pictures, engine: Engine, **changes: Any) -> Tensor:
    rows = len(pictures)
    filled = {
        name: value if isinstance(value, Tensor) else torch.full((rows,), value)
        for name, value in changes.items()
    }
    return apply_view(pictures, replace(whole(pictures), **filled), SIZE, engine=engine)


def test_neutral_parameters_give_the_picture_back(pictures: Pictures, engine: Engine) -> None:
    view = changed(pictures, engine)
    assert torch.equal((view * 255).round(), exact(pictures) * 255)
    torch.testing.assert_close(view, exact(pictures), atol=1e-7, rtol=0)
    assert view.is_contiguous(memory_format=torch.channels_last)


def test_flip_is_exact(pictures: Pictures, engine: Engine) -> None:
    assert torch.equal(changed(pictures, engine, flip=True), changed(pictures, engine).flip(3))


@pytest.mark.parametrize("factor", [0.2, 0.7, 1.3, 1.8])
@pytest.mark.parametrize("operation", ["brightness", "contrast", "saturation"])
def test_factors_equal_torchvision(
    pictures: Pictures, engine: Engine, operation: str, factor: float
) -> None:
    adjust = getattr(reference, f"adjust_{operation}")
    expected = adjust(exact(pictures), factor)
    view = changed(pictures, engine, **{operation: factor})
    # torchvision rounds the weight of red to 0.2989.
    torch.testing.assert_close(view, expected, atol=0.05 * GREY_LEVEL, rtol=0)


def test_hue_by_thirds_of_a_turn_equals_torchvision(pictures: Pictures, engine: Engine) -> None:
    for turns in (1 / 3, -1 / 3):
        expected = reference.adjust_hue(exact(pictures), turns)
        view = changed(pictures, engine, hue=turns)
        torch.testing.assert_close(view, expected, atol=0.01 * GREY_LEVEL, rtol=0)


@pytest.mark.parametrize("turns", [-0.2, -0.1, 0.1, 0.2, 0.5])
def test_hue_is_near_torchvision(pictures: Pictures, engine: Engine, turns: float) -> None:
    """A rotation about the grey axis is not HSV; it lies near, and off by no constant."""
    expected = reference.adjust_hue(exact(pictures), turns)
    view = changed(pictures, engine, hue=turns)
    error = (view - expected).abs().mean()
    assert error < 9 * GREY_LEVEL
    assert error < 0.75 * (exact(pictures) - expected).abs().mean()
    channels = (view - expected).mean((0, 2, 3)).abs()
    assert channels.max() < 2 * GREY_LEVEL


def test_grey_equals_torchvision(pictures: Pictures, engine: Engine) -> None:
    view = changed(pictures, engine, grey=True)
    expected = reference.rgb_to_grayscale(exact(pictures), num_output_channels=3)
    torch.testing.assert_close(view, expected, atol=0.05 * GREY_LEVEL, rtol=0)
    spread = view.amax(1) - view.amin(1)
    assert spread.max() < 1e-6


@pytest.mark.parametrize("sigma", [0.1, 0.5, 1.0, 2.0])
@pytest.mark.parametrize(("size", "kernel"), [(32, 3), (64, 7), (128, 13)])
def test_blur_equals_torchvision(
    photographs: Photographs, engine: Engine, size: int, kernel: int, sigma: float
) -> None:
    pictures = photographs((size, size), (size, size))
    parameters = replace(whole(pictures), blur_sigma=torch.full((2,), sigma))
    view = apply_view(pictures, parameters, size, engine=engine)
    expected = reference.gaussian_blur(exact(pictures), [kernel, kernel], [sigma, sigma])
    torch.testing.assert_close(view, expected, atol=0.05 * GREY_LEVEL, rtol=0)


def test_solarise_equals_torchvision(pictures: Pictures, engine: Engine) -> None:
    view = changed(pictures, engine, solarise=True)
    expected = reference.solarize(exact(pictures), 0.5)
    torch.testing.assert_close(view, expected, atol=1e-6, rtol=0)


def test_cutout_paints_the_rectangle_and_nothing_else(pictures: Pictures, engine: Engine) -> None:
    hole = torch.tensor([[5, 7, 11, 3]]).expand(len(pictures), 4)
    view = changed(pictures, engine, cutout=hole)
    expected = exact(pictures)
    expected[:, :, 7:10, 5:16] = 0.5
    torch.testing.assert_close(view, expected, atol=1e-7, rtol=0)


@pytest.mark.parametrize("order", list(itertools.permutations(range(3))))
def test_composed_colours_equal_torchvision_in_every_order(
    pictures: Pictures, engine: Engine, order: tuple[int, ...]
) -> None:
    """Where nothing is clamped on the way, and at a hue where HSV is linear: one by one."""
    pixels = 90 + pictures.pixels // 4  # 90..153: room for the factors below
    soft = replace(pictures, pixels=pixels)
    steps: list[Callable[[Tensor], Tensor]] = [
        lambda x: reference.adjust_contrast(x, 1.3),
        lambda x: reference.adjust_saturation(x, 0.4),
        lambda x: reference.adjust_hue(x, 1 / 3),
    ]
    expected = reference.adjust_brightness(exact(soft), 1.2)
    for _, step in sorted(zip(order, steps, strict=True), key=lambda pair: pair[0]):
        expected = step(expected)
    places = torch.tensor([order]).expand(len(pictures), 3)
    view = changed(
        soft, engine, brightness=1.2, contrast=1.3, saturation=0.4, hue=1 / 3, order=places
    )
    torch.testing.assert_close(view, expected, atol=0.1 * GREY_LEVEL, rtol=0)

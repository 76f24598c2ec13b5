"""Crops: where pixels come from, aliasing, the centre view, errors."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import pytest
import torch
import torchvision.transforms.v2.functional as reference
from torch import Tensor

from hotstart.augment import apply_view, centre_view, crop
from hotstart.augment.filters import blur_kernels
from hotstart.augment.settings import plain
from hotstart.augment.views import Engine
from hotstart.data.sample import Pictures
from hotstart.data.shrink import shrink_kernels
from hotstart.errors import UsageError

GREY_LEVEL = 1 / 255
Photographs = Callable[..., Pictures]


def resized(pictures: Pictures, box: list[int], size: int) -> Tensor:
    """Torchvision's resized crop of picture 0."""
    x, y, width, height = box
    picture = pictures[0].permute(2, 0, 1).float() / 255
    view: Tensor = reference.resized_crop(
        picture, y, x, height, width, [size, size], antialias=True
    )
    return view


@pytest.mark.parametrize("engine", ["opencv", "torch"])
@pytest.mark.parametrize("box", [[3, 5, 20, 17], [0, 0, 31, 40], [10, 20, 40, 40], [59, 79, 1, 1]])
def test_enlarging_equals_torchvision(
    photographs: Photographs, engine: Engine, box: list[int]
) -> None:
    pictures = photographs((80, 60))
    view = apply_view(pictures, plain(torch.tensor([box])), 40, engine=engine)[0]
    torch.testing.assert_close(view, resized(pictures, box, 40), atol=0.02 * GREY_LEVEL, rtol=0)


@pytest.mark.parametrize("engine", ["opencv", "torch"])
@pytest.mark.parametrize("factor", [2, 3, 4])
def test_shrinking_by_whole_factors_equals_torchvision(
    photographs: Photographs, engine: Engine, factor: int
) -> None:
    """The outermost pixels differ: we repeat the edge, torchvision weighs what is there."""
    pictures = photographs((48 * factor, 48 * factor))
    box = [0, 0, 48 * factor, 48 * factor]
    view = apply_view(pictures, plain(torch.tensor([box])), 48, engine=engine)[0]
    inner = (slice(None), slice(1, -1), slice(1, -1))
    expected = resized(pictures, box, 48)
    torch.testing.assert_close(view[inner], expected[inner], atol=0.02 * GREY_LEVEL, rtol=0)
    torch.testing.assert_close(view, expected, atol=16 * GREY_LEVEL, rtol=0)


@pytest.mark.parametrize("engine", ["opencv", "torch"])
@pytest.mark.parametrize("side", [52, 56, 64, 72, 84, 110, 130])
def test_shrinking_is_near_torchvision(photographs: Photographs, engine: Engine, side: int) -> None:
    pictures = photographs((140, 140))
    box = [4, 7, side, side]
    view = apply_view(pictures, plain(torch.tensor([box])), 48, engine=engine)[0]
    expected = resized(pictures, box, 48)
    assert (view - expected).abs().mean() < 2.2 * GREY_LEVEL
    assert 0.99 < view.std() / expected.std() < 1.01


def test_fine_stripes_do_not_alias() -> None:
    """One-pixel stripes shrunk to less than half are grey, not stripes of another width."""
    stripes = torch.zeros(96, 96, 3, dtype=torch.uint8)
    stripes[:, ::2] = 255
    pictures = Pictures.from_arrays([stripes.numpy()])
    view = crop(pictures, torch.tensor([[0.0, 0, 96, 96]]), 40)
    assert (view[..., 2:-2] - 0.5).abs().max() < 0.06


def test_shrink_kernels() -> None:
    weights, radii = shrink_kernels(torch.tensor([0.5, 1.0, 1.5, 2.0, 3.0]))
    assert radii.tolist() == [0, 0, 1, 1, 2]
    torch.testing.assert_close(weights.sum(1), torch.ones(5))
    torch.testing.assert_close(weights[3] * 4, torch.tensor([0.0, 1, 2, 1, 0]))
    torch.testing.assert_close(weights[4] * 9, torch.tensor([1.0, 2, 3, 2, 1]))
    variance = (weights * torch.arange(-2, 3) ** 2).sum(1)
    factors = torch.tensor([1.0, 1.0, 1.5, 2.0, 3.0])
    torch.testing.assert_close(variance, (factors**2 - 1) / 6)


@pytest.mark.parametrize(("size", "kernel"), [(32, 3), (64, 7), (96, 9), (128, 13), (224, 23)])
def test_blur_kernel_is_a_tenth_of_the_picture(size: int, kernel: int) -> None:
    weights, radii = blur_kernels(torch.tensor([0.0, 0.1, 9.0]), size)
    assert weights.shape[1] == kernel
    assert radii.tolist() == [0, 1, kernel // 2]


def test_boxes_of_the_right_size_are_copied(photographs: Photographs) -> None:
    pictures = photographs((40, 50), (33, 70))
    boxes = torch.tensor([[7.0, 3, 16, 16], [50.0, 17, 16, 16]])
    view = crop(pictures, boxes, 16, flip=torch.tensor([False, True]))
    first = pictures[0][3:19, 7:23].permute(2, 0, 1)
    second = pictures[1][17:33, 50:66].permute(2, 0, 1).flip(2)
    assert torch.equal((view * 255).round().byte(), torch.stack([first, second]))


def test_rounded_boxes_leave_no_gap(photographs: Photographs) -> None:
    """Thirds of 64 px, shifted: edges are rounded, not sizes."""
    picture = photographs((64, 64)).select([0, 0, 0])
    edges = torch.tensor([0.0, 64 / 3, 128 / 3])
    boxes = torch.stack([edges, torch.zeros(3), torch.full((3,), 64 / 3), torch.full((3,), 64)], 1)
    widths = [21, 22, 21]
    starts = [0, 21, 43]
    whole = torch.tensor(
        [[start, 0, width, 64] for start, width in zip(starts, widths, strict=True)]
    )
    assert torch.equal(crop(picture, boxes, 24), apply_view(picture, plain(whole), 24))


@pytest.mark.parametrize(
    "box", [[-1.0, 0, 5, 5], [0.0, 0, 0.2, 5], [18.0, 0, 5, 5], [0.0, 0, 5, 31]]
)
def test_boxes_outside_are_refused(photographs: Photographs, box: list[float]) -> None:
    with pytest.raises(UsageError, match=r"box 1 is .* 20 x 30 px"):
        crop(photographs((30, 20), (30, 20)), torch.tensor([[0.0, 0, 20, 30], box]), 8)


def test_parameters_of_other_pictures_are_refused(photographs: Photographs) -> None:
    box = torch.tensor([[0, 0, 8, 8]])
    with pytest.raises(UsageError, match="1 views for 2 pictures"):
        apply_view(photographs((9, 9), (9, 9)), plain(box), 8)


@pytest.mark.parametrize("shape", [(100, 140), (140, 90), (64, 64), (40, 30)])
def test_centre_view_is_centre_crop_and_resize(
    photographs: Photographs, shape: tuple[int, int]
) -> None:
    pictures = photographs(shape)
    view = centre_view(pictures, 48)[0]
    picture = pictures[0].permute(2, 0, 1).float() / 255
    square = reference.center_crop(picture, [min(shape)])
    expected = reference.resize(square, [48, 48], antialias=True)
    assert (view - expected).abs().mean() < 2.2 * GREY_LEVEL


def test_centre_view_of_a_picture_of_that_size_is_the_picture(photographs: Photographs) -> None:
    pictures = photographs((32, 32))
    assert torch.equal(
        (centre_view(pictures, 32)[0] * 255).round().byte(), pictures[0].permute(2, 0, 1)
    )


def test_pictures_are_never_written_to(photographs: Photographs) -> None:
    pictures = photographs((48, 48))
    before = pictures.pixels.clone()
    parameters = plain(torch.tensor([[0, 0, 48, 48]]), torch.tensor([True]))
    apply_view(pictures, replace(parameters, brightness=torch.tensor([0.3])), 48)
    assert torch.equal(pictures.pixels, before)

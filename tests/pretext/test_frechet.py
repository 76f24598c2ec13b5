"""Fréchet distance: equal to the formula, and larger for every way in which pictures go wrong."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from scipy import linalg
from torch import Tensor

from hotstart.pretext.frechet import RandomConv, frechet_distance, gaussian_distance

COUNT = 240


def generator(seed: int) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def scenes(seed: int, count: int = COUNT) -> Tensor:
    """Pictures (count, 3, 32, 32) with a sky, a ground and a bright square somewhere."""
    draw = torch.rand(count, 12, generator=generator(seed))
    pictures = draw[:, :3, None, None].expand(-1, -1, 32, 32).clone() * 0.4 + 0.5
    for i, numbers in enumerate(draw):
        pictures[i, :, 12 + int(8 * numbers[3]) :] = numbers[4:7, None, None] * 0.4
        y, x, side = (int(v) for v in numbers[7:10] * torch.tensor([18, 22, 6]) + 4)
        pictures[i, :, y : y + side, x : x + side] = numbers[9:12, None, None]
    return (pictures + torch.randn(pictures.shape, generator=generator(seed + 1)) * 0.01).clamp(
        0, 1
    )


def blurred(pictures: Tensor, sigma: float) -> Tensor:
    offset = torch.arange(-8, 9).float()
    kernel = torch.exp(-offset.square() / (2 * sigma**2))
    kernel = (kernel[:, None] * kernel / kernel.sum() ** 2).expand(3, 1, -1, -1)
    return F.conv2d(F.pad(pictures, (8, 8, 8, 8), mode="reflect"), kernel, groups=3)


@pytest.mark.parametrize("rank", [6, 3])
def test_gaussian_distance_equals_the_formula_with_scipys_root(rank: int) -> None:
    """Heusel 2017, eq. 6; also where a covariance has no inverse."""
    rng = np.random.default_rng(0)
    factors = rng.normal(size=(2, 6, rank))
    covariances = [factor @ factor.T for factor in factors]
    means = rng.normal(size=(2, 6))
    root = linalg.sqrtm(covariances[0] @ covariances[1])
    expected = ((means[0] - means[1]) ** 2).sum() + np.trace(sum(covariances) - 2 * root.real)
    first, second = (
        (torch.from_numpy(mean), torch.from_numpy(covariance))
        for mean, covariance in zip(means, covariances, strict=True)
    )
    assert gaussian_distance(*first, *second) == pytest.approx(expected, rel=1e-5)
    assert gaussian_distance(*first, *first) == pytest.approx(0, abs=1e-6)


def test_frechet_distance_of_normal_numbers_is_known() -> None:
    """Independent features, mean shifted by m and deviation multiplied by s: m^2 + (1 - s)^2."""
    normal = torch.randn(2, 20_000, 4, generator=generator(0))
    units = torch.tensor([0.01, 1.0, 5.0, 100.0])
    for shift, factor in ((0.0, 1.0), (0.5, 1.0), (0.0, 1.5), (2.0, 0.5)):
        made = (normal[1] * factor + shift) * units
        distance = frechet_distance(normal[0] * units, made)
        assert distance == pytest.approx(shift**2 + (1 - factor) ** 2, abs=0.05)


def test_a_generator_of_the_mean_is_at_one_and_the_same_set_at_zero() -> None:
    features = torch.rand(200, 7, generator=generator(0))
    assert frechet_distance(features, features.flip(0)) == pytest.approx(0, abs=1e-6)
    assert frechet_distance(features, features.mean(0).expand(50, -1)) == pytest.approx(1)


def test_a_feature_that_never_varies_stays_finite() -> None:
    features = torch.rand(50, 3, generator=generator(0))
    features[:, 1] = 0.25
    assert frechet_distance(features, features) == pytest.approx(0, abs=1e-6)
    assert math.isfinite(frechet_distance(features, features + 0.1))


def test_distance_grows_with_blur_noise_and_mode_collapse() -> None:
    space = RandomConv()
    real, other = space(scenes(0)), scenes(100)
    noise = torch.randn(other.shape, generator=generator(3))
    floor = frechet_distance(real, space(other))
    tiles = other.unfold(2, 8, 8).unfold(3, 8, 8).flatten(2, 3)
    order = torch.randperm(16, generator=generator(4))
    shuffled = tiles[:, :, order].view(-1, 3, 4, 4, 8, 8).transpose(3, 4).reshape(other.shape)
    worse = {
        "blur": [blurred(other, sigma) for sigma in (0.5, 1.0, 2.0)],
        "noise": [(other + noise * level).clamp(0, 1) for level in (0.03, 0.1, 0.3)],
        "collapse": [other[:some].repeat(COUNT // some, 1, 1, 1) for some in (24, 4, 1)],
        "shuffled tiles": [shuffled],
        "colours exchanged": [other.flip(1) * torch.tensor([1, 1, 0.5]).view(3, 1, 1)],
    }
    for how, sets in worse.items():
        distances = [floor, *(frechet_distance(real, space(some)) for some in sets)]
        assert distances == sorted(distances), how
        assert distances[1] > 1.5 * floor, how
    assert floor < 0.1


def test_the_space_is_the_same_everywhere_and_no_part_of_a_checkpoint() -> None:
    """Numbers of this version: a change here is a new space and needs a new name."""
    space = RandomConv()
    picture = torch.linspace(0, 1, 3 * 32 * 32).view(1, 3, 32, 32).square()
    features = space(picture)
    assert features.shape == (1, 163)
    assert not space.state_dict()
    many = space(picture.expand(258, -1, -1, -1))
    torch.testing.assert_close(many, features.expand(258, -1))
    expected = [0.013669, 0.0182138, 0.0018339, 0.0012826, 0.0009524]
    torch.testing.assert_close(features[0, [0, 15, 16, 48, 111]], torch.tensor(expected))


def test_brightness_is_seen_by_the_thumbnail_alone() -> None:
    space = RandomConv()
    dark = space(scenes(0, 4) * 0.5)
    bright = space(scenes(0, 4) * 0.5 + 0.3)
    torch.testing.assert_close(dark[:, :112], bright[:, :112], atol=1e-5, rtol=1e-4)
    torch.testing.assert_close(dark[:, 112:160] + 0.3, bright[:, 112:160])


@pytest.mark.parametrize("size", [8, 33, 96])
def test_any_size(size: int) -> None:
    features = RandomConv()(torch.rand(2, 3, size, size, generator=generator(0)))
    assert features.shape == (2, 163)
    assert torch.isfinite(features).all()

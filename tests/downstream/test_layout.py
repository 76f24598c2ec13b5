"""The layout of a map: alike beside alike, the same each time, whatever comes."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
import pytest
import torch
from torch import Tensor

from hotstart.downstream.layout import LEAST, lay_out


def groups(each: int) -> tuple[Tensor, npt.NDArray[np.int64]]:
    """Three well separated groups of `each` features (N, 40), mixed, and who is in which."""
    rng = np.random.default_rng(0)
    group = rng.permutation(np.repeat(np.arange(3), each))
    centres = rng.normal(0, 4, (3, 40))
    points = centres[group] + rng.normal(size=(3 * each, 40))
    return torch.from_numpy(points).float(), group


@pytest.mark.parametrize(("each", "method"), [(12, "PCA"), (LEAST // 3, "t-SNE")])
def test_alike_lies_beside_alike(each: int, method: str) -> None:
    features, group = groups(each)
    layout = lay_out(features)
    assert layout.method == method
    away = np.linalg.norm(layout.places[:, None] - layout.places[None], axis=2)
    np.fill_diagonal(away, np.inf)
    assert (group[away.argmin(axis=1)] == group).all()


def test_the_same_features_give_the_same_map() -> None:
    features, _ = groups(LEAST // 3)
    np.testing.assert_array_equal(lay_out(features).places, lay_out(features.clone()).places)


def test_a_map_fills_the_unit_square_without_being_stretched() -> None:
    wide = torch.randn(50, 8, generator=torch.Generator().manual_seed(0))
    # Features are standardised, so that the unit of one counts for nothing.
    scaled = wide * torch.tensor([1000.0, *[1.0] * 7])
    places = lay_out(scaled).places
    assert places.min() >= 0
    assert places.max() <= 1
    assert np.ptp(places, axis=0).max() == pytest.approx(1)
    np.testing.assert_allclose(lay_out(wide).places, places, atol=1e-4)


@pytest.mark.parametrize(
    "features",
    [
        torch.zeros(1, 4),
        torch.randn(2, 4, generator=torch.Generator().manual_seed(0)),
        torch.ones(120, 4),
        torch.full((120, 4), float("nan")),
        torch.arange(120.0)[:, None],
    ],
    ids=["one", "two", "all alike", "not finite", "one dimension"],
)
def test_no_features_are_too_poor(features: Tensor) -> None:
    places = lay_out(features).places
    assert places.shape == (len(features), 2)
    assert np.isfinite(places).all()

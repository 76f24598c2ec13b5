"""Colour spaces and classes of chroma against formulas written out one number at a time."""

from __future__ import annotations

import math

import cv2
import numpy as np
import pytest
import torch
from torch import Tensor

from hotstart.pretext.colour_spaces import (
    equally_light_grey,
    lab_to_rgb,
    rgb_to_lab,
    rgb_to_ycbcr,
    ycbcr_to_rgb,
)
from hotstart.pretext.generation.chroma import (
    annealed_mean,
    chroma_error,
    class_weights,
    gamut_bins,
    rebalanced_cross_entropy,
    soft_encode,
)


def colours(*shape: int, seed: int = 0) -> Tensor:
    return torch.rand(*shape, generator=torch.Generator().manual_seed(seed))


def naive_lab(red: float, green: float, blue: float) -> tuple[float, float, float]:
    """IEC 61966-2-1 and CIE 1976, one colour."""
    r, g, b = (
        c / 12.92 if c <= 0.04045 else ((c + 0.055) / 1.055) ** 2.4 for c in (red, green, blue)
    )
    x = (0.412453 * r + 0.357580 * g + 0.180423 * b) / 0.950456
    y = 0.212671 * r + 0.715160 * g + 0.072169 * b
    z = (0.019334 * r + 0.119193 * g + 0.950227 * b) / 1.088754

    def f(t: float) -> float:
        return t ** (1 / 3) if t > (6 / 29) ** 3 else t / (3 * (6 / 29) ** 2) + 4 / 29

    return 116 * f(y) - 16, 500 * (f(x) - f(y)), 200 * (f(y) - f(z))


def test_lab_equals_the_standard_and_opencv() -> None:
    images = torch.cat([colours(1, 3, 4, 4), 0.05 * colours(1, 3, 4, 4, seed=1)])
    lab = rgb_to_lab(images)
    for b, y, x in np.ndindex(2, 4, 4):
        expected = naive_lab(*images[b, :, y, x].tolist())
        assert lab[b, :, y, x].tolist() == pytest.approx(expected, abs=2e-3)
        theirs = cv2.cvtColor(images[b].permute(1, 2, 0).numpy().copy(), cv2.COLOR_RGB2LAB)
        assert np.abs(theirs[y, x] - lab[b, :, y, x].numpy()).max() < 0.5  # theirs reads a table


def test_colour_spaces_lead_back() -> None:
    images = torch.cat([colours(2, 3, 8, 8), torch.zeros(1, 3, 8, 8), torch.ones(1, 3, 8, 8)])
    torch.testing.assert_close(lab_to_rgb(rgb_to_lab(images)), images, atol=1e-4, rtol=0)
    torch.testing.assert_close(ycbcr_to_rgb(rgb_to_ycbcr(images)), images, atol=1e-5, rtol=0)
    impossible = torch.tensor([50.0, 200.0, -200.0]).view(1, 3, 1, 1)
    assert 0 <= lab_to_rgb(impossible).min() <= lab_to_rgb(impossible).max() <= 1


def test_grey_has_the_lightness_and_no_chroma() -> None:
    images = colours(2, 3, 8, 8)
    lab = rgb_to_lab(equally_light_grey(images).expand(-1, 3, -1, -1))
    torch.testing.assert_close(lab[:, 0], rgb_to_lab(images)[:, 0], atol=1e-3, rtol=0)
    assert lab[:, 1:].abs().max() < 1e-3
    assert rgb_to_ycbcr(lab_to_rgb(lab))[:, 1:].abs().max() < 1e-4


def test_the_313_bins_of_the_paper() -> None:
    bins = gamut_bins(10.0)
    assert len(bins) == 313
    assert len(bins.unique(dim=0)) == 313
    columns = {a: bins[bins[:, 0] == a, 1] for a in bins[:, 0].unique().tolist()}
    # The first, middle and last columns of the paper's own table.
    ends = {-90: (50, 90), -80: (20, 90), -50: (-30, 100), 0: (-70, 100), 60: (-110, 80)}
    ends |= {90: (-110, 70), 100: (-90, 0)}
    assert len(columns) == 20
    for a, (low, high) in ends.items():
        assert columns[a].tolist() == list(range(low, high + 1, 10))


def test_every_colour_has_a_bin_in_reach() -> None:
    cube = torch.stack(torch.meshgrid(*[torch.linspace(0, 1, 12)] * 3, indexing="ij"))
    ab = rgb_to_lab(cube.reshape(1, 3, -1, 1))[0, 1:, :, 0].T
    for grid in (5.0, 10.0, 20.0):
        assert torch.cdist(ab, gamut_bins(grid)).amin(1).max() <= grid / math.sqrt(2) + 1e-3


def naive_encode(ab: Tensor, bins: Tensor, sigma: float, neighbours: int) -> Tensor:
    """Zhang 2016, section 2.1: Gaussian weights of the nearest bins, as a dense (M, Q)."""
    dense = torch.zeros(len(ab), len(bins))
    for m, colour in enumerate(ab):
        distances = [math.dist(colour.tolist(), centre.tolist()) for centre in bins]
        for q in sorted(range(len(bins)), key=distances.__getitem__)[:neighbours]:
            dense[m, q] = math.exp(-(distances[q] ** 2) / (2 * sigma**2))
        dense[m] /= dense[m].sum()
    return dense


def test_soft_encoding_equals_the_paper() -> None:
    bins = gamut_bins(20.0)
    ab = (colours(9, 2) - 0.5) * 100
    nearest, share = soft_encode(ab, bins, 5.0)
    dense = torch.zeros(9, len(bins)).scatter(1, nearest, share)
    torch.testing.assert_close(dense, naive_encode(ab, bins, 5.0, 5), atol=1e-5, rtol=1e-4)
    assert (share[:, :-1] >= share[:, 1:]).all()


def test_the_loss_equals_the_paper_in_value_and_gradient() -> None:
    bins, weights = gamut_bins(40.0), None
    ab = (colours(6, 2, seed=2) - 0.5) * 100
    weights = colours(len(bins), seed=3) + 0.5
    mine, other = (colours(6, len(bins), seed=4).requires_grad_() for _ in range(2))
    nearest, share = soft_encode(ab, bins, 20.0, neighbours=3)
    loss = rebalanced_cross_entropy(mine, nearest, share, weights)
    truth = naive_encode(ab, bins, 20.0, 3)
    reference = torch.zeros(())
    for m in range(6):  # Eq. 2 and 3.
        says = other[m].exp() / other[m].exp().sum()
        weight = weights[int(truth[m].argmax())]
        for q in range(len(bins)):
            reference = reference - weight * truth[m, q] * says[q].log() / 6
    loss.backward()
    reference.backward()
    torch.testing.assert_close(loss, reference)
    torch.testing.assert_close(mine.grad, other.grad)


def test_weights_equal_the_paper() -> None:
    bins = gamut_bins(20.0)
    counts = torch.zeros(len(bins))
    grey, red = (int((bins - torch.tensor(c)).norm(dim=1).argmin()) for c in ([0.0, 0], [60.0, 40]))
    counts[grey], counts[red] = 900, 100
    weights = class_weights(counts, bins, 5.0, 0.5)
    smooth = torch.zeros(len(bins))
    for q in range(len(bins)):  # Each bin's share, spread over the plane; then eq. 4.
        spread = torch.exp(-(bins - bins[q]).square().sum(1) / (2 * 5.0**2))
        smooth += counts[q] / 1000 * spread / spread.sum()
    expected = 1 / (0.5 * smooth + 0.5 / len(bins))
    torch.testing.assert_close(weights, expected / (smooth * expected).sum())
    assert float((smooth * weights).sum()) == pytest.approx(1)
    assert weights[grey] < weights[red] < weights[0]
    torch.testing.assert_close(class_weights(counts, bins, 5.0, 1.0), torch.ones(len(bins)))


def test_rebalancing_is_what_keeps_rare_colours_from_being_called_grey() -> None:
    """Nothing tells the one red from the nine greys: how sure of grey does the loss want one?"""
    bins = gamut_bins(20.0)
    red = torch.tensor([60.0, 40.0])
    ab = torch.stack([torch.zeros(2)] * 9 + [red])
    nearest, share = soft_encode(ab, bins, 10.0)
    truth = torch.zeros(10, len(bins)).scatter(1, nearest, share)
    counts = torch.bincount(nearest[:, 0], minlength=len(bins)).float()
    chroma = {}
    for guarded in (False, True):
        weights = class_weights(counts, bins, 10.0, 0.5 if guarded else 1.0)
        wanted = (weights[nearest[:, 0], None] * truth).sum(0)
        logits = (wanted / wanted.sum()).clamp_min(1e-9).log()[None].requires_grad_()
        rebalanced_cross_entropy(logits.expand(10, -1), nearest, share, weights).backward()
        assert logits.grad is not None
        assert logits.grad.abs().max() < 1e-6  # Nothing pulls it elsewhere.
        said = annealed_mean(logits.detach()[:, :, None, None], bins, 1.0)
        chroma[guarded] = float(said.norm())
    assert chroma[False] == pytest.approx(0.1 * float(red.norm()), rel=0.1)
    assert chroma[True] > 2 * chroma[False]


def test_annealing_goes_from_the_mean_to_the_mode() -> None:
    bins = gamut_bins(20.0)
    logits = 2 * colours(1, len(bins), 2, 1, seed=5)
    for temperature in (1.0, 0.38):
        said = annealed_mean(logits, bins, temperature)
        for y in range(2):  # Eq. 5.
            z = torch.softmax(logits[0, :, y, 0], 0)
            sharp = (z.log() / temperature).exp()
            expected = (sharp[:, None] / sharp.sum() * bins).sum(0)
            torch.testing.assert_close(said[0, :, y, 0], expected, atol=1e-4, rtol=1e-4)
    mode = bins[logits[0, :, 0, 0].argmax()]
    torch.testing.assert_close(annealed_mean(logits, bins, 1e-4)[0, :, 0, 0], mode)


def test_error_is_the_distance_of_chroma() -> None:
    truth = colours(2, 3, 4, 4)
    lab = rgb_to_lab(truth)
    assert chroma_error(truth, truth).max() < 1e-3
    grey = equally_light_grey(truth).expand(-1, 3, -1, -1)
    expected = lab[:, 1:].square().sum(1).sqrt().mean((1, 2))
    torch.testing.assert_close(chroma_error(grey, truth), expected, atol=1e-3, rtol=0)

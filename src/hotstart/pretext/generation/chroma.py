"""Classes of chroma: which there are, what they weigh, and back to a colour.

Zhang 2016 (arXiv:1603.08511), section 2: chroma (a, b) is classified into bins, rare colours weigh
more, and a distribution over bins becomes a colour.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
import torch
from scipy.spatial import ConvexHull
from torch import Tensor

from hotstart.pretext.colour_spaces import rgb_to_lab

EDGE_SAMPLES = 256


def gamut_bins(grid: float) -> Tensor:
    """Centres (Q, 2) of the bins of (a, b) that colours can fall into, on a grid of `grid` units.

    Section 2.1 has Q = 313 for a grid of 10. Its points turn out to be the corners of all cells
    that touch the convex hull of sRGB in the plane of a and b, and so they are computed here.
    """
    # The most saturated colours lie on the edges of the RGB cube.
    along = np.linspace(0, 1, EDGE_SAMPLES)
    corners = np.stack(np.meshgrid(*[[0.0, 1.0]] * 3), -1).reshape(-1, 3)
    edges = [
        np.insert(np.tile(pair, (EDGE_SAMPLES, 1)), axis, along, 1)
        for axis in range(3)
        for pair in np.unique(np.delete(corners, axis, 1), axis=0)
    ]
    colours = torch.from_numpy(np.concatenate(edges)).T[None, :, :, None]
    ab = rgb_to_lab(colours)[0, 1:, :, 0].T.numpy()
    hull = ab[ConvexHull(ab).vertices]
    touched = _touched_cells(hull / grid)
    points = {(a + i, b + j) for a, b in touched for i in (0, 1) for j in (0, 1)}
    return torch.tensor(sorted(points), dtype=torch.float32) * grid


def _touched_cells(hull: npt.NDArray[np.float64]) -> set[tuple[int, int]]:
    """Lower corners of all unit cells that touch a convex polygon of vertices (M, 2), in order."""
    start, end = hull, np.roll(hull, -1, 0)
    cells = set()
    for column in range(int(np.floor(hull[:, 0].min())), int(np.floor(hull[:, 0].max())) + 1):
        # Where the outline crosses the column's two sides, and its vertices in between.
        inside = hull[(hull[:, 0] >= column) & (hull[:, 0] <= column + 1), 1]
        crossings = [inside]
        for side in (column, column + 1):
            across = (start[:, 0] - side) * (end[:, 0] - side) < 0
            share = (side - start[across, 0]) / (end[across, 0] - start[across, 0])
            crossings.append(start[across, 1] + share * (end[across, 1] - start[across, 1]))
        heights = np.concatenate(crossings)
        rows = range(int(np.floor(heights.min())), int(np.floor(heights.max())) + 1)
        cells |= {(column, row) for row in rows}
    return cells


def soft_encode(
    ab: Tensor, bins: Tensor, sigma: float, neighbours: int = 5
) -> tuple[Tensor, Tensor]:
    """H^-1 of section 2.1: the bins nearest to each colour, and what share of it each gets.

    ab: (M, 2). bins: (Q, 2). sigma: of the Gaussian of the distance, in units of a and b.
    Returns the nearest first, int64 (M, neighbours), and shares that sum to 1, (M, neighbours).
    """
    squared, nearest = torch.cdist(ab, bins).square().topk(neighbours, dim=1, largest=False)
    return nearest, torch.softmax(-squared / (2 * sigma**2), dim=1)


def class_weights(counts: Tensor, bins: Tensor, sigma: float, uniform: float) -> Tensor:
    """Weights w of the bins, larger for rare colours: eq. 4 and its normalisation.

    w is proportional to ((1 - lambda) p~ + lambda / Q)^-1, and sum over bins of p~ w is 1; p~ is
    the empirical distribution, smoothed by a Gaussian of `sigma` over the plane of a and b.

    counts: (Q,), how often each bin was met. uniform: lambda, in 0..1; 1 gives equal weights.
    """
    kernel = torch.exp(-torch.cdist(bins, bins).square() / (2 * sigma**2))
    share = counts.to(kernel) / counts.sum()
    smooth = (kernel / kernel.sum(0)) @ share
    weights = 1 / ((1 - uniform) * smooth + uniform / len(bins))
    normalised: Tensor = weights / (smooth * weights).sum()
    return normalised


def rebalanced_cross_entropy(
    logits: Tensor, nearest: Tensor, share: Tensor, weights: Tensor
) -> Tensor:
    """Cross-entropy of soft-encoded chroma, each pixel weighing as its colour is rare: eq. 2 and 3.

    logits: (M, Q). nearest, share: (M, K), of `soft_encode`. weights: (Q,). Returns the mean over
    pixels (the paper: the sum) of - w(q*) sum_q Z_q log Z^_q, with q* the nearest bin.
    """
    entropy = torch.logsumexp(logits, 1) - (logits.gather(1, nearest) * share).sum(1)
    return (weights[nearest[:, 0]] * entropy).mean()


def annealed_mean(logits: Tensor, bins: Tensor, temperature: float) -> Tensor:
    """From a distribution over bins to a colour: eq. 5, the mean of the sharpened distribution.

    logits: (B, Q, H, W). temperature: 1 = the mean, grey where many colours may be; towards 0 the
    mode. Returns (a, b): (B, 2, H, W).
    """
    return torch.einsum("bqhw,qc->bchw", torch.softmax(logits / temperature, 1), bins)


def chroma_error(pictures: Tensor, truth: Tensor) -> Tensor:
    """Mean distance in the plane of a and b of each picture's pixels to the true ones, (B,).

    pictures, truth: sRGB (B, 3, H, W) in 0..1. In units of CIE L*a*b*: 2.3 is just noticeable,
    pure red lies 105 from grey.
    """
    apart = rgb_to_lab(pictures)[:, 1:] - rgb_to_lab(truth)[:, 1:]
    return apart.square().sum(1).sqrt().mean((1, 2))

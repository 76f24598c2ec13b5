"""What stands out of its background: a written programme that needs no learning.

Zhang 2015, "Minimum Barrier Salient Object Detection at 80 FPS" (ICCV), MB+: a pixel is salient
when every path to the border of the picture climbs, and when its colour is not that of the border.
"""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor

ROUNDS = 3  # The paper's number of passes.
BORDER = 0.1  # Width of the band whose colours are the background's, as a share of the side.
CENTRE_SIGMA = 0.6  # Of the Gaussian that prefers the middle, in units of half the side.
COLOUR_NOISE = 4.0  # Variance added to every colour of a band, or a uniform one would be infinite.
LEVELS = 64


def barrier_saliency(lab: Tensor) -> Tensor:
    """How much each pixel stands out, (B, H, W) in 0..1.

    lab: CIE L*a*b* (B, 3, H, W), at least 5 x 5. The sum of the minimum barrier distance to the
    border and of the contrast of colour to it, times a Gaussian at the centre (section 4).
    Deviations: a 3 x 3 mean in place of morphological smoothing, and no sigmoid, which changes
    nothing that a threshold sees.
    """
    smooth = F.avg_pool2d(F.pad(lab, (1, 1, 1, 1), mode="replicate"), 3, 1)
    barrier = minimum_barrier_distance(smooth.flatten(0, 1)).view_as(smooth).sum(1)
    salient = _stretched(barrier) + _stretched(border_contrast(smooth))
    y, x = (torch.linspace(-1, 1, side, device=lab.device).square() for side in salient.shape[-2:])
    centre = torch.exp(-(y[:, None] + x) / (2 * CENTRE_SIGMA**2))
    return _stretched(salient * centre)


def minimum_barrier_distance(images: Tensor, rounds: int = ROUNDS) -> Tensor:
    """Distance of every pixel to the border of its image, (N, H, W): 0 on the border itself.

    images: (N, H, W), one channel each. The cost of a path is the largest value on it less the
    smallest (eq. 1), the distance that of the cheapest path. Approximated from above as in
    algorithm 1: each pixel asks the neighbour that a sweep comes from for its path; whole rows and
    columns of all images move at once, down, up, right, left, which is one round.
    """
    distance = torch.full_like(images, torch.inf)
    for side in (distance[:, 0], distance[:, -1], distance[:, :, 0], distance[:, :, -1]):
        side.zero_()
    highest, lowest = images.clone(), images.clone()
    maps = distance, highest, lowest
    for _ in range(rounds):
        for axis in (1, 2):
            size = images.shape[axis]
            for here, before in [*_sweep(size), *_sweep(size, back=True)]:
                value = images.select(axis, here)
                high = torch.maximum(highest.select(axis, before), value)
                low = torch.minimum(lowest.select(axis, before), value)
                cost = high - low
                better = cost < distance.select(axis, here)
                for kept, new in zip(maps, (cost, high, low), strict=True):
                    line = kept.select(axis, here)
                    line.copy_(torch.where(better, new, line))
    return distance


def _sweep(size: int, back: bool = False) -> list[tuple[int, int]]:
    """(line, the one before it) from one end to the other."""
    if back:
        return [(i, i + 1) for i in range(size - 2, -1, -1)]
    return [(i, i - 1) for i in range(1, size)]


def border_contrast(lab: Tensor) -> Tensor:
    """How far each pixel's colour is from those of the border, (B, H, W), section 4, eq. 4-5.

    The Mahalanobis distance to the mean colour of each of the four bands along the sides, each
    divided by its maximum; their sum without the largest, for one side may belong to the object.
    """
    height, width = (max(round(BORDER * side), 1) for side in lab.shape[-2:])
    bands = lab[:, :, :height], lab[:, :, -height:], lab[..., :width], lab[..., -width:]
    contrasts = []
    for band in bands:
        colours = band.flatten(2)
        mean = colours.mean(2, keepdim=True)
        centred = colours - mean
        covariance = centred @ centred.transpose(1, 2) / colours.shape[2]
        covariance = covariance + COLOUR_NOISE * torch.eye(3, device=lab.device)
        apart = lab.flatten(2) - mean
        squared = (apart * (torch.linalg.inv(covariance) @ apart)).sum(1)
        contrast = squared.clamp_min(0).sqrt()
        contrasts.append(contrast / contrast.amax(1, keepdim=True).clamp_min(1e-6))
    together = torch.stack(contrasts)
    summed: Tensor = together.sum(0) - together.amax(0)
    return summed.view(len(lab), *lab.shape[-2:])


def _stretched(maps: Tensor) -> Tensor:
    """(B, H, W), each to 0..1; a map of one value to 0."""
    low, high = maps.amin((1, 2), keepdim=True), maps.amax((1, 2), keepdim=True)
    return (maps - low) / (high - low).clamp_min(1e-6)


def otsu_threshold(maps: Tensor) -> Tensor:
    """The threshold that parts the values of each map best into two groups, (B,).

    maps: (B, H, W) in 0..1. Otsu 1979: the largest variance between the groups, over 64 levels;
    what lies above the threshold is foreground.
    """
    levels = (maps.flatten(1) * LEVELS).long().clamp(max=LEVELS - 1)
    counts = torch.zeros(len(maps), LEVELS, device=maps.device)
    counts.scatter_add_(1, levels, torch.ones_like(levels, dtype=counts.dtype))
    share = counts / counts.sum(1, keepdim=True)
    value = torch.arange(LEVELS, device=maps.device) + 0.5
    below = share.cumsum(1)
    mass = (share * value).cumsum(1)
    total = mass[:, -1:]
    between = (total * below - mass).square() / (below * (1 - below)).clamp_min(1e-9)
    return (between[:, :-1].argmax(1) + 1) / LEVELS

"""Decoded pictures made smaller, without aliasing."""

from __future__ import annotations

from functools import lru_cache

import cv2
import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

Array = npt.NDArray[np.uint8]
MAX_ASPECT = 4
AVERAGED = 4
"""Reduced this many times or more, OpenCV's averages are faster than a filter as wide as that."""


def shrink(picture: Array, short_side: int) -> Array:
    """Cut what is longer than four times its width, then reduce to `short_side`.

    Up to `AVERAGED` times the result is within 2 grey levels (mean) of the antialiased resize of
    Pillow and torchvision, from 1.5 times on nearer to it than averages are.
    """
    height, width, _ = picture.shape
    short = min(height, width)
    if max(height, width) > MAX_ASPECT * short:
        picture = cut_middle(picture)
        height, width, _ = picture.shape
    if short <= short_side:
        return picture
    scale = short_side / short
    target = (max(short_side, round(width * scale)), max(short_side, round(height * scale)))
    if scale <= 1 / AVERAGED:
        return _resized(picture, target, cv2.INTER_AREA)
    across, down = _kernels(width / target[0], height / target[1])
    smooth = cv2.sepFilter2D(picture, -1, across, down, borderType=cv2.BORDER_REPLICATE)
    return _resized(smooth, target, cv2.INTER_LINEAR)


def cut_middle(picture: Array) -> Array:
    """The middle of a picture (H, W, ...) that is longer than four times its width."""
    height, width = picture.shape[:2]
    longest = MAX_ASPECT * min(height, width)
    top, left = max(0, height - longest) // 2, max(0, width - longest) // 2
    return picture[top : top + longest, left : left + longest]


@lru_cache(maxsize=1024)
def _kernels(across: float, down: float) -> tuple[npt.NDArray[np.float32], ...]:
    """`shrink_kernels` for the two directions of a picture, (taps,) each."""
    weights, radii = shrink_kernels(torch.tensor([across, down]))
    middle = weights.shape[1] // 2
    return tuple(
        row[middle - radius : middle + radius + 1].numpy()
        for row, radius in zip(weights, radii.tolist(), strict=True)
    )


def _resized(picture: cv2.typing.MatLike, target: tuple[int, int], how: int) -> Array:
    return cv2.resize(picture, target, interpolation=how)  # type: ignore[return-value]


def shrink_kernels(factors: Tensor) -> tuple[Tensor, Tensor]:
    """The filters that go before bilinear sampling when crops shrink by `factors` (B,).

    With it, sampling has the variance of the antialiased bilinear resize of Pillow and torchvision
    (a triangle as wide as the shrink factor: factor^2 / 6, of which bilinear sampling brings 1/6),
    and equals it at whole factors: a mixture of the triangles of the whole widths below and above.
    Returns weights float32 (B, 2 R + 1), each row with sum 1, centred, zero beyond its own radius,
    and those radii int64 (B,); radius 0 (no filter) where a crop does not shrink.
    """
    factors = factors.clamp(min=1)[:, None]
    radii = factors.ceil().long()[:, 0] - 1
    radius = int(radii.max()) if len(radii) else 0
    offsets = torch.arange(-radius, radius + 1, device=factors.device).abs()
    below = factors.floor()
    share = (factors**2 - below**2) / (2 * below + 1)
    narrow = (below - offsets).clamp(min=0) / below**2
    wide = (below + 1 - offsets).clamp(min=0) / (below + 1) ** 2
    return (1 - share) * narrow + share * wide, radii

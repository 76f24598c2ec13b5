"""The engine for any device: torch, over the packed batch, without a loop over pictures."""

from __future__ import annotations

import torch
from torch import Tensor

from hotstart.augment.colour import colour_maps
from hotstart.augment.filters import blur_kernels
from hotstart.augment.settings import ViewParameters
from hotstart.data.sample import Pictures
from hotstart.data.shrink import shrink_kernels

# Rows are worked on in chunks of about this many output values, which bounds the memory.
CHUNK_VALUES = 2**23


def apply(pictures: Pictures, parameters: ViewParameters, size: int) -> Tensor:
    """Make the views; see `hotstart.augment.views.apply_view`."""
    rows = max(1, CHUNK_VALUES // (size * size * 3))
    views = torch.empty(len(parameters), size, size, 3, device=pictures.device)
    for start in range(0, len(parameters), rows):
        chunk = torch.arange(start, min(start + rows, len(parameters)))
        views[start : start + rows] = _apply(
            pictures.select(chunk), parameters.select(chunk.to(parameters.box.device)), size
        )
    return views.permute(0, 3, 1, 2)


def _apply(pictures: Pictures, parameters: ViewParameters, size: int) -> Tensor:
    device = pictures.device
    views = _resample(pictures, parameters, size)
    parameters = parameters.to(device)
    matrix, shift, changed = colour_maps(parameters)
    added = (shift * views.mean((1, 2))).sum(1)
    coloured = torch.einsum("bhwi,bci->bhwc", views, matrix) + added[:, None, None, None]
    views = torch.where(changed[:, None, None, None], coloured.clamp(0, 1), views)
    views = _blur(views, parameters.blur_sigma)
    solarised = torch.minimum(views, 1 - views)
    views = torch.where(parameters.solarise[:, None, None, None], solarised, views)
    pixel = torch.arange(size, device=device)
    x, y, width, height = parameters.cutout[:, :, None].unbind(1)
    across = (pixel >= x) & (pixel < x + width)
    down = (pixel >= y) & (pixel < y + height)
    hidden = down[:, :, None, None] & across[:, None, :, None]
    return views.masked_fill(hidden, 0.5)


def _resample(pictures: Pictures, parameters: ViewParameters, size: int) -> Tensor:
    """Crop, resize, flip: float32 (B, size, size, 3) in 0..1."""
    device = pictures.device
    x, y, width, height = parameters.box.cpu().unbind(1)
    columns, across = _taps(width, size)
    lines, down = _taps(height, size)
    columns = torch.where(parameters.flip.cpu()[:, None, None], columns.flip(1), columns)
    across = torch.where(parameters.flip.cpu()[:, None, None], across.flip(1), across)
    columns, lines = (columns + x[:, None, None]).to(device), (lines + y[:, None, None]).to(device)
    across, down = across.to(device), down.to(device)
    channel = torch.arange(3, device=device)
    start = pictures.offsets[:, None, None]
    stride = pictures.widths[:, None, None]
    views = torch.zeros(len(pictures), size, size, 3, device=device)
    for i in range(lines.shape[2]):
        for j in range(columns.shape[2]):
            pixel = start + 3 * (lines[:, :, None, i] * stride + columns[:, None, :, j])
            weight = down[:, :, None, i] * across[:, None, :, j]
            views += pictures.pixels[pixel[..., None] + channel] * weight[..., None]
    return views / 255


def _taps(extent: Tensor, size: int) -> tuple[Tensor, Tensor]:
    """Which source pixels make each of `size` output pixels, along one axis.

    extent: int64 (B,), pixels of the crop along the axis. Returns positions int64 and weights
    float32, both (B, size, taps): bilinear sampling of the crop smoothed by `shrink_kernels`, edge
    pixels repeated.
    """
    smoothing, _ = shrink_kernels(extent / size)
    radius = smoothing.shape[1] // 2
    last = (extent - 1)[:, None]
    centre = (torch.arange(size) + 0.5) * (extent / size)[:, None] - 0.5
    # OpenCV and torch both clamp the sampling point to the crop's outer pixel centres.
    centre = torch.minimum(centre.clamp(min=0), last.float())
    left = centre.floor()
    part = (centre - left)[:, :, None]
    smoothing = smoothing[:, None, :]
    nothing = torch.zeros(len(extent), size, 1)
    weights = torch.cat([(1 - part) * smoothing, nothing], 2)
    weights += torch.cat([nothing, part * smoothing], 2)
    positions = left.long()[:, :, None] + torch.arange(-radius, radius + 2)
    return torch.minimum(positions.clamp(min=0), last[:, :, None]), weights


def _blur(views: Tensor, sigmas: Tensor) -> Tensor:
    """Gaussian blur of (B, S, S, 3), reflected at the edges."""
    weights, _ = blur_kernels(sigmas, views.shape[1])
    for axis in (1, 2):
        views = _convolve(views, weights, axis)
    return views.clamp(max=1)  # rounding may exceed 1


def _convolve(views: Tensor, weights: Tensor, axis: int) -> Tensor:
    size, radius = views.shape[axis], weights.shape[1] // 2
    index = torch.arange(-radius, size + radius, device=views.device).abs()
    index = torch.where(index >= size, 2 * (size - 1) - index, index)
    padded = views.index_select(axis, index)
    result = torch.zeros_like(views)
    for tap in range(2 * radius + 1):
        result += weights[:, tap, None, None, None] * padded.narrow(axis, tap, size)
    return result

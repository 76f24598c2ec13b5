"""Boxes follow their picture into a view of it."""

from __future__ import annotations

import torch
from torch import Tensor

from hotstart.augment.settings import ViewParameters
from hotstart.data.sample import Pictures


def boxes_in_view(
    boxes: Tensor, owners: Tensor, pictures: Pictures, parameters: ViewParameters
) -> tuple[Tensor, Tensor]:
    """Where boxes lie in the views that `parameters` make of their pictures.

    boxes: (M, 4): x0, y0, x1, y1 in shares of the picture's width and height
    owners: int64 (M,), the row of each box's picture

    Returns (M, 4) in shares of the view, cut at its edges, and (M,), how much of each box's area
    is seen there: 0 where nothing is, and the box is empty.
    """
    device = boxes.device
    sides = torch.stack([pictures.widths, pictures.heights], 1).to(device)[owners]
    box = parameters.box.to(device)[owners]
    corner, extent = box[:, :2], box[:, 2:]
    ends = boxes.view(-1, 2, 2)
    moved = (ends * sides[:, None] - corner[:, None]) / extent[:, None]
    cut = moved.clamp(0, 1)
    whole, seen = ((part[:, 1] - part[:, 0]).prod(1) for part in (moved, cut))
    flip = parameters.flip.to(device)[owners]
    mirrored = torch.stack(
        [
            torch.stack([1 - cut[:, 1, 0], cut[:, 0, 1]], 1),
            torch.stack([1 - cut[:, 0, 0], cut[:, 1, 1]], 1),
        ],
        1,
    )
    cut = torch.where(flip[:, None, None], mirrored, cut)
    return cut.reshape(-1, 4), seen / whole.clamp_min(1e-12)


def whole_box(pictures: Pictures) -> Tensor:
    """Each picture as it is: int64 (B, 4), x, y, width, height, on the CPU."""
    widths, heights = pictures.widths.cpu(), pictures.heights.cpu()
    zero = torch.zeros_like(widths)
    return torch.stack([zero, zero, widths, heights], 1)

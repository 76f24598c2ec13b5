"""Optical flow under the crop and the mirror of a view, and its picture."""

from __future__ import annotations

import math

import torch
from torch import Tensor

from hotstart.augment.settings import ViewParameters
from hotstart.data.sample import Flows, Pictures

# Baker 2011 ("A Database and Evaluation Methodology for Optical Flow", IJCV 92:1), the code that
# comes with it: how many hues lie between red, yellow, green, cyan, blue, magenta, red.
HUES = (15, 6, 4, 11, 13, 6)
CORNERS = ((1, 0, 0), (1, 1, 0), (0, 1, 0), (0, 1, 1), (0, 0, 1), (1, 0, 1), (1, 0, 0))


def apply_flow(
    flows: Flows, pictures: Pictures, parameters: ViewParameters, size: int
) -> tuple[Tensor, Tensor]:
    """The flow that belongs to the views of `apply_view`, of which only crop and mirror move it.

    pictures: the frames that the fields belong to, one for each stack
    Returns float32 (B, T, 2, size, size), x and y in shares of the view's side, and bool
    (B, T, size, size), where it is known; bilinear between places, on the device of the flows.
    """
    device, fields = flows.device, flows.fields
    box = parameters.box.to(device, torch.float32)
    height, width = pictures.heights.to(device), pictures.widths.to(device)
    flip = parameters.flip.to(device)
    along = (torch.arange(size, device=device) + 0.5) / size
    across = torch.where(flip[:, None], 1 - along, along)
    x = (box[:, :1] + across * box[:, 2:3]) / width[:, None]
    y = (box[:, 1:2] + along * box[:, 3:]) / height[:, None]
    x, y = (share.repeat_interleave(fields, 0) for share in (x, y))
    vectors = torch.zeros(len(x), size, size, 2, device=device)
    known = torch.zeros(len(x), size, size, device=device)
    for line, down in _neighbours(y, flows.heights):
        for column, right in _neighbours(x, flows.widths):
            row = line * flows.widths[:, None] + flows.offsets[:, None]
            place = row[:, :, None] + column[:, None, :]
            weight = down[:, :, None] * right[:, None, :]
            vectors += weight[..., None] * flows.vectors[place]
            known += weight * flows.known[place]
    # From shares of the frame's shorter side to shares of the crop's sides.
    scale = torch.minimum(height, width)[:, None] / box[:, 2:]
    scale[:, 0] *= 1 - 2 * flip.to(scale)
    vectors *= scale.repeat_interleave(fields, 0)[:, None, None]
    shape = (len(flows), fields)
    moved = vectors.permute(0, 3, 1, 2).unflatten(0, shape).contiguous()
    return moved, (known > 0.5).unflatten(0, shape)


def _neighbours(share: Tensor, extent: Tensor) -> list[tuple[Tensor, Tensor]]:
    """The two places about each point, and their weights: (B T, size) each.

    share: (B T, size), of the side. extent: int64 (B T,), places along it.
    """
    last = (extent - 1)[:, None]
    point = torch.minimum((share * extent[:, None] - 0.5).clamp(min=0), last.to(share))
    left = point.floor().long()
    part = point - left
    return [(left, 1 - part), (torch.minimum(left + 1, last), part)]


def flow_colours(vectors: Tensor, largest: Tensor | float) -> Tensor:
    """Flow as pictures by the colour wheel of Baker 2011: hue is direction, white stands still.

    vectors: (..., 2, H, W), x and y. largest: (...,) or a number, > 0: the length that has full
    colour; what is longer is darker. Returns (..., 3, H, W) in 0..1.
    Deviation: the last hue is as far from the first as from the one before it.
    """
    wheel = _wheel().to(vectors)
    largest = torch.as_tensor(largest).to(vectors)[..., None, None]
    x, y = vectors.unbind(-3)
    length = torch.hypot(x, y) / largest
    turn = (torch.atan2(-y, -x) / math.pi + 1) / 2 * len(wheel)
    low = turn.floor()
    part = (turn - low)[..., None]
    left, right = (wheel[(low.long() + k) % len(wheel)] for k in (0, 1))
    hue = (1 - part) * left + part * right
    length = length[..., None]
    colour = torch.where(length <= 1, 1 - length * (1 - hue), hue * 0.75)
    return colour.movedim(-1, -3)


def colour_wheel(size: int) -> Tensor:
    """The key to `flow_colours`: a disc whose every place shows the flow away from its middle.

    Returns (3, size, size) in 0..1, grey about the disc.
    """
    along = (torch.arange(size) + 0.5) / size * 2 - 1
    outward = torch.stack(torch.broadcast_tensors(along[None, :], along[:, None]))
    inside = torch.hypot(*outward) <= 1
    return torch.where(inside, flow_colours(outward, 1.0), torch.tensor(0.5))


def _wheel() -> Tensor:
    """(55, 3): the hues of the wheel, red first."""
    hues = []
    for count, start, end in zip(HUES, CORNERS, CORNERS[1:], strict=False):
        share = torch.arange(count)[:, None] / count
        hues.append((1 - share) * torch.tensor(start) + share * torch.tensor(end))
    return torch.cat(hues)

"""Plane transforms as 3 x 3 matrices, and pictures seen through them."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor

CORNERS = ((-1.0, -1.0), (1.0, -1.0), (1.0, 1.0), (-1.0, 1.0))
"""Of a picture, in units of half its side."""


def corners(rows: int) -> Tensor:
    """The corners of `rows` pictures, (rows, 4, 2), in units of half a side, x before y."""
    return torch.tensor(CORNERS).expand(rows, 4, 2)


def similarity(turn: Tensor, scale: Tensor, shift: Tensor) -> Tensor:
    """(B, 3, 3): turned by `turn` radians (B,), scaled by (B,), then shifted by (B, 2)."""
    cosine, sine = scale * torch.cos(turn), scale * torch.sin(turn)
    zero, one = torch.zeros_like(turn), torch.ones_like(turn)
    entries = [cosine, -sine, shift[:, 0], sine, cosine, shift[:, 1], zero, zero, one]
    return torch.stack(entries, 1).view(-1, 3, 3)


def shear(amount: Tensor) -> Tensor:
    """(B, 3, 3): x grows by `amount` (B,) times y."""
    matrices = torch.eye(3).repeat(len(amount), 1, 1)
    matrices[:, 0, 1] = amount
    return matrices


def homography(starts: Tensor, ends: Tensor) -> Tensor:
    """The matrices (B, 3, 3), m33 = 1, that map four points (B, 4, 2) to four others.

    Two linear equations a point (Hartley & Zisserman 2004, section 4.1); no three of the points may
    lie on a line.
    """
    x, y = starts.double().unbind(2)
    u, v = ends.double().unbind(2)
    zero, one = torch.zeros_like(x), torch.ones_like(x)
    of_u = torch.stack([x, y, one, zero, zero, zero, -u * x, -u * y], 2)
    of_v = torch.stack([zero, zero, zero, x, y, one, -v * x, -v * y], 2)
    entries = torch.linalg.solve(torch.cat([of_u, of_v], 1), torch.cat([u, v], 1))
    return torch.cat([entries, one[:, :1]], 1).view(-1, 3, 3).to(starts)


def moved(matrices: Tensor, points: Tensor) -> Tensor:
    """Points (B, N, 2) mapped by matrices (B, 3, 3)."""
    flat = torch.cat([points, torch.ones_like(points[..., :1])], 2) @ matrices.transpose(1, 2)
    return flat[..., :2] / flat[..., 2:]


def seen_through(pictures: Tensor, matrices: Tensor, size: int, *, border: str) -> Tensor:
    """(B, 3, G, G) -> (B, 3, size, size): what the middle `size` pixels show once moved.

    matrices: (B, 3, 3), map places in the picture that comes out to places in the middle of the one
    that goes in; both in units of half of `size`. border: grid_sample's padding where the
    transform leaves the picture.
    """
    reach = size / pictures.shape[-1]
    whole = torch.eye(2, 3, device=pictures.device)[None]
    places = F.affine_grid(whole, [1, 1, size, size], align_corners=False).view(1, -1, 2)
    grid = moved(matrices, places.expand(len(matrices), -1, -1)) * reach
    seen = F.grid_sample(
        pictures,
        grid.view(-1, size, size, 2),
        padding_mode=border,
        align_corners=False,
    )
    # Bilinear weights add up to 1 but for rounding.
    return seen.clamp(0, 1)

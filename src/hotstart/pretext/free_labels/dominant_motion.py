"""What moves otherwise than most of the picture: the residual of one motion for all of it."""

from __future__ import annotations

import torch
from torch import Tensor

from hotstart.augment import apply_flow
from hotstart.augment.settings import plain
from hotstart.data.sample import Batch

ROUNDS = 10
NOISE = 1e-4
"""Of flow, in shares of the side: what is smaller is no motion."""
OUTLIER = 2.0
"""Deviations at which a place counts for a quarter."""
NORMAL = 1.4826
"""A normal deviation over the median of its absolute values."""


def whole_flow(batch: Batch, side: int) -> tuple[Tensor, Tensor]:
    """Flow of whole frames squeezed to squares: (B, 2, W, W) in shares of the sides; bool known."""
    pictures = batch["image"]
    widths, heights = pictures.widths.cpu(), pictures.heights.cpu()
    none = torch.zeros_like(widths)
    whole = plain(torch.stack([none, none, widths, heights], 1))
    vectors, known = apply_flow(batch["flow"], pictures, whole, side)
    return vectors[:, 0], known[:, 0]


def dominant_motion(vectors: Tensor, known: Tensor) -> Tensor:
    """The affine motion that most of each picture follows: (B, 2, W, W), like `vectors`.

    vectors: (B, 2, W, W); known: bool (B, W, W). Robust regression (Odobez & Bouthemy 1995, "Robust
    multiresolution estimation of parametric motion models"): least squares, in rounds, each place
    weighted by how well it followed in the last one (Geman-McClure's function, its scale the median
    of the residuals). Places without known flow have no say.
    """
    side = vectors.shape[-1]
    along = (torch.arange(side, device=vectors.device) + 0.5) / side - 0.5
    y, x = torch.meshgrid(along, along, indexing="ij")
    places = torch.stack([torch.ones_like(x), x, y], -1).view(-1, 3).double()
    moved = vectors.flatten(2).mT.double()
    sure = known.flatten(1).double()
    weight, fitted = sure, torch.zeros_like(moved)
    ridge = 1e-6 * torch.eye(3, dtype=torch.float64, device=vectors.device)
    for _ in range(ROUNDS):
        square = torch.einsum("bp,pi,pj->bij", weight, places, places) + ridge
        fitted = places @ torch.linalg.solve(
            square, torch.einsum("bp,pi,bpj->bij", weight, places, moved)
        )
        error = (moved - fitted).norm(dim=2)
        scale = (NORMAL * median_of(error, known.flatten(1))).clamp_min(NOISE)
        weight = sure / (1 + (error / (OUTLIER * scale[:, None])) ** 2) ** 2
    return fitted.mT.reshape(vectors.shape).to(vectors)


def median_of(values: Tensor, known: Tensor) -> Tensor:
    """Of the known values (B, P) of each row, 0 where there are none: (B,)."""
    return values.masked_fill(~known, torch.nan).nanmedian(1).values.nan_to_num(0.0)

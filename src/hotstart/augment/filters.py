"""Kernels of Gaussian blur, which both engines share."""

from __future__ import annotations

import torch
from torch import Tensor


def blur_kernels(sigmas: Tensor, size: int) -> tuple[Tensor, Tensor]:
    """Gaussian kernels for views of `size` px, in the form that `shrink_kernels` has.

    Weights are (B, 2 R + 1) and radii (B,). R is SimCLR's, a kernel of a tenth of the picture
    (arXiv:2002.05709, appendix A), at least 1; each row ends at 4 sigma, beyond which lies less
    than 0.01 % of the whole. Radius 0 (no blur) where sigma is 0.
    """
    radius = min(max(1, size // 10 // 2), size - 1)
    offsets = torch.arange(-radius, radius + 1, device=sigmas.device).abs()
    radii = (4 * sigmas).ceil().long().clamp(max=radius)
    weights = torch.exp(-0.5 * (offsets / sigmas.clamp(min=1e-3)[:, None]) ** 2)
    weights = weights * (offsets <= radii[:, None])
    return weights / weights.sum(1, keepdim=True), radii

"""Kernels that both engines share: the filter against aliasing, and Gaussian blur."""

from __future__ import annotations

import torch
from torch import Tensor


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


def blur_kernels(sigmas: Tensor, size: int) -> tuple[Tensor, Tensor]:
    """Gaussian kernels for views of `size` px: weights (B, 2 R + 1) and radii (B,), as above.

    R is SimCLR's, a kernel of a tenth of the picture (arXiv:2002.05709, appendix A), at least 1;
    each row ends at 4 sigma, beyond which lies less than 0.01 % of the whole. Radius 0 (no blur)
    where sigma is 0.
    """
    radius = min(max(1, size // 10 // 2), size - 1)
    offsets = torch.arange(-radius, radius + 1, device=sigmas.device).abs()
    radii = (4 * sigmas).ceil().long().clamp(max=radius)
    weights = torch.exp(-0.5 * (offsets / sigmas.clamp(min=1e-3)[:, None]) ** 2)
    weights = weights * (offsets <= radii[:, None])
    return weights / weights.sum(1, keepdim=True), radii

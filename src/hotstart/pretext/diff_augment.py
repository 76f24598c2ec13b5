"""DiffAugment: what a discriminator sees is augmented, the real and the made, with gradient."""

from __future__ import annotations

from collections.abc import Collection
from typing import Literal

import torch
import torch.nn.functional as F
from torch import Tensor

from hotstart.data.draws import Draws

NUMBERS = 7
"""Draws that one picture takes."""
SHIFT, CUTOUT = 1 / 8, 1 / 2
Operation = Literal["colour", "translation", "cutout"]
POLICY: tuple[Operation, ...] = ("colour", "translation", "cutout")


def draw_augment(rng: Draws) -> Tensor:
    """Float32 (B, 7), uniform in 0..1: what `diff_augment` does to each picture."""
    return rng.uniform(0, 1, NUMBERS)


def diff_augment(pictures: Tensor, draws: Tensor, policy: Collection[Operation] = POLICY) -> Tensor:
    """Colour, translation and cutout of Zhao 2020 (arXiv:2006.10738), in their code's ranges.

    pictures: (B, 3, S, S) in 0..1. draws: (B, 7) in 0..1, of `draw_augment`. policy: which of the
    three are done.

    Brightness moves by up to a quarter of the range, saturation is multiplied by 0..2, contrast by
    0.5..1.5; then the picture is shifted by up to an eighth of its side and a square of half its
    side is blanked. Every operation is differentiable in the pictures, so a generator learns
    through it, and since real pictures are treated alike it does not learn to make holes. What is
    shifted in or blanked is mid-grey, as 0 is in the paper's range of -1..1. Values may leave 0..1.
    """
    side = pictures.shape[-1]
    pictures = pictures - 0.5
    if "colour" in policy:
        pictures = _recolour(pictures, draws[:, :3])
    if "translation" in policy:
        pictures = _shift(pictures, draws[:, 3:5], side)
    if "cutout" in policy:
        pictures = _cut(pictures, draws[:, 5:], side)
    return pictures + 0.5


def _recolour(pictures: Tensor, draws: Tensor) -> Tensor:
    """Brightness, saturation and contrast, in this order."""
    draw = draws.to(pictures)[..., None, None, None].unbind(1)
    pictures = pictures + (draw[0] - 0.5) * 0.5
    mean = pictures.mean(1, keepdim=True)
    pictures = (pictures - mean) * (2 * draw[1]) + mean
    mean = pictures.mean((1, 2, 3), keepdim=True)
    return (pictures - mean) * (0.5 + draw[2]) + mean


def _shift(pictures: Tensor, draws: Tensor, side: int) -> Tensor:
    """Each picture moved by -most .. most whole pixels, zeros behind it."""
    most = round(SHIFT * side)
    start = (draws * (2 * most + 1)).long().clamp(max=2 * most).to(pictures.device)
    place = torch.arange(side, device=pictures.device)
    columns, rows = (start[:, i, None] + place for i in (0, 1))
    padded = F.pad(pictures, (most, most, most, most)).permute(0, 2, 3, 1)
    picture = torch.arange(len(pictures), device=pictures.device)
    moved = padded[picture[:, None, None], rows[:, :, None], columns[:, None, :]]
    return moved.permute(0, 3, 1, 2)


def _cut(pictures: Tensor, draws: Tensor, side: int) -> Tensor:
    """Each picture with a square set to 0 whose middle is anywhere, also at the border."""
    wide = round(CUTOUT * side)
    first = (draws * (side + 1)).long().to(pictures.device) - wide // 2
    place = torch.arange(side, device=pictures.device)
    inside = (place >= first[..., None]) & (place < first[..., None] + wide)
    hole = inside[:, 1, None, :, None] & inside[:, 0, None, None, :]
    return pictures.masked_fill(hole, 0.0)

"""Colour jitter as one affine map per view.

Brightness, contrast, saturation, hue and grey are each a linear map of (R, G, B), contrast with a
shift towards the view's mean. Hotstart multiplies them into one matrix and one shift.
Deviations from torchvision's ColorJitter:

- No clamping to 0..1 between the operations, only once at the end.
- Hue is a rotation about the grey axis of RGB. It equals torchvision's shift in HSV at thirds of a
  turn and keeps R + G + B where HSV keeps the maximum. (A rotation in YIQ, the usual linear
  choice, keeps luma but lies further from HSV: mean difference over real pictures 7.6 grey levels
  at a tenth of a turn, against 4.3.)
- The order of contrast, saturation and hue is drawn for each view; brightness is a factor, which
  commutes with all of them, so that its place has no effect.
"""

from __future__ import annotations

import math

import torch
from torch import Tensor

from hotstart.augment.settings import ViewParameters

LUMA = (0.299, 0.587, 0.114)


def colour_maps(parameters: ViewParameters) -> tuple[Tensor, Tensor, Tensor]:
    """The affine map of each view: x -> matrix @ x + (shift . mean of x over the view).

    Returns matrix float32 (B, 3, 3); shift float32 (B, 3), whose product with the mean colour is
    added to all three channels; changed bool (B,), False where the map is the identity.
    """
    p = parameters
    device = p.hue.device
    luma = torch.tensor(LUMA, device=device)
    to_grey = luma.expand(3, 3)
    eye = torch.eye(3, device=device)
    factor = p.saturation[:, None, None]
    saturate = factor * eye + (1 - factor) * to_grey
    rotate = hue_rotation(p.hue)
    contrast_at, saturation_at, hue_at = p.order.unbind(1)
    saturation_first = (saturation_at < hue_at)[:, None, None]
    matrix = torch.where(saturation_first, rotate @ saturate, saturate @ rotate)
    # Contrast sees the luma of what came before it. Saturation keeps luma, so only hue matters,
    # with the saturation that preceded that.
    before = torch.where(saturation_first, rotate @ saturate, rotate)
    before = torch.where((hue_at < contrast_at)[:, None, None], before, eye)
    matrix = torch.where(p.grey[:, None, None], to_grey @ matrix, matrix)
    gain = p.brightness * p.contrast
    shift = (p.brightness * (1 - p.contrast))[:, None] * (luma @ before)
    neutral = (p.saturation == 1) & (p.hue == 0) & ~p.grey
    changed = ~(neutral & (p.brightness == 1) & (p.contrast == 1))
    return gain[:, None, None] * matrix, shift, changed


def hue_rotation(hue: Tensor) -> Tensor:
    """Rotations of RGB about the grey axis by `hue` turns, red towards green: (B,) -> (B, 3, 3)."""
    angle = (2 * math.pi * hue)[:, None, None]
    third = torch.full((3, 3), 1 / 3, device=hue.device)
    eye = torch.eye(3, device=hue.device)
    cross = torch.tensor([[0.0, -1, 1], [1, 0, -1], [-1, 1, 0]], device=hue.device) / math.sqrt(3)
    return third + angle.cos() * (eye - third) + angle.sin() * cross

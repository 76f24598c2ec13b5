"""Colour spaces in which brightness and colour are apart, as tensors: CIE L*a*b* and YCbCr."""

from __future__ import annotations

import torch
from torch import Tensor

# sRGB (IEC 61966-2-1); the sum of each row is its white, D65.
TO_XYZ = (
    (0.412453, 0.357580, 0.180423),
    (0.212671, 0.715160, 0.072169),
    (0.019334, 0.119193, 0.950227),
)
# Between a cube root and a line near black, CIE 1976.
KNEE = 6 / 29
# JPEG's YCbCr (ITU-R BT.601), Cb and Cr around 0.
TO_YCBCR = (
    (0.299, 0.587, 0.114),
    (-0.168736, -0.331264, 0.5),
    (0.5, -0.418688, -0.081312),
)


def rgb_to_lab(images: Tensor) -> Tensor:
    """SRGB (B, 3, H, W) in 0..1 -> CIE L*a*b*: L in 0..100, a and b within -108..99."""
    matrix = images.new_tensor(TO_XYZ)
    xyz = _mix(matrix / matrix.sum(1, keepdim=True), _linear(images))
    f = torch.where(xyz > KNEE**3, xyz.clamp_min(KNEE**3) ** (1 / 3), xyz / (3 * KNEE**2) + 4 / 29)
    x, y, z = f.unbind(1)
    return torch.stack([116 * y - 16, 500 * (x - y), 200 * (y - z)], 1)


def lab_to_rgb(lab: Tensor) -> Tensor:
    """The inverse; colours that sRGB does not have are clipped to 0..1, channel by channel."""
    lightness, a, b = lab.unbind(1)
    y = (lightness + 16) / 116
    f = torch.stack([y + a / 500, y, y - b / 200], 1)
    xyz = torch.where(f > KNEE, f**3, 3 * KNEE**2 * (f - 4 / 29))
    matrix = lab.new_tensor(TO_XYZ)
    to_rgb = torch.linalg.inv(matrix / matrix.sum(1, keepdim=True))
    return _gamma(_mix(to_rgb, xyz).clamp(0, 1))


def equally_light_grey(images: Tensor) -> Tensor:
    """SRGB (B, 3, H, W) in 0..1 -> the grey (B, 1, H, W) of the same L."""
    return _gamma(_mix(images.new_tensor(TO_XYZ)[1:2], _linear(images)).clamp(0, 1))


def _linear(images: Tensor) -> Tensor:
    return torch.where(images > 0.04045, ((images + 0.055) / 1.055) ** 2.4, images / 12.92)


def _gamma(linear: Tensor) -> Tensor:
    bright = 1.055 * linear.clamp_min(0.0031308) ** (1 / 2.4) - 0.055
    return torch.where(linear > 0.0031308, bright, 12.92 * linear)


def rgb_to_ycbcr(images: Tensor) -> Tensor:
    """(B, 3, H, W) in 0..1 -> Y in 0..1, Cb and Cr in -0.5..0.5."""
    return _mix(images.new_tensor(TO_YCBCR), images)


def ycbcr_to_rgb(images: Tensor) -> Tensor:
    """The inverse, clipped to 0..1."""
    return _mix(torch.linalg.inv(images.new_tensor(TO_YCBCR)), images).clamp(0, 1)


def _mix(matrix: Tensor, images: Tensor) -> Tensor:
    return torch.einsum("oc,bchw->bohw", matrix, images)

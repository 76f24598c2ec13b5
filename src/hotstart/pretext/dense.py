"""Heads that answer for every pixel from a map of constant resolution."""

from __future__ import annotations

import math

import torch.nn.functional as F
from torch import Tensor, nn

from hotstart.encoders import ConvDecoder, Encoder


class DenseHead(nn.Module):
    """The encoder's last map, read at a finer stride -> channels (B, C, h, w) at a finer one still.

    A network that names a picture may shrink its maps; one that answers for pixels must keep them.
    So the encoder's weights are read at output stride `stride`, dilated where it would halve the
    resolution further (Yu & Koltun 2016, arXiv:1511.07122), and transposed convolutions double it
    up to `output_stride`. A ViT's patch tokens are such a map as they are: its stride is its patch.
    """

    def __init__(
        self, encoder: Encoder, channels: int, *, stride: int, output_stride: int, width: int
    ) -> None:
        super().__init__()
        last = encoder.stage_strides[-1]
        self.stride = last if encoder.kind == "vit" else min(stride, last)
        doublings = max(math.ceil(math.log2(self.stride / output_stride)), 0)
        layers: list[nn.Module] = []
        dim = encoder.dim
        if doublings:
            layers.append(ConvDecoder(dim, channels=width, doublings=doublings, width=width))
        else:
            layers.append(nn.Conv2d(dim, width, 3, padding=1))
        layers += [nn.BatchNorm2d(width), nn.ReLU(inplace=True), nn.Conv2d(width, channels, 1)]
        self.layers = nn.Sequential(*layers)

    def forward(self, encoder: Encoder, images: Tensor) -> Tensor:
        """Images (B, 3, H, W) in 0..1 -> (B, channels, h, w)."""
        said: Tensor = self.layers(encoder.feature_map(images, self.stride))
        return said


def resized(maps: Tensor, size: int) -> Tensor:
    """Maps (B, C, h, w) -> (B, C, size, size), bilinear; as they are where they fit."""
    if maps.shape[-2:] == (size, size):
        return maps
    return F.interpolate(maps, size=(size, size), mode="bilinear", align_corners=False)

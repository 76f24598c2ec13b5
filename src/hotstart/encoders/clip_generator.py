"""Clips from noise: what moves in front of what rests."""

from __future__ import annotations

import math
from typing import NamedTuple

from torch import Tensor, nn

from hotstart.encoders.heads import ConvGenerator


class Streams(NamedTuple):
    """What a clip is made of; all in 0..1."""

    foreground: Tensor
    """(B, 3, T, S, S)."""
    mask: Tensor
    """(B, 1, T, S, S): 1 where the foreground is seen."""
    background: Tensor
    """(B, 3, 1, S, S), the same in every frame."""

    @property
    def clip(self) -> Tensor:
        """The foreground where the mask is, the background elsewhere, (B, 3, T, S, S)."""
        return self.mask * self.foreground + (1 - self.mask) * self.background


class ClipGenerator(nn.Module):
    """Noise (B, noise) -> clips (B, 3, frames, side, side) in 0..1.

    Vondrick 2016 (arXiv:1609.02612), section 2.2, the two-stream architecture: a stream of
    transposed convolutions in space and time makes a foreground and a mask, another one in space
    alone a background; eq. 3 puts them together. Each layer halves the channels and doubles the
    side, the last ones the frames too. Weights start normal with a deviation of 0.01, as there.
    """

    def __init__(self, noise: int, side: int, frames: int, *, width: int = 32) -> None:
        super().__init__()
        self.side, self.frames = side, frames
        doublings = max(int(math.log2(side / 4)), 1)
        in_time = min(doublings, int(math.log2(frames)))
        self.start = math.ceil(frames / 2**in_time), math.ceil(side / 2**doublings)
        dim = width * 2 ** (doublings - 1)
        self.project = nn.Linear(noise, dim * self.start[0] * self.start[1] ** 2, bias=False)
        layers: list[nn.Module] = [nn.BatchNorm3d(dim), nn.ReLU(inplace=True)]
        for left in range(doublings - 1, 0, -1):
            layers += [_doubling(dim, dim // 2, time=left < in_time), nn.BatchNorm3d(dim // 2)]
            layers.append(nn.ReLU(inplace=True))
            dim //= 2
        self.moving = nn.Sequential(*layers)
        self.foreground = _doubling(dim, 3, time=in_time > 0)
        self.mask = _doubling(dim, 1, time=in_time > 0)
        for weight in self.parameters():
            if weight.ndim > 1:
                nn.init.normal_(weight, std=0.01)
        self.resting = ConvGenerator(noise, side, width=width)

    def forward(self, noise: Tensor) -> Tensor:
        return self.streams(noise).clip

    def streams(self, noise: Tensor) -> Streams:
        """Foreground, mask and background of each clip."""
        frames, side = self.start
        moving = self.moving(self.project(noise).view(len(noise), -1, frames, side, side))
        foreground, mask = self._cut(self.foreground(moving)), self._cut(self.mask(moving))
        background: Tensor = self.resting(noise)
        return Streams((foreground.tanh() + 1) / 2, mask.sigmoid(), background.unsqueeze(2))

    def _cut(self, clips: Tensor) -> Tensor:
        """Frames and sides that are no such map doubled are reached by cutting."""
        return clips[:, :, : self.frames, : self.side, : self.side]


def _doubling(dim: int, out: int, *, time: bool) -> nn.Module:
    """Twice the rows and columns; and twice the frames, or as many."""
    kernel, stride = (4, 2) if time else (3, 1)
    return nn.ConvTranspose3d(dim, out, (kernel, 4, 4), (stride, 2, 2), padding=1)

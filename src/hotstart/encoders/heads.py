"""Heads that pretraining discards: projectors, predictors, decoders."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise

from torch import Tensor, nn


def mlp(dims: Sequence[int], *, last_norm: bool = False) -> nn.Sequential:
    """Linear layers from dims[0] to dims[-1], with BatchNorm and ReLU between them.

    last_norm: a BatchNorm without affine weights after the last layer too, as in SimCLR's code.
    """
    layers: list[nn.Module] = []
    for position, (wide, narrow) in enumerate(pairwise(dims), start=2):
        last = position == len(dims)
        layers.append(nn.Linear(wide, narrow, bias=last and not last_norm))
        if not last:
            layers += [nn.BatchNorm1d(narrow), nn.ReLU(inplace=True)]
        elif last_norm:
            layers.append(nn.BatchNorm1d(narrow, affine=False))
    return nn.Sequential(*layers)


class ConvDecoder(nn.Module):
    """A feature map (B, C, h, w) -> pictures (B, channels, h 2^k, w 2^k).

    Transposed convolutions as in Radford 2016 (arXiv:1511.06434): kernel 4, stride 2, BatchNorm,
    ReLU; the last layer bare.
    """

    def __init__(self, dim: int, *, channels: int = 3, doublings: int, width: int = 32) -> None:
        super().__init__()
        layers: list[nn.Module] = []
        for left in range(doublings, 0, -1):
            out = channels if left == 1 else width * 2 ** (left - 2)
            layers.append(nn.ConvTranspose2d(dim, out, 4, stride=2, padding=1, bias=left == 1))
            if left > 1:
                layers += [nn.BatchNorm2d(out), nn.ReLU(inplace=True)]
            dim = out
        self.layers = nn.Sequential(*layers)

    def forward(self, features: Tensor) -> Tensor:
        pictures: Tensor = self.layers(features)
        return pictures

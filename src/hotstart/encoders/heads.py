"""Heads that pretraining discards: projectors, predictors, decoders, adversaries."""

from __future__ import annotations

import math
from collections.abc import Sequence
from itertools import pairwise

import torch
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


class ChannelWiseLinear(nn.Module):
    """Every place of a map reads every other one, each channel for itself: (B, C, h, w) -> same.

    The channel-wise fully connected layer of Pathak 2016 (arXiv:1604.07379), section 3.1: C (h w)^2
    weights in place of the (C h w)^2 of a full one, which would be most of the network.
    """

    def __init__(self, channels: int, places: int) -> None:
        super().__init__()
        bound = places**-0.5
        self.weight = nn.Parameter(torch.empty(channels, places, places).uniform_(-bound, bound))

    def forward(self, features: Tensor) -> Tensor:
        mixed = torch.einsum("bcp,cpq->bcq", features.flatten(2), self.weight)
        return mixed.view_as(features)


class ConvGenerator(nn.Module):
    """Noise (B, noise) -> pictures (B, 3, side, side) in 0..1.

    Radford 2016 (arXiv:1511.06434): the noise is projected to a map of 4 to 7 px, BatchNorm, ReLU,
    then transposed convolutions that halve the channels and double the side; tanh. Weights start
    normal with a deviation of 0.02. Deviation: a side that is no such map doubled is reached by
    bilinear reduction.
    """

    def __init__(self, noise: int, side: int, *, width: int = 32) -> None:
        super().__init__()
        self.side = side
        doublings = max(int(math.log2(side / 4)), 1)
        self.start = math.ceil(side / 2**doublings)
        dim = width * 2 ** (doublings - 1)
        self.project = nn.Linear(noise, dim * self.start**2, bias=False)
        self.decoder = nn.Sequential(
            nn.BatchNorm2d(dim),
            nn.ReLU(inplace=True),
            ConvDecoder(dim, doublings=doublings, width=width),
        )
        for weight in self.parameters():
            if weight.ndim > 1:
                nn.init.normal_(weight, std=0.02)

    def forward(self, noise: Tensor) -> Tensor:
        features = self.project(noise).view(len(noise), -1, self.start, self.start)
        pictures: Tensor = (self.decoder(features).tanh() + 1) / 2
        if pictures.shape[-1] != self.side:
            pictures = nn.functional.interpolate(pictures, size=self.side, mode="bilinear")
        return pictures


class ConvDiscriminator(nn.Module):
    """Pictures (B, channels, side, side) -> logits (B,), high for what looks real.

    Radford 2016 (arXiv:1511.06434): convolutions with kernel 4 and stride 2 down to 4 px or less,
    LeakyReLU of slope 0.2, BatchNorm after all but the first, one linear unit at the end.
    """

    def __init__(self, side: int, *, channels: int = 3, width: int = 32) -> None:
        super().__init__()
        layers, dim = _halvings(side, channels, width)
        self.layers = nn.Sequential(*layers, nn.Linear(dim, 1))

    def forward(self, pictures: Tensor) -> Tensor:
        logits: Tensor = self.layers(pictures)
        return logits.squeeze(1)


class PyramidDecoder(nn.Module):
    """Maps of all stages, coarse after fine -> pictures (B, channels, size, size).

    From the last map down, each is resized to the one before it and added to that (Lin 2017,
    arXiv:1612.03144): what the last stage knows reaches every pixel, what the first has seen says
    where. maps: channels of each stage; width: channels inside; size: None leaves the sides of the
    first map.
    """

    def __init__(
        self, maps: Sequence[int], *, channels: int, size: int | None, width: int = 32
    ) -> None:
        super().__init__()
        self.size = size
        self.laterals = nn.ModuleList(nn.Conv2d(dim, width, 1, bias=False) for dim in maps)
        self.mixers = nn.ModuleList(
            nn.Sequential(
                nn.BatchNorm2d(width),
                nn.ReLU(inplace=True),
                nn.Conv2d(width, width, 3, padding=1, bias=False),
            )
            for _ in maps
        )
        self.last = nn.Sequential(
            nn.BatchNorm2d(width), nn.ReLU(inplace=True), nn.Conv2d(width, channels, 3, padding=1)
        )

    def forward(self, maps: Sequence[Tensor]) -> Tensor:
        merged: Tensor | None = None
        for features, lateral, mixer in reversed(
            list(zip(maps, self.laterals, self.mixers, strict=True))
        ):
            seen = lateral(features)
            if merged is not None:
                seen = seen + nn.functional.interpolate(merged, size=seen.shape[-2:])
            merged = mixer(seen)
        assert merged is not None
        if self.size is not None:
            merged = nn.functional.interpolate(merged, size=self.size, mode="bilinear")
        pictures: Tensor = self.last(merged)
        return pictures


class JointDiscriminator(nn.Module):
    """Pictures (B, 3, side, side) and latents (B, latent) -> logits (B,): do the two go together?

    Donahue 2017 (arXiv:1605.09782), section 4: the picture goes through convolutions, as in
    `ConvDiscriminator`, the latent through a linear layer, both together through another one.
    """

    def __init__(self, side: int, latent: int, *, width: int = 32, hidden: int = 256) -> None:
        super().__init__()
        layers, dim = _halvings(side, 3, width)
        self.picture = nn.Sequential(*layers, nn.Linear(dim, hidden), nn.LeakyReLU(0.2))
        self.latent = nn.Sequential(nn.Linear(latent, hidden), nn.LeakyReLU(0.2))
        self.both = nn.Sequential(
            nn.Linear(2 * hidden, hidden), nn.LeakyReLU(0.2), nn.Linear(hidden, 1)
        )

    def forward(self, pictures: Tensor, latent: Tensor) -> Tensor:
        seen = torch.cat([self.picture(pictures), self.latent(latent)], dim=1)
        logits: Tensor = self.both(seen)
        return logits.squeeze(1)


def _halvings(side: int, dim: int, width: int) -> tuple[list[nn.Module], int]:
    """A discriminator's convolutions down to 4 px or less, flat, and how many numbers come out."""
    layers: list[nn.Module] = []
    while side > 4 or not layers:
        out = width if not layers else min(2 * dim, 8 * width)
        layers.append(nn.Conv2d(dim, out, 4, stride=2, padding=1, bias=not layers))
        if len(layers) > 1:
            layers.append(nn.BatchNorm2d(out))
        layers.append(nn.LeakyReLU(0.2, inplace=True))
        dim, side = out, side // 2
    return [*layers, nn.Flatten()], dim * side**2

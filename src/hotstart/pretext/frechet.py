"""Fréchet distance of two sets of pictures, in a fixed feature space that needs no download."""

from __future__ import annotations

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor, nn

FEATURE_SPACE = "random_conv"
METRIC = f"frechet_{FEATURE_SPACE}"
"""The metric's name in a record says in which space it was measured."""
METRIC_OF_CLIPS = f"{METRIC}_clips"
WIDTHS = (16, 32, 64)
THUMBNAIL = 4
SEED = 0
CHUNK = 256
LEAST_DEVIATION = 1e-3
"""Features lie in about 0..1: what varies by less than this counts as varying by this."""


class RandomConv(nn.Module):
    """Pictures (B, 3, H, W) in 0..1 -> features (B, 163): what a random network sees, and colours.

    Three random 3x3 convolutions, each followed by the absolute value, averaged over the picture,
    and by 2x2 average pooling before the next: texture in three octaves (16 + 32 + 64 features).
    Filters sum to 0 in every input channel, so they answer to contrast and not to brightness.
    Beside them the picture reduced to 4x4 px, which says what colour is where (48), and the
    contrast of each colour channel (3).

    Random networks in place of Inception are Naeem 2020's (arXiv:2002.09797, section 3.2) for
    pictures that are not ImageNet's; nothing is downloaded, and no label had a part in it. The
    weights come from NumPy's `RandomState`, whose stream is frozen (NEP 19): the space is the same
    everywhere. Pictures are read at their own size.
    """

    def __init__(self) -> None:
        super().__init__()
        stream = np.random.RandomState(SEED)
        dim = 3
        for number, width in enumerate(WIDTHS):
            weight = torch.from_numpy(stream.standard_normal((width, dim, 3, 3))).float()
            weight = weight - weight.mean((2, 3), keepdim=True)
            self.register_buffer(
                f"weight{number}", weight * (2 / (9 * dim)) ** 0.5, persistent=False
            )
            dim = width

    @torch.no_grad()
    def forward(self, pictures: Tensor) -> Tensor:
        return torch.cat([self._features(part) for part in pictures.float().split(CHUNK)])

    def _features(self, pictures: Tensor) -> Tensor:
        features, maps = [], pictures
        for number in range(len(WIDTHS)):
            # Mirrored, not padded with zeros: a frame would be the strongest edge of all.
            maps = F.pad(maps, (1, 1, 1, 1), mode="reflect")
            maps = F.conv2d(maps, self.get_buffer(f"weight{number}")).abs()
            features.append(maps.mean((2, 3)))
            maps = F.avg_pool2d(maps, 2)
        features.append(F.adaptive_avg_pool2d(pictures, THUMBNAIL).flatten(1))
        features.append(pictures.flatten(2).std(2, correction=0))
        return torch.cat(features, 1)


class RandomConvOfClips(nn.Module):
    """Clips (B, 3, T, H, W) in 0..1 -> features (B, 326): what is seen, and what changes.

    `RandomConv`'s features of the frames, and of the differences of neighbours (halved, about
    mid-grey), each averaged over time.
    """

    def __init__(self) -> None:
        super().__init__()
        self.frames = RandomConv()

    @torch.no_grad()
    def forward(self, clips: Tensor) -> Tensor:
        changes = (1 + clips[:, :, 1:] - clips[:, :, :-1]) / 2
        return torch.cat([self._features(clips), self._features(changes)], 1)

    def _features(self, clips: Tensor) -> Tensor:
        features: Tensor = self.frames(clips.transpose(1, 2).flatten(0, 1))
        return features.view(len(clips), clips.shape[2], -1).mean(1)


def gaussian_distance(mean1: Tensor, cov1: Tensor, mean2: Tensor, cov2: Tensor) -> float:
    """||m1 - m2||^2 + tr(C1 + C2 - 2 (C1 C2)^1/2), Heusel 2017 (arXiv:1706.08500), eq. 6.

    means: float64 (D,). covariances: float64 (D, D), symmetric, of any rank. The trace of the root
    is that of (C1^1/2 C2 C1^1/2)^1/2, which is symmetric, so that no root becomes complex.
    """
    values, vectors = torch.linalg.eigh(cov1)
    root = vectors * values.clamp_min(0).sqrt() @ vectors.T
    cross = torch.linalg.eigvalsh(root @ cov2 @ root).clamp_min(0).sqrt().sum()
    distance = (mean1 - mean2).square().sum() + cov1.trace() + cov2.trace() - 2 * cross
    return max(float(distance), 0.0)


def frechet_distance(real: Tensor, made: Tensor) -> float:
    """How far features (M, D) of made pictures are from those (N, D) of real ones; N, M > 1.

    0 where the two sets have the same means and covariances. Each feature is measured in units of
    its deviation among the real pictures, or those with the largest numbers would decide alone, and
    the distance is divided by D: it is 1 where all made pictures have the real ones' mean features.
    Sets of 2,000 from one source are about 0.01 apart.
    """
    real, made = real.double(), made.double()
    unit = real.std(0).clamp_min(LEAST_DEVIATION)
    real, made = real / unit, made / unit
    distance = gaussian_distance(real.mean(0), torch.cov(real.T), made.mean(0), torch.cov(made.T))
    return distance / real.shape[1]

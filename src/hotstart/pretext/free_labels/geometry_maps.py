"""Depth and normals as a network answers them, and how far answers are from the truth."""

from __future__ import annotations

import math

import torch
import torch.nn.functional as F
from torch import Tensor

from hotstart.augment.settings import ViewParameters
from hotstart.data.sample import Pictures
from hotstart.pretext.distributed import each_share

NEAREST_METRES, FARTHEST_METRES = 0.1, 100.0
SPAN = math.log(FARTHEST_METRES / NEAREST_METRES)
CLOSE = 1.25
KNOWN = 0.5
"""Length of a normal above which there is one; the sky has none."""


def encode_depth(metres: Tensor) -> Tensor:
    """Metres -> 0..1, evenly in the logarithm from 0.1 to 100 m; what is farther, or sky, is 1."""
    return ((metres / NEAREST_METRES).clamp_min(1).log() / SPAN).clamp(0, 1)


def decode_depth(encoded: Tensor) -> Tensor:
    """The inverse: 0..1 -> metres."""
    return NEAREST_METRES * (encoded * SPAN).exp()


def moved(maps: Tensor, pictures: Pictures, drawn: ViewParameters, size: int) -> Tensor:
    """Maps of whole pictures under the crop and flip of their views, by the nearest place.

    maps: float (B, C, h, w), spread evenly over each picture -> (B, C, size, size). Not smoothed:
    between two depths lies no thing, and infinity has no mean.
    """
    box = drawn.box.to(maps)
    extent = torch.stack([pictures.widths, pictures.heights], 1).to(maps)
    along = (torch.arange(size, device=maps.device) + 0.5) / size
    across = torch.where(drawn.flip.to(maps.device)[:, None], 1 - along, along)
    x = (box[:, :1] + across * box[:, 2:3]) / extent[:, :1] * maps.shape[3]
    y = (box[:, 1:2] + along * box[:, 3:]) / extent[:, 1:] * maps.shape[2]
    column = x.long().clamp(0, maps.shape[3] - 1)[:, None, None, :]
    row = y.long().clamp(0, maps.shape[2] - 1)[:, None, :, None]
    rows = torch.arange(len(maps), device=maps.device)[:, None, None, None]
    channels = torch.arange(maps.shape[1], device=maps.device)[None, :, None, None]
    return maps[rows, channels, row, column]


def mirrored(normals: Tensor, flip: Tensor) -> Tensor:
    """Normals (B, 3, H, W) of pictures that were flipped, bool (B,): right becomes left."""
    sign = torch.where(flip.to(normals.device), -1.0, 1.0)[:, None, None]
    return torch.cat([normals[:, :1] * sign[:, None], normals[:, 1:]], 1)


def depth_loss(said: Tensor, truth: Tensor, known: Tensor) -> Tensor:
    """Mean |log d - log d*| over known places; (B, 1, H, W), as `encode_depth` gives them."""
    return masked_mean((said - truth).abs() * SPAN, known)


def normals_loss(said: Tensor, truth: Tensor, known: Tensor) -> Tensor:
    """Mean 1 - cos of the angle between (B, 3, H, W), over known places (B, 1, H, W)."""
    return masked_mean(1 - F.cosine_similarity(said, truth, dim=1)[:, None], known)


def masked_mean(values: Tensor, known: Tensor) -> Tensor:
    """The mean where bool `known` is True, for all processes together; 0 where nothing is."""
    weight = known.to(values)
    total: Tensor = (values * weight).sum() / each_share(weight.sum()).clamp_min(1)
    return total


class GeometryErrors:
    """Sums over batches: errors of depth in metres, and of normals in degrees.

    Eigen 2014 (arXiv:1406.2283), section 4: RMSE, and the share of places with
    max(d / d*, d* / d) < 1.25.
    """

    def __init__(self) -> None:
        self.squared = self.close = self.degrees = self.places = 0.0

    def add(self, depth: Tensor, normals: Tensor, truth: Tensor, faces: Tensor) -> None:
        """Said depth (encoded) and normals, and the true ones; sky is not asked about."""
        known = faces.norm(dim=1, keepdim=True) > KNOWN
        said, metres = decode_depth(depth)[known].double(), decode_depth(truth)[known].double()
        self.squared += float((said - metres).square().sum())
        self.close += float((torch.maximum(said / metres, metres / said) < CLOSE).sum())
        cosine = F.cosine_similarity(normals, faces, dim=1)[known[:, 0]].double()
        self.degrees += float(cosine.clamp(-1, 1).arccos().rad2deg().sum())
        self.places += float(known.sum())

    @property
    def rmse_metres(self) -> float:
        return math.sqrt(self.squared / max(self.places, 1))

    @property
    def share_close(self) -> float:
        return self.close / max(self.places, 1)

    @property
    def mean_degrees(self) -> float:
        return self.degrees / max(self.places, 1)

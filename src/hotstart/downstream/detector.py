"""An anchor-free detector on the maps of any encoder: torchvision's FCOS, slim."""

from __future__ import annotations

import math
from collections import OrderedDict
from collections.abc import Sequence
from typing import Any, Self

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torchvision.models.detection import FCOS
from torchvision.models.detection.anchor_utils import AnchorGenerator
from torchvision.models.detection.fcos import FCOSHead
from torchvision.models.detection.image_list import ImageList
from torchvision.ops import FeaturePyramidNetwork

from hotstart.config import Field, Settings
from hotstart.encoders.encoder import Encoder

Target = dict[str, Tensor]
Maps = dict[int, Tensor]
"""Of some stages of an encoder, by their positions: (B, C_s, H_s, W_s)."""
STRIDES = (8, 16, 32)
"""Pixels of the picture per cell of each level; a level's objects are up to 8 times as long."""


class DetectorSettings(Settings):
    """Size and shape of the detector. The defaults suit two cores: a tenth of FCOS's own cost."""

    size_px: int = Field(default=256, ge=64)
    """Side of the square to which pictures are brought, rounded to what all levels divide."""
    channels: int = Field(default=64, ge=32, multiple_of=32)
    """Of the pyramid and the head; FCOS itself has 256."""
    convolutions: int = Field(default=1, ge=1)
    """Of each branch of the head; FCOS itself has 4."""
    least_score: float = Field(default=0.05, ge=0, lt=1)
    most_boxes: int = Field(default=100, ge=1)
    """Answers for one picture, the surest."""
    overlap: float = Field(default=0.6, gt=0, le=1)
    """Intersection over union from which the less sure of two boxes of a class is dropped."""


class Pyramid(nn.Module):
    """An encoder and a feature pyramid (Lin 2017, arXiv:1612.03144) on its maps.

    Each level reads the deepest stage whose stride is nearest to its own, brought to the level's
    size: averaged where it is finer, interpolated where it is coarser. A ViT, whose stages all have
    one stride, so gives a pyramid of its last map (Li 2022, ViTDet, arXiv:2203.16527). Maps are
    standardised channel by channel over the batch, as for every head here.
    """

    def __init__(self, encoder: Encoder, channels: int, *, frozen: bool) -> None:
        super().__init__()
        self.encoder = encoder.requires_grad_(not frozen)
        self.frozen = frozen
        self.sources = stages_read(encoder)
        dims = [encoder.stage_dims[source] for source in self.sources]
        self.norms = nn.ModuleList(nn.BatchNorm2d(dim, eps=1e-8, affine=False) for dim in dims)
        self.pyramid = FeaturePyramidNetwork(dims, channels)
        self.out_channels = channels
        self.given: Maps | None = None
        """Read by the next `forward` in place of the encoder's own."""

    def train(self, mode: bool = True) -> Self:
        """A frozen encoder stays in evaluation mode."""
        super().train(mode)
        if self.frozen:
            self.encoder.eval()
        return self

    def maps(self, images: Tensor) -> Maps:
        """(B, 3, S, S) in 0..1 -> the encoder's maps of the stages that are read."""
        with torch.set_grad_enabled(torch.is_grad_enabled() and not self.frozen):
            stages = self.encoder.stages(images)
        return {source: stages[source] for source in self.sources}

    def forward(self, images: Tensor) -> OrderedDict[str, Tensor]:
        """(B, 3, S, S) in 0..1 -> the maps of the levels, (B, channels, S / stride, S / stride).

        With maps `given`, all that counts of the images is their shape.
        """
        maps = self.maps(images) if self.given is None else self.given
        self.given = None
        levels = OrderedDict()
        for stride, source, norm in zip(STRIDES, self.sources, self.norms, strict=True):
            side = images.shape[-1] // stride
            levels[str(stride)] = _resized(norm(maps[source]), side)
        found: OrderedDict[str, Tensor] = self.pyramid(levels)
        return found


def stages_read(encoder: Encoder) -> list[int]:
    """Positions of the stages that the levels of a pyramid on `encoder` read."""
    return [_nearest(encoder.stage_strides, stride) for stride in STRIDES]


def _nearest(strides: tuple[int, ...], stride: int) -> int:
    """The last stage whose stride is nearest to `stride`, in doublings."""
    return min(
        range(len(strides)), key=lambda stage: (abs(math.log2(strides[stage] / stride)), -stage)
    )


def _resized(found: Tensor, side: int) -> Tensor:
    if found.shape[-1] == side:
        return found
    if found.shape[-1] > side:
        return F.adaptive_avg_pool2d(found, side)
    return F.interpolate(found, size=(side, side), mode="bilinear", align_corners=False)


def picture_side(encoder: Encoder, settings: DetectorSettings) -> int:
    """The multiple of all strides that is nearest to `settings.size_px`."""
    step = math.lcm(*STRIDES, *encoder.stage_strides)
    return max(1, round(settings.size_px / step)) * step


def build_detector(
    encoder: Encoder, classes: int, settings: DetectorSettings, *, frozen: bool
) -> FCOS:
    """FCOS (Tian 2019, arXiv:1904.01355; torchvision's) on `encoder`, which becomes part of it.

    Deviations: three levels of stride 8, 16 and 32, since pictures are small; fewer channels and
    convolutions (`settings`); no resizing, as pictures come at their size.
    """
    pyramid = Pyramid(encoder, settings.channels, frozen=frozen)
    model = FCOS(
        pyramid,
        classes,
        anchor_generator=AnchorGenerator(
            tuple((stride,) for stride in STRIDES), ((1.0,),) * len(STRIDES)
        ),
        head=FCOSHead(settings.channels, 1, classes, settings.convolutions),
        score_thresh=settings.least_score,
        nms_thresh=settings.overlap,
        detections_per_img=settings.most_boxes,
    )
    model.transform = _AsTheyCome()
    return model


class _AsTheyCome(nn.Module):
    """In place of torchvision's resizing and normalisation, of which the encoder does its own.

    That would copy the pictures, too, out of the memory order in which convolutions are fastest.
    """

    def forward(
        self, images: Tensor, targets: list[Target] | None
    ) -> tuple[ImageList, list[Target] | None]:
        """Images (B, 3, S, S) -> the same as torchvision's detectors want them."""
        return ImageList(images, [images.shape[-2:]] * len(images)), targets

    def postprocess(
        self, found: list[Target], sizes: Sequence[Any], originals: Sequence[Any]
    ) -> list[Target]:
        """Boxes stay in pixels of `images`."""
        return found

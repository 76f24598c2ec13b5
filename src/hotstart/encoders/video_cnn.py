"""Convolutional encoders of clips: torchvision's, and a narrow 3-D ResNet for modest machines."""

from __future__ import annotations

from functools import partial
from itertools import pairwise
from typing import Any, Literal, NamedTuple

import torch
from torch import Tensor, nn
from torchvision.models.video import r2plus1d_18, r3d_18, s3d
from torchvision.models.video.resnet import BasicBlock, Conv3DNoTemporal, Conv3DSimple

from hotstart.encoders.encoder import EncoderSpec
from hotstart.encoders.video import VideoEncoder
from hotstart.errors import UsageError

WIDTHS = (32, 64, 128, 256)
S3D_ENDS = (1, 4, 7, 13, 16)
"""Where the stages of S3D end in its list of layers: each begins with what halves the map."""


class NarrowResNet3d(nn.Module):
    """`resnet10_narrow` with time: 32, 64, 128 and 256 channels, one block a stage, 3.6 M weights.

    The blocks of Tran 2018 (arXiv:1711.11248) and, with the small stem, his strides: 2 px, 1 frame
    in the stem, then 1, 2, 2, 2 of both. Deviation: the first stage convolves each frame by itself,
    since a third dimension costs most where the maps are largest, and is worth most at the top (Xie
    2018, arXiv:1712.04851, section 4.2). The stem before it sees three frames at a time.

    small: one 3x3x3 convolution as the stem, for frames up to 64 px; else one of 3x7x7 and a
    max-pooling, so that a stage has twice the stride.
    """

    def __init__(self, *, small: bool) -> None:
        super().__init__()
        side = 3 if small else 7
        first, padding = WIDTHS[0], (1, side // 2, side // 2)
        self.stem = nn.Sequential(
            nn.Conv3d(3, first, (3, side, side), (1, 2, 2), padding, bias=False),
            nn.BatchNorm3d(first),
            nn.ReLU(inplace=True),
        )
        self.layer1 = nn.Sequential(
            nn.Identity() if small else nn.MaxPool3d((1, 3, 3), (1, 2, 2), (0, 1, 1)),
            BasicBlock(first, first, Conv3DNoTemporal),
        )
        self.layer2, self.layer3, self.layer4 = map(_halving, WIDTHS[:-1])
        initialise(self, "fan_out")


def _halving(width: int) -> nn.Module:
    """A block to twice the channels and half the frames, rows and columns."""
    shortcut = nn.Sequential(
        nn.Conv3d(width, 2 * width, 1, stride=2, bias=False), nn.BatchNorm3d(2 * width)
    )
    block: nn.Module = BasicBlock(width, 2 * width, Conv3DSimple, 2, shortcut)
    return block


class Form(NamedTuple):
    """What a network's maps will be, before it is built, and the least that it can read."""

    dims: tuple[int, ...]
    strides: tuple[int, ...] = (2, 2, 4, 8, 16)
    frame_strides: tuple[int, ...] = (1, 1, 2, 4, 8)
    least_px: int = 1
    least_frames: int = 1


FORMS = {
    "r3d10_narrow": Form((WIDTHS[0], *WIDTHS)),
    "r3d_18": Form((64, 64, 128, 256, 512)),
    "r2plus1d_18": Form((64, 64, 128, 256, 512)),
    # Its last pooling pads nothing: of a smaller clip no map is left.
    "s3d": Form((64, 192, 480, 832, 1024), (2, 4, 8, 16, 32), (2, 2, 2, 4, 8), 17, 5),
}


class VideoCnnEncoder(VideoEncoder):
    """`r3d10_narrow`, or torchvision's R3D-18, R(2+1)D-18 or S3D by its name there.

    `h` is the mean of the last map over frames, rows and columns. Deviations from torchvision's
    S3D: BatchNorm's momentum; weights as He 2015 draws them, for as they are there signals fade; no
    mean over windows of the last map before the mean over these, where a clip has over 16 frames or
    224 px.
    """

    def __init__(self, spec: EncoderSpec) -> None:
        form = FORMS[spec.name]
        super().__init__(spec, least_px=form.least_px, least_frames=form.least_frames)
        self.model = create_video_cnn(spec)
        self.dim = form.dims[-1]
        self.stage_dims = form.dims
        self.stage_strides = form.strides
        self.stage_frame_strides = form.frame_strides
        if spec.name == "r3d10_narrow" and spec.stem != "small":
            self.stage_strides = (2, 4, 8, 16, 32)

    def forward(self, clips: Tensor) -> Tensor:
        features = self.normalise(clips)
        for part in self._parts():
            features = _through(part, features)
        return features.mean((2, 3, 4))

    def forward_stages(self, clips: Tensor) -> tuple[Tensor, list[Tensor]]:
        features = self.normalise(clips)
        maps: list[Tensor] = []
        for part in self._parts():
            features = _through(part, features)
            maps.append(features)
        return features.mean((2, 3, 4)), maps

    def _parts(self) -> list[nn.Module]:
        """The network's stages, from the input to the last."""
        if self.spec.name == "s3d":
            return [self.model.features[a:b] for a, b in pairwise((0, *S3D_ENDS))]
        model = self.model
        return [model.stem, model.layer1, model.layer2, model.layer3, model.layer4]


def _through(part: nn.Module, maps: Tensor) -> Tensor:
    """The maps behind a stage; on a CPU, of few frames, in float32 whatever autocast says.

    The weight gradient that oneDNN gives of a 3-D convolution of two frames in bfloat16 is made of
    memory that nobody has written (torch 2.14), so that it may be anything, NaN too.
    """
    exact = torch.is_autocast_enabled("cpu") and maps.device.type == "cpu" and maps.shape[2] <= 4
    through: Tensor
    if exact:
        with torch.autocast("cpu", enabled=False):
            through = part(maps.float())
    else:
        through = part(maps)
    return through


def create_video_cnn(spec: EncoderSpec) -> Any:
    """The network of `spec`, without its classifier."""
    if spec.name == "r3d10_narrow":
        return NarrowResNet3d(small=spec.stem == "small")
    refuse_small_stem(spec)
    model: Any
    if spec.name == "s3d":
        # torchvision's momentum of 0.001 is for millions of steps: after a short run, statistics
        # would still be those of no data.
        model = s3d(weights=None, norm_layer=partial(nn.BatchNorm3d, eps=1e-3))
        del model.avgpool, model.classifier
        # Its bottlenecks give fewer channels than they take: by those given, signals would grow.
        initialise(model, "fan_in")
        return model
    model = {"r3d_18": r3d_18, "r2plus1d_18": r2plus1d_18}[spec.name](weights=None)
    del model.avgpool, model.fc
    return model


def initialise(model: nn.Module, fan: Literal["fan_in", "fan_out"]) -> None:
    """He 2015 (arXiv:1502.01852): signals (fan_in) or gradients keep their size through layers."""
    for part in model.modules():
        if isinstance(part, nn.Conv3d):
            nn.init.kaiming_normal_(part.weight, mode=fan, nonlinearity="relu")


def refuse_small_stem(spec: EncoderSpec) -> None:
    """Raise UsageError: torchvision's networks have their own stem alone."""
    if spec.stem == "small":
        raise UsageError(
            f"--stem small: for clips r3d10_narrow, tube ViTs and frames:NAME know it, got "
            f"{spec.name!r}; use --stem timm, its own"
        )

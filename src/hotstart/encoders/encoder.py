"""What every encoder offers, whatever network is inside."""

from __future__ import annotations

from abc import ABC, abstractmethod
from typing import ClassVar, Literal

import torch
from torch import Tensor, nn

from hotstart.augment.sound import HOP_SECONDS, WINDOW_SECONDS
from hotstart.config import Field, Settings
from hotstart.encoders.networks import WHAT_WORKS
from hotstart.errors import UsageError

Kind = Literal["cnn", "vit", "video", "audio", "fixed"]

IMAGENET_MEAN = (0.485, 0.456, 0.406)
IMAGENET_STD = (0.229, 0.224, 0.225)


class SoundSpec(Settings):
    """How an encoder hears."""

    seconds: float = Field(default=1.0, gt=0)
    """Of the sounds that it is meant for; it takes others as well."""
    window_seconds: float = Field(default=WINDOW_SECONDS, ge=0.001)
    hop_seconds: float = Field(default=HOP_SECONDS, ge=0.001)
    """From one window to the next: a column of the spectrogram each."""


class EncoderSpec(Settings):
    """Everything needed to build an encoder's architecture again."""

    name: str
    """Of Hotstart, as `resnet10_narrow`, any timm CNN or ViT, or one of torchvision's for clips;
    `frames:NAME` reads clips by the image encoder NAME, `sound:NAME` hears by the CNN NAME."""
    size: int
    """Side in pixels of the pictures or frames that it is meant for; of sounds, mel bands F."""
    stem: Literal["timm", "small"] = "timm"
    sound: SoundSpec | None = None
    """Of encoders of sound alone."""


class Encoder(nn.Module, ABC):
    """Pictures in, features `h` out; the part that is kept after pretraining.

    Pictures are float (B, 3, H, W) in 0..1; normalisation happens inside. What reads clips instead
    is a `VideoEncoder`, what hears an `AudioEncoder`.
    """

    kind: ClassVar[Kind]
    spec: EncoderSpec
    dim: int
    """Length D of the features `h`."""
    stage_dims: tuple[int, ...]
    """Channels of each stage's map, from the input to the last."""
    stage_strides: tuple[int, ...]
    """Pixels of the picture per pixel of each stage's map."""
    only_px: int | None = None
    """The one side in pixels of the pictures that it reads; None: many."""
    multiple_px: int = 1
    """What both sides of a picture must be a multiple of."""
    mean: Tensor
    std: Tensor

    def __init__(self, spec: EncoderSpec) -> None:
        super().__init__()
        self.spec = spec
        self.register_buffer("mean", torch.tensor(IMAGENET_MEAN).view(1, 3, 1, 1), persistent=False)
        self.register_buffer("std", torch.tensor(IMAGENET_STD).view(1, 3, 1, 1), persistent=False)

    def normalise_as(self, network: nn.Module) -> None:
        """Take over the means and deviations of channels that timm's weights of `network` expect.

        Most expect ImageNet's, which is what there is before; ViTs of Google 0.5, CLIP its own.
        """
        told = getattr(network, "pretrained_cfg", None) or {}
        for mine, theirs in ((self.mean, told.get("mean")), (self.std, told.get("std"))):
            if theirs and len(theirs) == mine.numel():
                mine.copy_(torch.tensor(theirs).view_as(mine))

    def normalise(self, images: Tensor) -> Tensor:
        """(B, 3, H, W) in 0..1 -> the same with channels of mean 0 and deviation 1 in ImageNet."""
        self.check_sides(images)
        return (images - self.mean) / self.std

    def check_sides(self, images: Tensor) -> None:
        """Raise UsageError where the sides of `images` (B, C, H, W) are none that it reads."""
        height, width = images.shape[-2:]
        if self.only_px is not None and {height, width} != {self.only_px}:
            raise UsageError(
                f"{self.spec.name} reads pictures of {self.only_px} x {self.only_px} px alone, for "
                f"which it was built, got {width} x {height}; {WHAT_WORKS}"
            )
        if height % self.multiple_px or width % self.multiple_px:
            raise UsageError(
                f"{self.spec.name} cuts pictures into patches: sides are multiples of "
                f"{self.multiple_px} px, got {width} x {height}; give another --size, or an "
                "encoder that reads any, such as resnet18"
            )

    @abstractmethod
    def forward(self, images: Tensor) -> Tensor:
        """(B, 3, H, W) -> features h (B, D)."""

    @abstractmethod
    def forward_stages(self, images: Tensor) -> tuple[Tensor, list[Tensor]]:
        """(B, 3, H, W) -> h (B, D) and the map of every stage, (B, C_s, H_s, W_s), in one pass."""

    @abstractmethod
    def feature_map(self, images: Tensor, stride: int) -> Tensor:
        """(B, 3, H, W) -> the deepest map at `stride` pixels, (B, C, H / stride, W / stride)."""

    def head(self, maps: Tensor) -> Tensor:
        """Last maps (B, C, H, W) -> h (B, D): what comes behind them, their mean at least."""
        return maps.mean((2, 3))

    def stages(self, images: Tensor) -> list[Tensor]:
        """The map of every stage, from the input to the last."""
        return self.forward_stages(images)[1]

    def tokens(self, images: Tensor, keep: Tensor | None = None) -> Tensor:
        """(B, 3, H, W) -> tokens (B, L, D); ViTs alone.

        keep: int64 (B, K), the patches to encode, in raster order; all of them if None.
        """
        raise NotImplementedError(f"{self.spec.name} is a {self.kind}: only a ViT has tokens")


LEAST_PLACES = 4
"""Along either side of a map in which something is to be seen."""


def fine_map(encoder: Encoder, images: Tensor) -> Tensor:
    """The last map with at least 4 x 4 places: (B, 3, H, W) -> (B, C, H / stride, W / stride).

    Of an encoder of pictures, at its own last stride or, with the same weights (see `feature_map`),
    the next finer one that gives so many; at the finest that it offers, where none does.
    """
    stride = encoder.stage_strides[-1]
    found = encoder.feature_map(images, stride)
    while min(found.shape[-2:]) < LEAST_PLACES:
        stride //= 2
        try:
            found = encoder.feature_map(images, stride)
        except UsageError:  # that was the finest
            break
    return found


@torch.no_grad()
def map_shape(encoder: Encoder, size: int) -> tuple[int, int]:
    """Channels and side of the encoder's last map for pictures of `size` px."""
    training = encoder.training
    encoder.eval()
    last = encoder.feature_map(torch.zeros(1, 3, size, size), encoder.stage_strides[-1])
    encoder.train(training)
    return last.shape[1], last.shape[2]

"""Encoders of clips: what they share, and any image encoder read frame by frame."""

from __future__ import annotations

from typing import ClassVar

import torch
from torch import Tensor, nn

from hotstart.encoders.encoder import Encoder, EncoderSpec, Kind
from hotstart.errors import UsageError

FRAMES = "frames:"
"""`frames:NAME` is the image encoder NAME, read frame by frame."""


class VideoEncoder(Encoder):
    """Clips in, features `h` out.

    Clips are float (B, 3, T, H, W) in 0..1, any number of frames T from `least_frames` on; maps are
    (B, C, T', H', W').
    """

    kind: ClassVar[Kind] = "video"
    stage_frame_strides: tuple[int, ...]
    """Frames of the clip per frame of each stage's map."""

    def __init__(self, spec: EncoderSpec, *, least_px: int = 1, least_frames: int = 1) -> None:
        """least_px, least_frames: side and length of the smallest clip that it can read."""
        super().__init__(spec)
        self.least_px = least_px
        self.least_frames = least_frames
        if spec.size < least_px:
            raise UsageError(f"{spec.name}: size {spec.size} asked, it takes {least_px} px or more")

    def normalise(self, clips: Tensor) -> Tensor:
        """(B, 3, T, H, W) in 0..1 -> the same with ImageNet's channel mean 0 and deviation 1."""
        self.check(clips)
        return (clips - self.mean.unsqueeze(2)) / self.std.unsqueeze(2)

    def check(self, clips: Tensor) -> None:
        """Raise UsageError where these are no clips, or none that this network can read."""
        name, shape = self.spec.name, tuple(clips.shape)
        if clips.ndim != 5 or shape[1] != 3:
            raise UsageError(
                f"{name} reads clips, (B, 3, T, H, W), got {shape}"
                + ("; a picture is a clip of one frame: unsqueeze(2)" if clips.ndim == 4 else "")
            )
        if shape[2] < self.least_frames:
            raise UsageError(
                f"{name}: clips of {shape[2]} frames, it takes {self.least_frames} or more"
            )
        if min(shape[3:]) < self.least_px:
            raise UsageError(
                f"{name}: frames of {shape[3]} x {shape[4]} px, it takes {self.least_px} or more"
            )

    def feature_map(self, clips: Tensor, stride: int) -> Tensor:
        """(B, 3, T, H, W) -> the deepest stage's map at `stride` pixels, (B, C, T', H', W').

        A stride beyond the last stage's is read as that.
        """
        stride = min(stride, self.stage_strides[-1])
        if stride not in self.stage_strides:
            allowed = sorted(set(self.stage_strides))
            raise UsageError(f"{self.spec.name}: stride {stride} asked, it offers {allowed}")
        last = len(self.stage_strides) - 1 - self.stage_strides[::-1].index(stride)
        return self.stages(clips)[last]

    def tokens(self, clips: Tensor, keep: Tensor | None = None) -> Tensor:
        """(B, 3, T, H, W) -> tokens (B, L or K, D); tube ViTs alone.

        keep: int64 (B, K), the tubes to encode: frames first, then rows, then columns.
        """
        raise UsageError(
            f"{self.spec.name} has no tokens: a tube ViT has, such as tube_vit_tiny_depth6"
        )


def check_reads_frames(name: str, kind: Kind) -> None:
    """Raise UsageError unless the encoder `name` is one of pictures and has layers to train."""
    if kind not in ("cnn", "vit"):
        raise UsageError(
            f"{FRAMES}{name}: {name} is a {kind} encoder, frames are read by a CNN or a ViT, such "
            f"as {FRAMES}resnet10_narrow"
            + (f"; clips it reads as {name}" if kind == "video" else "")
        )


class FrameEncoder(VideoEncoder):
    """An image encoder that reads every frame by itself; `h` is the mean over the frames.

    It adds no weights: `image` is the image encoder itself, and what is saved of it is `image`'s
    weights by `image`'s names. So a task of pictures and one of clips can train the same encoder,
    and `FrameEncoder(encoder)` and `.image` lead from one to the other without a copy. The order of
    the frames has no part in `h`; it has in the maps, which keep every frame. In training,
    BatchNorm takes its statistics over all frames of all clips.
    """

    def __init__(self, image: Encoder) -> None:
        check_reads_frames(image.spec.name, image.kind)
        super().__init__(image.spec.model_copy(update={"name": FRAMES + image.spec.name}))
        self.image = image
        self.dim = image.dim
        self.stage_dims = image.stage_dims
        self.stage_strides = image.stage_strides
        self.stage_frame_strides = (1,) * len(image.stage_dims)

    @property
    def model(self) -> nn.Module:
        """The network of `image`, for whoever reads weights into it."""
        model: nn.Module = self.image.get_submodule("model")
        return model

    def forward(self, clips: Tensor) -> Tensor:
        h: Tensor = self.image(self.frames(clips))
        return self._mean(h, clips)

    def forward_stages(self, clips: Tensor) -> tuple[Tensor, list[Tensor]]:
        h, maps = self.image.forward_stages(self.frames(clips))
        return self._mean(h, clips), [self._along_time(each, clips) for each in maps]

    def feature_map(self, clips: Tensor, stride: int) -> Tensor:
        """The image encoder's map of every frame, (B, C, T, H', W'), at any stride it offers."""
        return self._along_time(self.image.feature_map(self.frames(clips), stride), clips)

    def frames(self, clips: Tensor) -> Tensor:
        """(B, 3, T, H, W) -> pictures (B T, 3, H, W), those of a clip one behind the other."""
        self.check(clips)
        return clips.transpose(1, 2).flatten(0, 1)

    def _mean(self, h: Tensor, clips: Tensor) -> Tensor:
        mean: Tensor = h.unflatten(0, clips.shape[:3:2]).mean(1)
        return mean

    def _along_time(self, maps: Tensor, clips: Tensor) -> Tensor:
        placed: Tensor = maps.unflatten(0, clips.shape[:3:2]).transpose(1, 2)
        return placed


def as_video(encoder: Encoder) -> VideoEncoder:
    """The encoder itself if it reads clips; else read frame by frame, without a copy."""
    return encoder if isinstance(encoder, VideoEncoder) else FrameEncoder(encoder)


@torch.no_grad()
def clip_map_shape(encoder: Encoder, size: int, frames: int) -> tuple[int, int, int]:
    """Channels, frames and side of the encoder's last map for clips of `frames` x `size` px."""
    training = encoder.training
    encoder.eval()
    clip = torch.zeros(1, 3, frames, size, size)
    last = encoder.feature_map(clip, encoder.stage_strides[-1])
    encoder.train(training)
    return last.shape[1], last.shape[2], last.shape[3]

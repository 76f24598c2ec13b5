"""What an exported encoder is asked, and whether it answers as the encoder itself does."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import torch
import torch.nn.functional as F
from sklearn.datasets import load_sample_images
from torch import Tensor

from hotstart.data.sample import SOUND_HZ
from hotstart.encoders import Encoder, VideoEncoder
from hotstart.errors import ExportError

TOLERANCE = 1e-4
"""Of the largest feature: what different kernels make of the same sums, and no more."""
FRAMES, MVIT_FRAMES = 8, 16
"""Of clips; those of MViT are what torchvision's reads alone."""
ZOOMS = (1.0, 0.8, 0.6)
"""Of the squares that are cut out of the photographs, as shares of their height."""
FARTHEST = 24
"""Frames in which a square goes from one side of its photograph to the other."""


@dataclass(frozen=True)
class Parity:
    """How near the features of an artifact come to those of the encoder, by the same inputs."""

    largest_difference: float
    """Of any feature of any input, absolute."""
    largest_feature: float
    tolerance: float
    """What the difference may be."""
    inputs: tuple[tuple[int, ...], ...]
    """Shapes of the batches that both were given."""


def compare(wanted: Sequence[Tensor], found: Sequence[Tensor], inputs: Sequence[Tensor]) -> Parity:
    """Features of the encoder and of the artifact, (B, D) of each batch in `inputs`.

    Raises ExportError where they differ by more than `TOLERANCE` of the largest one.
    """
    for one, other, batch in zip(wanted, found, inputs, strict=True):
        if one.shape != other.shape:
            raise ExportError(
                f"of {tuple(batch.shape)} it gives features {tuple(other.shape)}, the encoder "
                f"{tuple(one.shape)}"
            )
    difference = max(float((a - b).abs().max()) for a, b in zip(wanted, found, strict=True))
    largest = max(float(each.abs().max()) for each in wanted)
    allowed = TOLERANCE * largest
    if not difference <= allowed:  # not a number is beyond it too
        raise ExportError(
            f"its features differ from the encoder's by up to {difference:.3g}, where features go "
            f"up to {largest:.3g} and {allowed:.3g} is allowed"
        )
    return Parity(difference, largest, allowed, tuple(tuple(batch.shape) for batch in inputs))


@torch.no_grad()
def features(encoder: Encoder, inputs: Sequence[Tensor]) -> list[Tensor]:
    """What the encoder makes of each batch: (B, D)."""
    return [encoder(batch) for batch in inputs]


def example(encoder: Encoder, *, rows: int = 3, side: int | None = None) -> Tensor:
    """Inputs of the size that the encoder is meant for, or of `side` px; the same ones each time.

    Pictures are cut out of two photographs, clips move over them; sounds are sweeps with noise.
    """
    if encoder.kind == "audio":
        return _sounds(rows, round(_seconds(encoder) * SOUND_HZ))
    step = side_step(encoder)
    side = side or encoder.only_px or max(encoder.spec.size // step, 1) * step
    frames = MVIT_FRAMES if encoder.spec.name == "mvit_v2_s" else FRAMES
    return _seen(encoder, rows, frames, side, side)


def another(encoder: Encoder, *, same_sides: bool = False) -> Tensor:
    """One input of other sides, frames or length than the example's, if not `same_sides`."""
    if same_sides:
        return example(encoder, rows=1)
    if encoder.kind == "audio":
        return _sounds(1, round(1.3 * _seconds(encoder) * SOUND_HZ))
    step = side_step(encoder)
    side = max(encoder.spec.size // step, 1) * step
    more = -(-8 // step) * step
    return _seen(encoder, 1, FRAMES + 3, side + more, side + 2 * more)


def side_step(encoder: Encoder) -> int:
    """What both sides of a picture must be a multiple of."""
    inner: Any = getattr(encoder, "image", encoder)
    return int(getattr(inner, "patch_px", inner.multiple_px))


def _seconds(encoder: Any) -> float:
    return float(encoder.sound.seconds)


def _seen(encoder: Encoder, rows: int, frames: int, height: int, width: int) -> Tensor:
    """(rows, 3, height, width), or (rows, 3, frames, height, width), float32 in 0..1."""
    moving = isinstance(encoder, VideoEncoder)
    clips = [
        F.interpolate(
            _clip(row, frames if moving else 1), (height, width), mode="bilinear", antialias=True
        ).clamp(0, 1)
        for row in range(rows)
    ]
    return torch.stack(clips, 0).transpose(1, 2).contiguous() if moving else torch.cat(clips)


def _clip(row: int, frames: int) -> Tensor:
    """A square of a photograph that moves to the right: (frames, 3, side, side)."""
    photographs = load_sample_images().images
    photograph = torch.tensor(photographs[row % len(photographs)]).permute(2, 0, 1) / 255
    height, width = photograph.shape[1:]
    side = round(height * ZOOMS[row % len(ZOOMS)])
    lefts = [round(frame * (width - side) / FARTHEST) for frame in range(frames)]
    return torch.stack([photograph[:, -side:, left : left + side] for left in lefts])


def _sounds(rows: int, samples: int) -> Tensor:
    """Sweeps from 200 Hz upwards in soft noise: float32 (rows, samples) in -1..1."""
    noise = torch.rand(rows, samples, generator=torch.Generator().manual_seed(0)) - 0.5
    seconds = torch.arange(samples) / SOUND_HZ
    sweeps = [
        torch.sin(6.2832 * (200 + 900 * (row + 1) * seconds) * seconds) for row in range(rows)
    ]
    return 0.5 * torch.stack(sweeps) + 0.05 * noise

"""Where in a clip something moves: tasks about time ask there, since a still scene has no order."""

from __future__ import annotations

import functools
import itertools

import torch
import torch.nn.functional as F
from torch import Tensor

from hotstart.data.sample import Clips
from hotstart.pretext.task import Draws

SIDE_PX = 24
"""Of the pictures in which motion is looked for."""
STILL = 1e-4
"""Motion, in units of white, that even a still scene is said to have: some frames must be taken."""


@functools.lru_cache(maxsize=8)
def increasing(frames: int, count: int) -> Tensor:
    """Every way to take `count` of `frames` frames in order: int64 (ways, count)."""
    return torch.tensor(list(itertools.combinations(range(frames), count)))


def motion(clips: Clips) -> Tensor:
    """How much each frame differs from the one before: float64 (B, T - 1) in 0..1.

    Mean absolute difference of the largest centred squares, in grey and at 24 px, from every k-th
    line and column where 48 of them remain: the lecture's cheap stand-in for the magnitude of
    optical flow.
    """
    return torch.stack([_changes(clips[i]) for i in range(len(clips))])


def _changes(frames: Tensor) -> Tensor:
    """Of one clip, uint8 (T, H, W, 3): float64 (T - 1,)."""
    height, width = frames.shape[1:3]
    side = min(height, width)
    top, left, every = (height - side) // 2, (width - side) // 2, max(side // (2 * SIDE_PX), 1)
    square = frames[:, top : top + side : every, left : left + side : every].float()
    down, across = (part.to(frames.device) for part in _areas(square.shape[1]))
    grey = down @ square.flatten(2) @ across
    return grey.diff(dim=0).abs().mean((1, 2), dtype=torch.float64)


@functools.lru_cache(maxsize=64)
def _areas(pixels: int) -> tuple[Tensor, Tensor]:
    """What takes means of `pixels` lines and columns over `SIDE_PX` equal parts of a side.

    Float32 (SIDE_PX, pixels) down the lines, and (3 pixels, SIDE_PX) across them, from colours of
    0..255 to grey in 0..1.
    """
    edges = torch.arange(SIDE_PX + 1) * (pixels / SIDE_PX)
    pixel = torch.arange(pixels)
    shared = torch.minimum(edges[1:, None], pixel + 1) - torch.maximum(edges[:-1, None], pixel)
    areas = shared.clamp(min=0) * (SIDE_PX / pixels)
    return areas, areas.repeat_interleave(3, 1).T / (3 * 255)


def moving_frames(clips: Clips, count: int, rng: Draws) -> Tensor:
    """`count` frames of each clip, in order, where there is motion: int64 (B, count).

    A choice is drawn in proportion to the least motion between two neighbours in it, so that no two
    of its frames are alike where that can be. A still clip gives any choice.
    """
    choices = increasing(clips.frames, count).to(clips.device)
    so_far = F.pad(motion(clips).cumsum(1), (1, 0))
    least = so_far[:, choices].diff(dim=2).amin(2) + STILL
    ladder = least.cumsum(1)
    drawn = rng.uniform().to(ladder) * ladder[:, -1]
    step = torch.searchsorted(ladder, drawn[:, None], right=True)[:, 0]
    return choices[step.clamp(max=len(choices) - 1)]

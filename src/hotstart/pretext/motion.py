"""Where in a clip something moves: tasks about time ask there, since a still scene has no order."""

from __future__ import annotations

import functools
import itertools

import torch
import torch.nn.functional as F
from torch import Tensor

from hotstart.augment import centre_clip
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

    Mean absolute difference of grey pictures of 24 px: the lecture's cheap stand-in for the
    magnitude of optical flow.
    """
    grey = centre_clip(clips, SIDE_PX).mean(1, dtype=torch.float64)
    return grey.diff(dim=1).abs().mean((2, 3))


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

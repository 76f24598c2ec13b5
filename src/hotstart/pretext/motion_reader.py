"""What changed from one map to another: the head of tasks that ask how frames moved."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from hotstart.encoders import Encoder
from hotstart.pretext.two_views import at_least_float

REACH = 4
"""Places in each direction in which one map is compared with the other."""
FINE_PLACES = 16
WIDTH, KEPT, HIDDEN_DIM = 64, 32, 256
SIDE = 4


class MotionReader(nn.Module):
    """The maps of two pictures, stage by stage -> numbers (B, numbers).

    Both last maps, reduced to 32 channels, and how alike each place of a finer map of the first is
    to the 9 x 9 around it in that of the second: the correlation layer of Fischer 2015 (FlowNet,
    arXiv:1504.06852), eq. 1, of single places and with features of length 1. All of it goes through
    two convolutions, is averaged to 4 x 4 places, and read by a layer of 256; the last layer sees
    that, and the mean likeness at each offset, from which a common shift can be read off even
    before the encoder has learned anything. The finer map is the deepest with 16 places a side
    (the last, where none has).
    """

    def __init__(self, encoder: Encoder, size: int, numbers: int) -> None:
        super().__init__()
        strides = encoder.stage_strides
        fine = [stage for stage, stride in enumerate(strides) if size >= FINE_PLACES * stride]
        self.fine = fine[-1] if fine else len(strides) - 1
        self.reduce = nn.Conv2d(encoder.stage_dims[-1], KEPT, 1)
        alike = (2 * REACH + 1) ** 2
        self.layers = nn.Sequential(
            *(nn.BatchNorm2d(alike + 2 * KEPT), nn.Conv2d(alike + 2 * KEPT, WIDTH, 3, padding=1)),
            *(nn.BatchNorm2d(WIDTH), nn.ReLU(inplace=True), nn.Conv2d(WIDTH, WIDTH, 3, padding=1)),
            *(nn.BatchNorm2d(WIDTH), nn.ReLU(inplace=True), nn.AdaptiveAvgPool2d(SIDE)),
            *(nn.Flatten(), nn.Linear(WIDTH * SIDE**2, HIDDEN_DIM), nn.ReLU(inplace=True)),
        )
        self.norm = nn.BatchNorm1d(alike)
        self.last = nn.Linear(HIDDEN_DIM + alike, numbers)

    def forward(self, encoder: Encoder, first: Tensor, second: Tensor) -> Tensor:
        frames = torch.cat([first, second]).contiguous(memory_format=torch.channels_last)
        maps = encoder.stages(frames)
        before, after = maps[self.fine].chunk(2)
        alike = alikeness(before, after, REACH)
        lasts = F.interpolate(self.reduce(maps[-1]), size=alike.shape[2:]).chunk(2)
        read = self.layers(torch.cat([alike, *lasts], 1))
        said: Tensor = self.last(torch.cat([read, self.norm(alike.mean((2, 3)))], 1))
        return said


def alikeness(first: Tensor, second: Tensor, reach: int) -> Tensor:
    """The cosine of each place of one map with those around it in the other.

    (B, C, h, w) each -> (B, (2 reach + 1)^2, h, w), the offsets in reading order; 0 beyond the rim.
    """
    one, other = (F.normalize(at_least_float(features), dim=1) for features in (first, second))
    height, width = one.shape[2:]
    wide = F.pad(other, (reach,) * 4)
    side = range(2 * reach + 1)
    return torch.stack(
        [(one * wide[:, :, y : y + height, x : x + width]).sum(1) for y in side for x in side], 1
    )

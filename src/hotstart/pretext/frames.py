"""What the heads of tasks about time read of each frame."""

from __future__ import annotations

import torch.nn.functional as F
from torch import Tensor, nn

from hotstart.encoders import Encoder, map_shape

MAP_SIDE = 4
FRAME_DIM = 128


class FrameReader(nn.Module):
    """The encoder's last map of each frame through one layer: (B, 3, T, S, S) -> (B, T, 128).

    Where something is tells what moved; the mean over all places, which h is, would not. The layer
    stands where AlexNet's fc6 does in the papers, is the same for all frames, and is discarded as
    that is. The map is averaged to at most 4 x 4 places. (A ViT's patch tokens are such a map.)
    """

    def __init__(self, encoder: Encoder, size: int) -> None:
        super().__init__()
        channels, side = map_shape(encoder, size)
        self.side = min(side, MAP_SIDE)
        self.layer = nn.Linear(channels * self.side**2, FRAME_DIM)

    def forward(self, encoder: Encoder, clips: Tensor) -> Tensor:
        frames = clips.transpose(1, 2).flatten(0, 1)
        last = encoder.feature_map(frames, encoder.stage_strides[-1])
        read: Tensor = self.layer(F.adaptive_avg_pool2d(last, self.side).flatten(1))
        return F.relu(read).view(len(clips), clips.shape[2], -1)

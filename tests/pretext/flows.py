"""Batches of clips whose flow is known, as the data path would hand them on."""

from __future__ import annotations

import cv2
import numpy as np
import torch

from hotstart.data.sample import Batch, Flows
from tests.pretext.moving import Moving

SIZE = 32


def flows_of(clips: Moving, k: int = 0) -> Flows:
    """The true flow of frame k, at half the resolution, as the data path keeps it."""
    side = clips.pixels.shape[2]
    fields = [
        cv2.resize(np.moveaxis(flow[k], 0, 2), (side // 2, side // 2), interpolation=cv2.INTER_AREA)
        for flow in clips.flow
    ]
    count, half = len(clips), torch.full((len(clips),), side // 2)
    vectors = torch.from_numpy(np.stack(fields)).reshape(-1, 2) / side
    return Flows(
        vectors.half(),
        torch.ones(len(vectors), dtype=torch.bool),
        torch.arange(count) * (side // 2) ** 2,
        half,
        half,
        torch.tensor([[0.0, 1 / 8]], dtype=torch.float64).repeat(count, 1),
    )


def batch_of(clips: Moving) -> Batch:
    """Their first frames, and the flow from there."""
    return {"image": clips.frame(0), "flow": flows_of(clips)}

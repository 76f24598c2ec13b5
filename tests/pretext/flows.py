"""Batches of clips whose flow is known, as the data path would hand them on."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor

from hotstart.data.sample import Batch, Flows
from tests.pretext.moving import Moving

SIZE = 32


def fields_of(vectors: Tensor) -> Flows:
    """One known field for each of (N, 2, H, W), in shares of the shorter side."""
    count, _, height, width = vectors.shape
    places = vectors.permute(0, 2, 3, 1).reshape(-1, 2)
    return Flows(
        places.half(),
        torch.ones(len(places), dtype=torch.bool),
        torch.arange(count) * height * width,
        torch.full((count,), height),
        torch.full((count,), width),
        torch.tensor([[0.0, 1 / 8]], dtype=torch.float64).repeat(count, 1),
    )


def flows_of(clips: Moving, k: int = 0) -> Flows:
    """The true flow of frame k, at half the resolution, as the data path keeps it."""
    flow = torch.from_numpy(clips.flow[:, k])
    return fields_of(F.avg_pool2d(flow, 2) / flow.shape[-1])


def batch_of(clips: Moving) -> Batch:
    """Their first frames, and the flow from there."""
    return {"image": clips.frame(0), "flow": flows_of(clips)}

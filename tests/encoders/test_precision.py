"""Encoders of clips in bfloat16."""

from __future__ import annotations

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor

from hotstart.encoders import build_encoder, resolve_spec


@pytest.mark.parametrize("frames", [2, 4, 16])
def test_gradients_in_bfloat16_are_near_those_in_float32(frames: int) -> None:
    """On processors that compute in it, a 3-D convolution of two frames left memory unwritten."""

    def gradients(precise: bool) -> list[Tensor]:
        encoder = build_encoder(resolve_spec("r3d10_narrow", 32, "auto"), 0).train()
        clips = torch.rand(8, 3, frames, 32, 32, generator=torch.Generator().manual_seed(0))
        # What is freed here is what the backward pass is given.
        poison = [torch.full((2**n,), float("nan")) for n in range(6, 23) for _ in range(4)]
        with torch.autocast("cpu", torch.bfloat16, enabled=not precise):
            h = encoder(clips)
        del poison
        h.float().square().mean().backward()
        return [p.grad for p in encoder.parameters() if p.grad is not None]

    for exact, rough in zip(gradients(True), gradients(False), strict=True):
        assert bool(rough.isfinite().all())
        assert F.cosine_similarity(exact.flatten(), rough.flatten(), 0) > 0.9

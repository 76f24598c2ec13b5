"""Attention maps as pictures."""

from __future__ import annotations

import cv2
import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

from hotstart.augment import centre_view
from hotstart.encoders import Encoder
from hotstart.encoders.vit import VitEncoder
from hotstart.pretext.panels import SHOWN
from hotstart.pretext.task import Batch, Panel, to_uint8

HEADS = 6
"""Shown at most, beside their mean."""


@torch.no_grad()
def attention_panel(task: str, encoder: Encoder, batch: Batch) -> Panel:
    """A few pictures beside what each head of the last block, and their mean, looks at.

    Each map is stretched from its own least to its own largest value.
    """
    assert isinstance(encoder, VitEncoder)
    count = min(SHOWN, len(batch["image"]))
    wholes = centre_view(batch["image"].select(range(count)), encoder.spec.size)
    maps = encoder.attention(wholes)
    shown = torch.cat([maps.mean(1, keepdim=True), maps[:, :HEADS]], 1)
    pictures = to_uint8(wholes)
    return Panel(
        f"{task}-attention",
        "Where it looks",
        "What each head of the last block attends to: bright where it takes most from, each map "
        f"on a scale of its own, {maps.shape[2]} x {maps.shape[3]} patches. Nobody told it where "
        "the thing is.",
        ("picture", "mean of heads", *(f"head {k + 1}" for k in range(shown.shape[1] - 1))),
        [
            [picture, *(coloured(one, picture.shape[0]) for one in row)]
            for picture, row in zip(pictures, shown, strict=True)
        ],
        [[""] * (1 + shown.shape[1])] * count,
        "prediction",
    )


def coloured(one: Tensor, side: int) -> np.ndarray[tuple[int, ...], np.dtype[np.uint8]]:
    """A map (rows, columns), from its least to its largest value in colours: uint8 (side, side, 3).

    Perceptually even colours (viridis), dark for little; patches stay visible as such.
    """
    spread = (one - one.min()) / (one.max() - one.min()).clamp_min(1e-12)
    large = F.interpolate(spread[None, None].float(), (side, side))[0, 0]
    levels = (large * 255).round().to(torch.uint8).cpu().numpy()
    bgr = cv2.applyColorMap(levels, cv2.COLORMAP_VIRIDIS)
    return np.ascontiguousarray(bgr[..., ::-1]).astype(np.uint8)

"""Sound for the eye: spectrograms under their pictures, and heat over them."""

from __future__ import annotations

from collections.abc import Sequence

import cv2
import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from hotstart.augment import log_mel
from hotstart.pretext.task import Panel, PanelKind, to_uint8

Array = npt.NDArray[np.uint8]
CARD_PX = 128
"""Width of a picture with its spectrogram."""
SPECTROGRAM_PX = 56
QUIET, LOUD = -4.6, 2.0
"""Logarithms that are black, silence, and bright, loud speech."""
HEAT_SHARE = 0.45


@torch.no_grad()
def spectrograms(sounds: Tensor) -> list[Array]:
    """Log-mel spectrograms of sounds (B, n), uint8 (F, T, 3): time to the right, high notes up."""
    levels = log_mel(sounds)[:, 0].flip(1).float()
    shade = ((levels - QUIET) / (LOUD - QUIET)).clamp(0, 1).mul(255).byte().cpu().numpy()
    return [_coloured(picture, cv2.COLORMAP_MAGMA) for picture in shade]


@torch.no_grad()
def heat_over(pictures: Tensor, heat: Tensor) -> list[Array]:
    """Pictures (B, 3, S, S) under a map (B, H, W) each: red where it is highest, blue lowest."""
    size = pictures.shape[2:]
    maps = torch.nn.functional.interpolate(heat[:, None].float(), size=size, mode="bicubic")[:, 0]
    low, high = maps.amin((1, 2), keepdim=True), maps.amax((1, 2), keepdim=True)
    shade = ((maps - low) / (high - low).clamp_min(1e-6)).mul(255).byte().cpu().numpy()
    return [
        cv2.addWeighted(
            picture, 1 - HEAT_SHARE, _coloured(own, cv2.COLORMAP_TURBO), HEAT_SHARE, 0
        ).astype(np.uint8)
        for picture, own in zip(to_uint8(pictures), shade, strict=True)
    ]


def match_panel(
    name: str,
    title: str,
    caption: str,
    columns: Sequence[str],
    cells: Sequence[Sequence[tuple[Array, Array]]],
    texts: Sequence[Sequence[str]],
    kind: PanelKind = "views",
) -> Panel:
    """A panel whose cells are a picture with the spectrogram of its sound under it."""
    cards = [[_card(picture, sound) for picture, sound in row] for row in cells]
    return Panel(name, title, caption, columns, cards, texts, kind)


def strip(frames: Sequence[Array]) -> Array:
    """The first, the middle and the last of frames (H, W, 3), side by side."""
    chosen = sorted({0, len(frames) // 2, len(frames) - 1})
    return np.concatenate([frames[k] for k in chosen], axis=1)


def _card(picture: Array, sound: Array) -> Array:
    """A picture over a spectrogram of its width."""
    height = max(round(CARD_PX * picture.shape[0] / picture.shape[1]), 1)
    large = cv2.resize(picture, (CARD_PX, height), interpolation=cv2.INTER_CUBIC)
    heard = cv2.resize(sound, (CARD_PX, SPECTROGRAM_PX), interpolation=cv2.INTER_AREA)
    gap = np.full((3, CARD_PX, 3), 255, np.uint8)
    return np.concatenate([large.astype(np.uint8), gap, heard.astype(np.uint8)])


def _coloured(shade: Array, colours: int) -> Array:
    coloured = cv2.applyColorMap(np.ascontiguousarray(shade), colours)
    return np.ascontiguousarray(coloured[..., ::-1]).astype(np.uint8)

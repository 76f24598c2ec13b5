"""Sound for eye and ear: spectrograms under their pictures, players, and heat over pictures."""

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
Cell = tuple[Array, Tensor | None]
"""A picture and its sound."""
CARD_PX = 128
"""Width of a picture with its spectrogram."""
SPECTROGRAM_PX = 56
SHOWN_PX = 192
"""The longest side of a card in a sheet."""
QUIET, LOUD = -4.6, 2.0
"""Logarithms that are black, silence, and bright, loud speech."""
HEAT_SHARE = 0.45


@torch.no_grad()
def spectrogram(sound: Tensor) -> Array:
    """Log-mel spectrogram of a sound (n,), uint8 (F, T, 3): time to the right, high notes up."""
    levels = log_mel(sound[None])[0, 0].flip(0).float()
    shade = ((levels - QUIET) / (LOUD - QUIET)).clamp(0, 1).mul(255).byte().cpu().numpy()
    return _coloured(shade, cv2.COLORMAP_MAGMA)


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
    cells: Sequence[Sequence[Cell]],
    texts: Sequence[Sequence[str]],
    kind: PanelKind = "views",
) -> Panel:
    """A panel whose cells are a picture over the spectrogram of its sound (n,), which can be heard.

    A sound that stands twice in a row can be heard once; None is silence.
    """
    cards, heard = [], []
    for row in cells:
        cards.append([_card(picture, sound) for picture, sound in row])
        own = [sound for _, sound in row]
        heard.append(
            [
                None if sound is None or any(sound is other for other in own[:k]) else _pcm(sound)
                for k, sound in enumerate(own)
            ]
        )
    return Panel(name, title, caption, columns, cards, texts, kind, cell_px=SHOWN_PX, sounds=heard)


def strip(frames: Sequence[Array]) -> Array:
    """The first, the middle and the last of frames (H, W, 3), side by side."""
    chosen = sorted({0, len(frames) // 2, len(frames) - 1})
    return np.concatenate([frames[k] for k in chosen], axis=1)


def _card(picture: Array, sound: Tensor | None) -> Array:
    """A picture over a spectrogram of its width."""
    height = max(round(CARD_PX * picture.shape[0] / picture.shape[1]), 1)
    large = cv2.resize(picture, (CARD_PX, height), interpolation=cv2.INTER_CUBIC)
    heard = np.zeros((SPECTROGRAM_PX, CARD_PX, 3), np.uint8)
    if sound is not None:
        size = CARD_PX, SPECTROGRAM_PX
        heard = cv2.resize(spectrogram(sound), size, interpolation=cv2.INTER_AREA)  # type: ignore[assignment]
    gap = np.full((3, CARD_PX, 3), 255, np.uint8)
    return np.concatenate([large.astype(np.uint8), gap, heard])


def _pcm(sound: Tensor) -> npt.NDArray[np.int16]:
    """Floats in -1..1 or int16 (n,) as int16."""
    if sound.dtype == torch.int16:
        return np.asarray(sound.cpu().numpy(), np.int16)
    return np.asarray((sound.float().clamp(-1, 1) * (2**15 - 1)).cpu().numpy(), np.int16)


def _coloured(shade: Array, colours: int) -> Array:
    coloured = cv2.applyColorMap(np.ascontiguousarray(shade), colours)
    return np.ascontiguousarray(coloured[..., ::-1]).astype(np.uint8)

"""Views of sound: samples -> log-mel spectrogram."""

from __future__ import annotations

from functools import lru_cache

import torch
from torch import Tensor

from hotstart.data.sample import SOUND_HZ
from hotstart.errors import UsageError

WINDOW_SECONDS = 0.025
HOP_SECONDS = 0.010
MELS = 64
LOWEST_HZ, HIGHEST_HZ = 125.0, 7500.0
FLOOR = 0.01
"""Added before the logarithm."""


def log_mel(
    audio: Tensor,
    mels: int = MELS,
    window_seconds: float = WINDOW_SECONDS,
    hop_seconds: float = HOP_SECONDS,
) -> Tensor:
    """Log-mel spectrogram of sound at `SOUND_HZ`: (B, n) int16, or float in -1..1 -> (B, 1, F, T).

    T = 1 + (n - 400) // 160: magnitudes of windows of 25 ms (Hann, periodic) every 10 ms, without
    padding; F triangles evenly spaced in mel (HTK) from 125 to 7500 Hz; log(x + 0.01). These are
    the numbers of Hershey 2017 (VGGish), arXiv:1609.09430, section 3.2.
    Of int16 it is float32, of floats it has their precision.
    Raises UsageError when the sound is shorter than one window.
    """
    window, hop = round(window_seconds * SOUND_HZ), round(hop_seconds * SOUND_HZ)
    if audio.shape[-1] < window:
        raise UsageError(
            f"got {audio.shape[-1]} samples of sound, one window has {window}; ask for more seconds"
        )
    wave = as_waves(audio)
    # There is no transform of less than single precision.
    exact = wave if wave.dtype == torch.float64 else wave.float()
    bins = 1 << (window - 1).bit_length()
    hann = torch.hann_window(window, dtype=exact.dtype, device=exact.device)
    magnitudes = torch.fft.rfft(exact.unfold(-1, window, hop) * hann, bins).abs()
    filters = _mel_filters(bins, mels).to(exact)
    spectrogram = torch.log(magnitudes @ filters + FLOOR)
    return spectrogram.transpose(1, 2).unsqueeze(1).to(wave.dtype)


def as_waves(audio: Tensor) -> Tensor:
    """Sound as floats in -1..1: int16 is brought there, as float32; floats are left alone."""
    return audio.float() / 2**15 if audio.dtype == torch.int16 else audio


@lru_cache(maxsize=4)
def _mel_filters(bins: int, mels: int) -> Tensor:
    """Triangles float64 (bins / 2 + 1, mels): 1 at their centre, 0 at their neighbours' centres."""

    def mel(hz: Tensor) -> Tensor:
        return 1127.0 * torch.log1p(hz / 700.0)

    of_bins = mel(torch.linspace(0, SOUND_HZ / 2, bins // 2 + 1, dtype=torch.float64))
    low, high = mel(torch.tensor([LOWEST_HZ, HIGHEST_HZ], dtype=torch.float64)).tolist()
    edges = torch.linspace(low, high, mels + 2, dtype=torch.float64)
    width = edges[1] - edges[0]
    return (1 - (of_bins[:, None] - edges[1:-1]).abs() / width).clamp(min=0)

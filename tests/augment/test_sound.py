"""The log-mel spectrogram against one written with loops."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch

from hotstart.augment import log_mel
from hotstart.errors import UsageError


def naive(samples: np.ndarray, mels: int) -> np.ndarray:
    """VGGish's features (arXiv:1609.09430, section 3.2) by the book, float64 (mels, T)."""

    def to_mel(hz: float) -> float:
        return 2595 * math.log10(1 + hz / 700)

    edges = np.linspace(to_mel(125), to_mel(7500), mels + 2)
    columns = []
    for start in range(0, len(samples) - 400 + 1, 160):
        piece = samples[start : start + 400].astype(np.float64) / 32768
        window = 0.5 - 0.5 * np.cos(2 * np.pi * np.arange(400) / 400)
        spectrum = np.abs(np.fft.fft(piece * window, 512))[:257]
        column = []
        for m in range(mels):
            total = 0.0
            for k in range(257):
                hz = k * 16_000 / 512
                rising = (to_mel(hz) - edges[m]) / (edges[m + 1] - edges[m])
                falling = (edges[m + 2] - to_mel(hz)) / (edges[m + 2] - edges[m + 1])
                total += max(0.0, min(rising, falling)) * spectrum[k]
            column.append(math.log(total + 0.01))
        columns.append(column)
    return np.array(columns).T


def test_equal_to_loops() -> None:
    rng = np.random.default_rng(0)
    sound = (rng.standard_normal((2, 1200)) * 6000).astype(np.int16)
    found = log_mel(torch.from_numpy(sound), mels=16)
    assert found.shape == (2, 1, 16, 6)
    for i in range(2):
        np.testing.assert_allclose(found[i, 0].numpy(), naive(sound[i], 16), atol=1e-3)
    as_floats = log_mel(torch.from_numpy(sound).float() / 32768, mels=16)
    assert torch.equal(as_floats, found)


def test_a_tone_shows_in_its_band_when_it_sounds() -> None:
    seconds = torch.arange(16_000) / 16_000
    tone = torch.sin(2 * math.pi * 1000 * seconds) * (seconds > 0.5)
    found = log_mel(tone[None])[0, 0]
    assert found.shape == (64, 98)
    mel = 2595 * math.log10(1 + 1000 / 700)
    low, high = (2595 * math.log10(1 + hz / 700) for hz in (125, 7500))
    band = (mel - low) / (high - low) * 65 - 1
    assert abs(int(found[:, 80].argmax()) - band) <= 1
    assert float(found[:, :45].max()) == pytest.approx(math.log(0.01), abs=1e-4)


def test_too_short() -> None:
    with pytest.raises(UsageError, match="got 300 samples of sound, one window has 400"):
        log_mel(torch.zeros(1, 300))


def test_works_in_the_precision_of_its_sound() -> None:
    sound = torch.rand(1, 4000, dtype=torch.float64) - 0.5
    exact = log_mel(sound, mels=16)
    assert exact.dtype == torch.float64
    for dtype in (torch.float32, torch.bfloat16):
        found = log_mel(sound.to(dtype), mels=16)
        assert found.dtype == dtype
        assert float((found.double() - exact).abs().max()) < (
            1e-4 if dtype == torch.float32 else 0.1
        )


def test_windows_and_hops_are_as_long_as_asked() -> None:
    found = log_mel(torch.zeros(1, 16_000), 8, window_seconds=0.05, hop_seconds=0.02)
    assert found.shape == (1, 1, 8, 1 + (16_000 - 800) // 320)

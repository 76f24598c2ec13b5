"""What a sound is like, whatever happens when in it: statistics of its envelopes."""

from __future__ import annotations

import torch
from torch import Tensor

from hotstart.augment import log_mel
from hotstart.augment.sound import FLOOR, HOP_SECONDS

BANDS = 32
COMPRESSION = 0.3
"""Exponent of the envelopes: the ear's."""
MODULATIONS_HZ = (0.5, 1.0, 2.0, 4.0, 8.0, 16.0, 32.0, 50.0)
"""Edges of octaves in which envelopes go up and down."""
DISTANCES = (1, 2, 4, 8)
"""Between bands whose envelopes are held against each other."""
LENGTH = 2 * BANDS + (len(MODULATIONS_HZ) - 1) * BANDS + len(DISTANCES) * BANDS
LEAST = 1e-6


def sound_statistics(audio: Tensor) -> Tensor:
    """Statistics of sounds at 16 kHz, int16 or float (B, n) -> float32 (B, `LENGTH`).

    Of the envelopes of 32 mel bands, compressed by the power 0.3: mean and deviation of each; how
    its energy is spread over seven octaves of modulation, 0.5 to 50 Hz; its correlation with the
    bands 1, 2, 4 and 8 above it (0 where there is none). As in Owens 2016 (arXiv:1608.07017),
    section 3.1, after McDermott & Simoncelli 2011. Deviation: mel bands every 10 ms in place of a
    cochlear filter bank, and no mean over bands of the modulation.
    """
    # From 2 seconds of sound on all octaves can be told; below, the lowest ones are empty.
    magnitudes = (log_mel(audio, BANDS).float()[:, 0].exp() - FLOOR).clamp_min(0)
    envelopes = magnitudes**COMPRESSION
    mean = envelopes.mean(2)
    centred = envelopes - mean[..., None]
    deviation = centred.square().mean(2).sqrt()
    power = torch.fft.rfft(centred).abs().square()
    hertz = torch.fft.rfftfreq(envelopes.shape[2], HOP_SECONDS, device=audio.device)
    edges = torch.tensor(MODULATIONS_HZ, device=audio.device)
    octave = torch.bucketize(hertz, edges, right=True)
    shares = [power[..., octave == k].sum(2) for k in range(1, len(MODULATIONS_HZ))]
    total = power.sum(2).clamp_min(LEAST)
    modulation = torch.stack([share / total for share in shares], 2).sqrt()
    unit = centred / (deviation * envelopes.shape[2] ** 0.5).clamp_min(LEAST)[..., None]
    correlation = torch.zeros(*mean.shape, len(DISTANCES), device=audio.device)
    for k, apart in enumerate(DISTANCES):
        correlation[:, :-apart, k] = (unit[:, :-apart] * unit[:, apart:]).sum(2)
    return torch.cat([mean, deviation, modulation.flatten(1), correlation.flatten(1)], 1)

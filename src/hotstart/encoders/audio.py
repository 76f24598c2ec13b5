"""Encoders of sound: any CNN on log-mel spectrograms."""

from __future__ import annotations

from typing import ClassVar

import torch
from torch import Tensor

from hotstart.augment.sound import log_mel
from hotstart.encoders.cnn import SOUND, CnnEncoder
from hotstart.encoders.encoder import EncoderSpec, Kind, SoundSpec
from hotstart.errors import UsageError

LOG_MEL_MEAN, LOG_MEL_STD = -2.2, 1.7
"""Of speech of one speaker (GRID), to one digit: what is fed to the network is near 0 and 1."""


class AudioEncoder(CnnEncoder):
    """Sound in, features `h` out: a timm CNN that sees the log-mel spectrogram as a picture.

    Sounds are (B, n) at 16 kHz, int16 or float in -1..1, of any length from one window on; the
    spectrogram, F = `spec.size` bands of `spec.sound`'s windows, is made inside (`log_mel`). Maps
    are (B, C, F', T'), strides count bands and windows alike. As in Hershey 2017 (VGGish),
    arXiv:1609.09430, of which the numbers of the spectrogram are.
    """

    kind: ClassVar[Kind] = "audio"
    channels: ClassVar[int] = 1

    def __init__(self, spec: EncoderSpec) -> None:
        self.sound = spec.sound or SoundSpec()
        super().__init__(spec)
        self.register_buffer("mean", torch.tensor(LOG_MEL_MEAN).view(1, 1, 1, 1), persistent=False)
        self.register_buffer("std", torch.tensor(LOG_MEL_STD).view(1, 1, 1, 1), persistent=False)

    def normalise(self, sounds: Tensor) -> Tensor:
        """(B, n) -> log-mel spectrograms (B, 1, F, T), speech with about mean 0 and deviation 1."""
        if sounds.ndim != 2:
            raise UsageError(
                f"{self.spec.name} hears sounds, (B, n) at 16 kHz, got {tuple(sounds.shape)}"
            )
        hearing = self.sound
        found = log_mel(sounds, self.spec.size, hearing.window_seconds, hearing.hop_seconds)
        self.check_sides(found)
        return (found.to(self.mean.dtype) - self.mean) / self.std


__all__ = ["SOUND", "AudioEncoder"]

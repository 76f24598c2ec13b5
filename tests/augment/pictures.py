"""Generated pictures with the look of photographs: smooth colours, texture, hard edges."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

Picture = npt.NDArray[np.uint8]


def make_picture(height: int, width: int, seed: int) -> Picture:
    """Uint8 (height, width, 3): noise whose spectrum falls like that of photographs, and discs."""
    rng = np.random.default_rng([seed, height, width])
    rows, columns = np.fft.fftfreq(height)[:, None], np.fft.fftfreq(width)[None]
    falling = 1 / np.maximum(np.hypot(rows, columns), 1 / max(height, width))
    falling[0, 0] = 0
    spectrum = np.fft.fft2(rng.standard_normal((3, height, width))) * falling
    noise = np.fft.ifft2(spectrum).real
    noise /= noise.std((1, 2), keepdims=True) + 1e-9
    shared = noise[:1]  # channels of photographs go together
    picture = 118 + 45 * (0.85 * shared + 0.5 * noise) + rng.uniform(-25, 25, (3, 1, 1))
    y, x = np.mgrid[:height, :width]
    for _ in range(4):
        centre = rng.uniform(0, (height, width))
        radius = rng.uniform(0.05, 0.3) * min(height, width)
        disc = np.hypot(y - centre[0], x - centre[1]) < radius
        picture[:, disc] = 0.4 * picture[:, disc] + rng.uniform(0, 150, (3, 1))
    return np.clip(picture, 0, 255).round().astype(np.uint8).transpose(1, 2, 0).copy()

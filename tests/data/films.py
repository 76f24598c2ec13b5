"""Tiny videos whose every frame tells its number: a white square that moves on by 6 px."""

from __future__ import annotations

from collections.abc import Sequence
from fractions import Fraction
from pathlib import Path
from typing import Any

import av
import numpy as np
import numpy.typing as npt

WIDTH, HEIGHT, STEP = 96, 48, 6
HZ = 25
EVEN = tuple(range(0, 12 * 40, 40))
"""Milliseconds of twelve frames at 25 Hz."""
FORMATS = {
    "x264.mp4": "libx264",
    "mpeg4.mp4": "mpeg4",
    "plain.avi": "mpeg4",
    "exact.mkv": "ffv1",
    "vp9.webm": "libvpx-vp9",
    "photos.mov": "mjpeg",
    "pixels.gif": "gif",
}
PIXELS = {"mjpeg": "yuvj420p", "ffv1": "bgr0", "gif": "rgb8"}


def picture(number: int, seed: int = 0) -> npt.NDArray[np.uint8]:
    """Frame `number` of film `seed`, uint8 (48, 96, 3)."""
    rng = np.random.default_rng(seed)
    coarse = rng.integers(0, 120, (6, 12, 3), dtype=np.uint8)
    pixels = coarse.repeat(8, 0).repeat(8, 1)
    left = STEP * number
    pixels[16:32, left : left + STEP + 2] = 255
    return pixels


def number(pixels: npt.NDArray[np.uint8]) -> int:
    """Which frame this is, by where it is white."""
    bright = pixels[18:30].astype(float).mean((0, 2))
    return int(np.argmax(np.convolve(bright, np.ones(STEP + 2), "valid")) / STEP + 0.5)


def film(
    path: Path,
    times: Sequence[int] = EVEN,
    codec: str = "mpeg4",
    *,
    seed: int = 0,
    sound: npt.NDArray[np.int16] | None = None,
    sound_at: float = 0.0,
    options: dict[str, str] | None = None,
    kind: str | None = None,
) -> Path:
    """Write frames shown at `times` in milliseconds, and sound of 16 kHz from `sound_at` on."""
    path.parent.mkdir(parents=True, exist_ok=True)
    # Else some containers draw a number for each file, which is another content hash each time.
    asked = {"fflags": "+bitexact", **(options or {})}
    with av.open(str(path), "w", format=kind, options=asked) as container:
        stream: Any = container.add_stream(codec, rate=HZ)
        stream.width, stream.height = WIDTH, HEIGHT
        stream.pix_fmt = PIXELS.get(codec, "yuv420p")
        if codec != "ffv1":
            stream.bit_rate = 2_000_000
        stream.gop_size = 5
        even = times == EVEN
        unit = Fraction(1, HZ) if even else Fraction(1, 1000)
        stream.codec_context.time_base = unit
        ear: Any = None
        if sound is not None:
            ear = container.add_stream("pcm_s16le" if path.suffix == ".mkv" else "aac", rate=16_000)
            ear.layout = "mono"
        for i, milliseconds in enumerate(times):
            frame = av.VideoFrame.from_ndarray(picture(i, seed), format="rgb24")
            frame.pts = i if even else milliseconds
            frame.time_base = unit
            container.mux(stream.encode(frame))
        container.mux(stream.encode())
        if sound is not None:
            heard = av.AudioFrame.from_ndarray(sound[None], format="s16", layout="mono")
            heard.sample_rate, heard.time_base = 16_000, Fraction(1, 16_000)
            heard.pts = round(sound_at * 16_000)
            container.mux(ear.encode(heard))
            container.mux(ear.encode())
    return path


def sound_alone(path: Path) -> Path:
    """A file without pictures, whatever it is called."""
    with av.open(str(path), "w", format="mp4") as container:
        ear: Any = container.add_stream("aac", rate=16_000)
        ear.layout = "mono"
        frame = av.AudioFrame.from_ndarray(np.zeros((1, 16_000), np.int16), "s16", "mono")
        frame.sample_rate = 16_000
        container.mux(ear.encode(frame))
        container.mux(ear.encode())
    return path

"""Videos of which no single frame tells the class: a white square that moves, or rests."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import av
import numpy as np
import numpy.typing as npt

SIDE, FRAMES, HZ = 48, 12, 12
SQUARE, STEP = 12, 3


def moving(number: int, step: int) -> npt.NDArray[np.uint8]:
    """Video `number`, uint8 (12, 48, 48, 3): the square moves by `step` px a frame.

    In the middle of the video it is anywhere, whatever the step; it leaves the picture at one side
    and comes back at the other.
    """
    rng = np.random.default_rng(number)
    background = rng.integers(0, 120, (6, 6, 3), dtype=np.uint8).repeat(8, 0).repeat(8, 1)
    top, left = rng.integers(0, SIDE - SQUARE), rng.integers(0, SIDE)
    frames = np.stack([background] * FRAMES)
    for i, frame in enumerate(frames):
        across = (left + step * (i - FRAMES // 2) + np.arange(SQUARE)) % SIDE
        frame[top : top + SQUARE, across] = 255
    return frames


def write_video(path: Path, frames: npt.NDArray[np.uint8]) -> None:
    """Frames uint8 (T, H, W, 3) at 12 Hz, without loss."""
    path.parent.mkdir(parents=True, exist_ok=True)
    # Else Matroska draws a number for each file, and content hashes cut other splits each time.
    with av.open(str(path), "w", options={"fflags": "+bitexact"}) as container:
        stream: Any = container.add_stream("ffv1", rate=HZ)
        stream.height, stream.width = frames.shape[1:3]
        stream.pix_fmt = "bgr0"
        for pixels in frames:
            container.mux(stream.encode(av.VideoFrame.from_ndarray(pixels, format="rgb24")))
        container.mux(stream.encode())


def write_actions(root: Path, each: int) -> Path:
    """Class folders `moves` and `rests` of `each` videos."""
    for i in range(each):
        write_video(root / "moves" / f"{i:03d}.mkv", moving(2 * i, STEP))
        write_video(root / "rests" / f"{i:03d}.mkv", moving(2 * i + 1, 0))
    return root

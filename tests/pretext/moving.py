"""Clips whose truth is known: a textured disc over a textured ground, each with its own motion.

Textures are sums of waves, so that they are exact at any fraction of a pixel and have no border:
frame t shows the texture displaced by t times its velocity, and nothing else changes.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import av
import numpy as np
import numpy.typing as npt
import torch

from hotstart.data.sample import SOUND_HZ, Batch, Clips, Pictures

FRAMES, SIZE, HZ = 8, 32, 8
WAVES = 6
WAVELENGTHS_PX = 6.0, 24.0
Floats = npt.NDArray[np.float64]


@dataclass(frozen=True)
class Moving:
    """N clips of T frames of H x W px, and what is true of them."""

    pixels: npt.NDArray[np.uint8]
    """(N, T, H, W, 3)."""
    flow: npt.NDArray[np.float32]
    """(N, T, 2, H, W): by how many px, right and down, what a pixel shows moves on until the next
    moment; of the last frame too, though nothing comes after it."""
    mask: npt.NDArray[np.bool_]
    """(N, T, H, W): where the disc is."""
    order: npt.NDArray[np.int64]
    """(N, T): the moment that each frame shows; 0 .. T - 1 where frames are not shuffled."""
    ground_px: Floats
    """(N, 2): the ground's velocity, px a frame, right and down."""
    disc_px: Floats
    """(N, 2): the disc's."""

    def __len__(self) -> int:
        return len(self.pixels)

    def clips(self) -> Clips:
        """As the loader hands them to a task; times as if the frames were in order."""
        pictures = Pictures.from_arrays(list(self.pixels.reshape(-1, *self.pixels.shape[2:])))
        times = torch.arange(self.pixels.shape[1], dtype=torch.float64) / HZ
        return Clips(pictures, times.repeat(len(self), 1))

    def batch(self) -> Batch:
        """A batch of them."""
        return {"clip": self.clips()}

    def frame(self, k: int) -> Pictures:
        """Frame k of each clip."""
        return self.clips().frame(k)

    def shuffled(self, seed: int) -> Moving:
        """The same with the frames of each clip in an order of its own, and their truth with them.

        For whoever learns from motion this is shuffled truth: flow leads nowhere.
        """
        count, frames = self.order.shape
        moved = np.random.default_rng(seed).permuted(np.tile(np.arange(frames), (count, 1)), axis=1)
        rows = np.arange(count)[:, None]
        return replace(
            self,
            pixels=self.pixels[rows, moved],
            flow=self.flow[rows, moved],
            mask=self.mask[rows, moved],
            order=self.order[rows, moved],
        )

    def write(self, folder: Path) -> Path:
        """One video file for each clip, without loss, 8 frames a second, each with a sound.

        Beside it stand the poses of a camera that looks straight at the ground and moves against
        it: a pixel is a metre.
        """
        folder.mkdir(parents=True, exist_ok=True)
        for i, clip in enumerate(self.pixels):
            with av.open(str(folder / f"{i:04d}.mkv"), "w") as container:
                stream: Any = container.add_stream("ffv1", rate=HZ)
                stream.height, stream.width = clip.shape[1:3]
                stream.pix_fmt = "bgr0"
                ear: Any = container.add_stream("pcm_s16le", rate=SOUND_HZ)
                ear.layout = "mono"
                for pixels in clip:
                    frame = av.VideoFrame.from_ndarray(pixels, format="rgb24")
                    container.mux(stream.encode(frame))
                container.mux(stream.encode())
                heard = av.AudioFrame.from_ndarray(_sound(i, len(clip)), "s16", "mono")
                heard.sample_rate = SOUND_HZ
                container.mux(ear.encode(heard))
                container.mux(ear.encode())
            way = -np.arange(len(clip))[:, None] * self.ground_px[i]
            rows = [f"1 0 0 {x} 0 1 0 {y} 0 0 1 0" for x, y in way.tolist()]
            (folder / f"{i:04d}.poses.txt").write_text("\n".join(rows), encoding="ascii")
        return folder


def moving(
    count: int,
    seed: int = 0,
    *,
    frames: int = FRAMES,
    size: int = SIZE,
    ground_px: float = 0.0,
    disc_px: tuple[float, float] = (1.0, 2.0),
) -> Moving:
    """`count` clips, another set for each seed.

    ground_px: the ground's speed, px a frame, in a direction drawn for each clip; 0: it rests.
    disc_px: least and greatest speed of the disc beside the ground, direction drawn too. Its centre
    stays in the picture; its radius is a fifth to a third of the side.
    """
    rng = np.random.default_rng(seed)
    ground = ground_px * _directions(rng, count)
    disc = ground + rng.uniform(*disc_px, (count, 1)) * _directions(rng, count)
    radii = size * rng.uniform(1 / 5, 1 / 3, count)
    way = disc * (frames - 1)
    low, high = np.maximum(-way, 0), np.minimum(size - way, size)
    starts = low + rng.uniform(0, 1, (count, 2)) * np.maximum(high - low, 0)
    pixels = np.empty((count, frames, size, size, 3), np.uint8)
    mask = np.empty((count, frames, size, size), np.bool_)
    y, x = np.mgrid[0:size, 0:size] + 0.5
    for i in range(count):
        behind, before = _texture(rng), _texture(rng)
        for t in range(frames):
            shown = behind(x - t * ground[i, 0], y - t * ground[i, 1])
            over = before(x - t * disc[i, 0], y - t * disc[i, 1])
            across, down = starts[i] + t * disc[i]
            mask[i, t] = (x - across) ** 2 + (y - down) ** 2 < radii[i] ** 2
            pixels[i, t] = np.where(mask[i, t, :, :, None], over, shown)
    flow = np.where(mask[:, :, None], disc[:, None, :, None, None], ground[:, None, :, None, None])
    order = np.tile(np.arange(frames), (count, 1))
    return Moving(pixels, flow.astype(np.float32), mask, order, ground, disc)


def _sound(seed: int, frames: int) -> npt.NDArray[np.int16]:
    """A chord of three tones that swells and fades, in some hiss, int16 (1, n); of no meaning."""
    rng = np.random.default_rng(seed)
    seconds = np.arange(round(frames / HZ * SOUND_HZ)) / SOUND_HZ
    tones = np.sin(2 * np.pi * seconds[:, None] * rng.uniform(200, 4000, 3)).sum(1)
    swell = 1 + np.sin(2 * np.pi * seconds * rng.uniform(0.5, 3) + rng.uniform(0, 6))
    wave: Floats = 1500 * tones * swell + rng.normal(0, 200, len(seconds))
    return np.asarray(wave, np.int16)[None]


def _directions(rng: np.random.Generator, count: int) -> Floats:
    """(count, 2), each of length 1."""
    angles = rng.uniform(0, 2 * np.pi, count)
    return np.stack([np.cos(angles), np.sin(angles)], axis=1)


def _texture(rng: np.random.Generator) -> Callable[[Floats, Floats], Floats]:
    """A function of x and y in px, of any shape, to colours 0..255 with one more dimension."""
    colour = rng.uniform(70, 185, 3)
    shortest, longest = np.log(WAVELENGTHS_PX)
    lengths = np.exp(rng.uniform(shortest, longest, WAVES))
    slope = 2 * np.pi * _directions(rng, WAVES) / lengths[:, None]
    phase = rng.uniform(0, 2 * np.pi, WAVES)
    heights = rng.uniform(-20, 20, (WAVES, 3))

    def texture(x: Floats, y: Floats) -> Floats:
        waves = np.sin(x[..., None] * slope[:, 0] + y[..., None] * slope[:, 1] + phase)
        colours: Floats = np.clip(colour + waves @ heights, 0, 255)
        return colours

    return texture

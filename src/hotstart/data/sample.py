"""The glossary of what a sample holds: each key, its shape, range and unit.

A `Batch` is what the loader hands to a task. B is the number of this process's rows.
"""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, TypedDict, cast

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

TRUTHS = ("depth", "normals", "contours", "instances", "exact_flow", "occlusion")
"""Sample keys that tell of each pixel what only who made the picture can know."""
TRUTHS_OF_MOTION = ("exact_flow", "occlusion")
"""Those that a picture without a next one does not have."""
COPIED = frozenset({"image", "clip", "pose", "audio", "index", "group", "label"})
"""Sample keys that lie in the cache, or in memory, as they are handed out."""
RENDERED = "rendered-"
"""How the fingerprint of data begins that an engine made."""
SOUND_HZ = 16_000
"""Samples a second of the sound that a task gets."""


@dataclass(frozen=True)
class Spec:
    """The form in which a task wants a sample key.

    They have a meaning for clips, sound and optical flow alone.
    """

    frames: int | None = None
    """T of a clip; None is 8. Of flow: fields, one after the other; None is 1."""
    seconds: float | None = None
    """Of a clip: from its first frame to its last; None is (T - 1) / 8. Of sound: its length; None
    is 1. Of flow it has no meaning: a field goes to the frame an eighth of a second later."""


@dataclass(frozen=True)
class Pictures:
    """A ragged batch of B uint8 RGB pictures, 0..255.

    Picture i has shape (heights[i], widths[i], 3) and begins at pixels[offsets[i]].

    pixels: uint8 (bytes,), never to be written to: it may be the cache itself, with all the
    pictures in it that are not of this batch
    offsets, heights, widths: int64 (B,)
    """

    pixels: Tensor
    offsets: Tensor
    heights: Tensor
    widths: Tensor

    def __len__(self) -> int:
        return len(self.offsets)

    def __getitem__(self, i: int) -> Tensor:
        """Picture i, uint8 (H, W, 3): a view, not a copy."""
        start, height, width = int(self.offsets[i]), int(self.heights[i]), int(self.widths[i])
        return self.pixels[start : start + height * width * 3].view(height, width, 3)

    @property
    def device(self) -> torch.device:
        return self.pixels.device

    def to(self, device: torch.device | str) -> Pictures:
        """On `device`; where that is another one, without the bytes of other pictures."""
        moved = self if torch.device(device).type == self.device.type else self.packed()
        return Pictures(
            moved.pixels.to(device, non_blocking=True),
            moved.offsets.to(device, non_blocking=True),
            moved.heights.to(device, non_blocking=True),
            moved.widths.to(device, non_blocking=True),
        )

    def packed(self) -> Pictures:
        """The same, one behind the other and nothing else; what is there twice once.

        These pictures themselves, where they have no byte too many.
        """
        if len(self.pixels) <= 3 * int((self.heights * self.widths).sum()):
            return self
        each, first, rows = np.unique(
            self.offsets.cpu().numpy(), return_index=True, return_inverse=True
        )
        ends = each + 3 * (self.heights * self.widths).cpu().numpy()[first]
        parts = [self.pixels[i:j] for i, j in zip(each.tolist(), ends.tolist(), strict=True)]
        starts = np.cumsum(ends - each) - (ends - each)
        offsets = torch.from_numpy(starts[rows.reshape(-1)]).to(self.device)
        return Pictures(torch.cat(parts), offsets, self.heights, self.widths)

    def select(self, rows: Sequence[int] | Tensor) -> Pictures:
        """The given rows, in that order, without copying pixels."""
        rows = torch.as_tensor(rows, dtype=torch.int64, device=self.offsets.device)
        return Pictures(self.pixels, self.offsets[rows], self.heights[rows], self.widths[rows])

    @classmethod
    def from_arrays(cls, arrays: Sequence[npt.NDArray[np.uint8]]) -> Pictures:
        """Pack uint8 (H, W, 3) arrays of any sizes."""
        heights = torch.tensor([len(array) for array in arrays], dtype=torch.int64)
        widths = torch.tensor([array.shape[1] for array in arrays], dtype=torch.int64)
        sizes = heights * widths * 3
        pixels = np.concatenate([np.ascontiguousarray(array).reshape(-1) for array in arrays])
        return cls(torch.from_numpy(pixels), sizes.cumsum(0) - sizes, heights, widths)


@dataclass(frozen=True)
class Clips:
    """B clips of T frames each, and when each frame was shown.

    pictures: B T pictures, clip by clip, in the order of time; those of one clip have one size.
    A frame that is shown twice is there once, with two rows that point to it.
    times: float64 (B, T), seconds from the first frame of the video; increasing, or equal where
    the video has fewer frames than were asked for
    """

    pictures: Pictures
    times: Tensor

    def __len__(self) -> int:
        return len(self.times)

    @property
    def frames(self) -> int:
        """T."""
        return self.times.shape[1]

    @property
    def device(self) -> torch.device:
        return self.pictures.device

    def __getitem__(self, i: int) -> Tensor:
        """Clip i, uint8 (T, H, W, 3): a view where its frames lie one behind the other."""
        rows = slice(i * self.frames, (i + 1) * self.frames)
        starts = self.pictures.offsets[rows].tolist()
        height, width = int(self.pictures.heights[rows][0]), int(self.pictures.widths[rows][0])
        size, pixels = height * width * 3, self.pictures.pixels
        if all(after - start == size for start, after in itertools.pairwise(starts)):
            frames = pixels[starts[0] : starts[-1] + size]
        else:
            frames = torch.cat([pixels[start : start + size] for start in starts])
        return frames.view(self.frames, height, width, 3)

    def frame(self, k: int) -> Pictures:
        """Frame k of each clip, without copying pixels."""
        return self.pictures.select(torch.arange(len(self)) * self.frames + k)

    def select(self, rows: Sequence[int] | Tensor) -> Clips:
        """The given clips, in that order, without copying pixels."""
        rows = torch.as_tensor(rows, dtype=torch.int64)
        of_frames = rows.cpu()[:, None] * self.frames + torch.arange(self.frames)
        return Clips(self.pictures.select(of_frames.reshape(-1)), self.times[rows])

    def in_order(self, order: Tensor) -> Clips:
        """Each clip with its frames as `order` has them, int64 (B, K) of 0 .. T - 1: (B, K)."""
        rows = torch.arange(len(self))[:, None] * self.frames + order.cpu()
        times = self.times.gather(1, order.to(self.times.device))
        return Clips(self.pictures.select(rows.reshape(-1)), times)

    def to(self, device: torch.device | str) -> Clips:
        # Times stay float64 but on devices that have none.
        times = self.times.float() if torch.device(device).type == "mps" else self.times
        return Clips(self.pictures.to(device), times.to(device, non_blocking=True))


@dataclass(frozen=True)
class LabelMaps:
    """A class for every pixel of B pictures; each map has a size of its own, its picture's whole.

    maps: B of uint8 (H, W), positions in the classes, 255 where a pixel is to be ignored
    """

    maps: tuple[Tensor, ...]

    def __len__(self) -> int:
        return len(self.maps)

    def to(self, device: torch.device | str) -> LabelMaps:
        return LabelMaps(tuple(one.to(device, non_blocking=True) for one in self.maps))


@dataclass(frozen=True)
class Flows:
    """B stacks of T fields of optical flow each: how far every place of a frame moves.

    Field k of a stack goes from a frame to the one an eighth of a second later (the next one, where
    frames are further apart), from which field k + 1 goes on. Of field i of the B T,
    (heights[i], widths[i]) places are spread evenly over the frame, half as many as it has pixels
    along each side, and begin at vectors[offsets[i]] and known[offsets[i]].

    vectors: float16 (places, 2): x and y, in shares of the frame's shorter side
    known: bool (places,): False where the flow is not to be trusted (see `flow.py`)
    offsets, heights, widths: int64 (B T,), stack by stack
    times: float64 (B, T + 1), seconds from the first frame of the video to each frame
    """

    vectors: Tensor
    known: Tensor
    offsets: Tensor
    heights: Tensor
    widths: Tensor
    times: Tensor

    def __len__(self) -> int:
        return len(self.times)

    @property
    def fields(self) -> int:
        """T."""
        return self.times.shape[1] - 1

    @property
    def device(self) -> torch.device:
        return self.vectors.device

    def select(self, rows: Sequence[int] | Tensor) -> Flows:
        """The given stacks, in that order, without copying vectors."""
        rows = torch.as_tensor(rows, dtype=torch.int64, device=self.device)
        of_fields = rows[:, None] * self.fields + torch.arange(self.fields, device=self.device)
        fields = of_fields.reshape(-1)
        places = self.offsets[fields], self.heights[fields], self.widths[fields]
        return Flows(self.vectors, self.known, *places, self.times[rows])

    def to(self, device: torch.device | str) -> Flows:
        times = self.times.float() if torch.device(device).type == "mps" else self.times
        moved = (self.vectors, self.known, self.offsets, self.heights, self.widths, times)
        return Flows(*(values.to(device, non_blocking=True) for values in moved))


class Batch(TypedDict, total=False):
    """What a task may read; only the keys in its `needs` are there."""

    image: Pictures
    """B pictures of any sizes, uint8 RGB; of a video, one frame."""
    clip: Clips
    """B clips of T frames, uint8 RGB, with the time of each frame."""
    flow: Flows
    """B stacks of T fields of optical flow; `image`, and the middle of what else is asked, is the
    frame from which field (T - 1) // 2 goes."""
    pose: Tensor
    """float64 (B, T, 4, 4): where the camera was in each of T frames of a clip, those that `clip`
    shows where both are asked for in one form: from the camera's axes (x right, y down, z forward)
    to those of the world, in metres (of generated motion, in distances of the picture)."""
    depth: Tensor
    """float32 (B, 1, H, W): metres along the camera's axis, of rendered pictures that are all of
    one size; infinite where nothing is."""
    normals: Tensor
    """float32 (B, 3, H, W): unit vectors out of the surface along the camera's right, down and
    forward; 0 where nothing is."""
    contours: Tensor
    """bool (B, 1, H, W): where a thing, or a part of the background, ends."""
    instances: Tensor
    """uint8 (B, 1, H, W): which thing it is, counted from 1 in each picture or clip; 0: none."""
    exact_flow: Tensor
    """float32 (B, 2, H, W): by how many px of this map each place moves to the right and down until
    the next frame of its clip; also where that is hidden then, or outside of the frame."""
    occlusion: Tensor
    """bool (B, 1, H, W): where the next frame does not show it."""
    real_image: Pictures
    """B pictures of another set, `--real`, that have nothing to do with the others."""
    audio: Tensor
    """int16 (B, n): sound at `SOUND_HZ`, one channel; silence beyond the ends of the video's."""
    index: Tensor
    """int64 (B,): position in the pretraining set, 0 .. N - 1."""
    group: Tensor
    """int64 (B,): which person, source video, ... the sample belongs to."""
    label: Tensor
    """int64 (B,): a person's label, -1 where unknown. For the controls alone."""
    mask: LabelMaps
    """B label maps, drawn by a person; for `segment` alone."""


def to_device(batch: Batch, device: torch.device) -> Batch:
    """The same batch on `device`."""
    moved: Any = {key: value.to(device) for key, value in cast(dict[str, Any], batch).items()}
    return cast(Batch, moved)

"""The glossary of what a sample holds: each key, its shape, range and unit.

A `Batch` is what the loader hands to a task. B is the number of this process's rows.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, TypedDict, cast

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor


@dataclass(frozen=True)
class Spec:
    """The form in which a task wants a sample key.

    `frames` and `seconds` have a meaning for clips and sound alone.
    """

    frames: int | None = None
    seconds: float | None = None


@dataclass(frozen=True)
class Pictures:
    """A ragged batch of B uint8 RGB pictures, 0..255, packed one behind the other.

    Picture i has shape (heights[i], widths[i], 3) and begins at pixels[offsets[i]].

    pixels: uint8 (total bytes,)
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
        return Pictures(
            self.pixels.to(device, non_blocking=True),
            self.offsets.to(device, non_blocking=True),
            self.heights.to(device, non_blocking=True),
            self.widths.to(device, non_blocking=True),
        )

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


class Batch(TypedDict, total=False):
    """What a task may read; only the keys in its `needs` are there."""

    image: Pictures
    """B pictures of any sizes, uint8 RGB."""
    index: Tensor
    """int64 (B,): position in the pretraining set, 0 .. N - 1."""
    group: Tensor
    """int64 (B,): which person, source video, ... the sample belongs to."""
    label: Tensor
    """int64 (B,): a person's label, -1 where unknown. For the controls alone."""


def to_device(batch: Batch, device: torch.device) -> Batch:
    """The same batch on `device`."""
    moved: Any = {key: value.to(device) for key, value in cast(dict[str, Any], batch).items()}
    return cast(Batch, moved)

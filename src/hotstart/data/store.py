"""Pictures by position: from the memory-mapped cache, or decoded from files on demand."""

from __future__ import annotations

import mmap
import os
import warnings
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Protocol

import numpy as np
import numpy.typing as npt
import torch

from hotstart.data.headers import Unreadable
from hotstart.data.sample import Pictures
from hotstart.data.source import Source
from hotstart.data.workers import cores
from hotstart.errors import DataError

Integers = npt.NDArray[np.int64]
RELEASE_BYTES = 256 * 2**20
"""After so many bytes read the mapping is let go: the pages stay cached, but not as ours."""

MEMORY_SHARE = 0.5
"""Of the machine's memory: what is smaller stays there once it has been read."""


class Store(Protocol):
    """Pictures of a data set by position.

    at_hand: whether they only have to be copied: nothing is decoded, hardly anything read
    """

    @property
    def at_hand(self) -> bool: ...

    def get(self, indices: Integers) -> Pictures:
        """Pictures at int64 (B,) positions, in that order."""
        ...


class MappedFile:
    """A file of bytes as an array and as a tensor, read by the kernel when touched.

    at_hand: whether it is so small that the kernel can keep all of it in memory
    """

    def __init__(self, file: Path) -> None:
        with file.open("rb") as handle:
            self._map = mmap.mmap(handle.fileno(), 0, access=mmap.ACCESS_READ)
        self.bytes = np.frombuffer(self._map, dtype=np.uint8)
        with warnings.catch_warnings():  # torch has no tensors that cannot be written to
            warnings.filterwarnings("ignore", message="The given NumPy array is not writable")
            self.tensor = torch.from_numpy(self.bytes)
        self.at_hand = len(self.bytes) < MEMORY_SHARE * memory_bytes()
        self._read = 0

    def release(self, count: int) -> None:
        """Say that `count` bytes more were read; now and then the pages are let go."""
        self._read += count
        if self._read > RELEASE_BYTES and hasattr(mmap, "MADV_DONTNEED"):
            self._map.madvise(mmap.MADV_DONTNEED)
            self._read = 0


class CachedStore:
    """The ragged uint8 cache: picture i is bytes offsets[i] : offsets[i] + 3 H W of one file.

    offsets, heights, widths: integers (N,)
    """

    def __init__(
        self,
        file: Path,
        heights: npt.NDArray[np.int32],
        widths: npt.NDArray[np.int32],
    ) -> None:
        self.heights = heights
        self.widths = widths
        sizes = heights.astype(np.int64) * widths * 3
        self.offsets = sizes.cumsum() - sizes
        self._file = MappedFile(file)
        self.at_hand = self._file.at_hand
        self._bytes = self._file.bytes
        self._even = bool(len(sizes)) and bool((sizes == sizes[0]).all())

    def get(self, indices: Integers) -> Pictures:
        heights = self.heights[indices].astype(np.int64)
        widths = self.widths[indices].astype(np.int64)
        sizes = heights * widths * 3
        if self._even:
            pixels = self._bytes.reshape(len(self.offsets), -1)[indices].reshape(-1)
        else:
            starts = self.offsets[indices]
            pixels = np.empty(int(sizes.sum()), np.uint8)
            position = 0
            for start, size in zip(starts.tolist(), sizes.tolist(), strict=True):
                pixels[position : position + size] = self._bytes[start : start + size]
                position += size
        self._file.release(len(pixels))
        return packed(pixels, sizes, heights, widths)


class DecodingStore:
    """Pictures decoded when asked for, by threads; for sets whose cache the disk cannot hold.

    rows: int (N,), position in the source of each picture
    """

    at_hand = False

    def __init__(self, source: Source, rows: npt.NDArray[np.int32], short_side: int) -> None:
        self.source = source
        self.rows = rows
        self.short_side = short_side
        self._threads = ThreadPoolExecutor(cores(), thread_name_prefix="hotstart-decode")

    def get(self, indices: Integers) -> Pictures:
        return Pictures.from_arrays(list(self._threads.map(self._one, indices.tolist())))

    def _one(self, i: int) -> npt.NDArray[np.uint8]:
        row = int(self.rows[i])
        try:
            return self.source.read(row, self.short_side)[1]
        except Unreadable as error:
            raise DataError(
                f"{self.source.path(row)} could be read when the run began, and no longer: "
                f"{error}; put it back, or start again without it"
            ) from None


def memory_bytes() -> int:
    """Of the machine; 0 where it does not say."""
    try:
        return os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")
    except (AttributeError, ValueError, OSError):  # not on Windows
        return 0


def packed(
    pixels: npt.NDArray[np.uint8], sizes: Integers, heights: Integers, widths: Integers
) -> Pictures:
    """Pictures of the given heights and widths whose bytes lie one behind the other."""
    return Pictures(
        torch.from_numpy(pixels),
        torch.from_numpy(sizes.cumsum() - sizes),
        torch.from_numpy(heights),
        torch.from_numpy(widths),
    )

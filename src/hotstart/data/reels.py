"""Frames and sound of videos by position: from the cache, or decoded from files on demand."""

from __future__ import annotations

from abc import ABC, abstractmethod
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import TypeVar

import numpy as np
import numpy.typing as npt
import torch

from hotstart.data.headers import Unreadable
from hotstart.data.sample import Pictures
from hotstart.data.store import Integers, MappedFile
from hotstart.data.videos import Array, Samples, VideoSource
from hotstart.data.workers import cores
from hotstart.errors import DataError

Number = TypeVar("Number", bound=np.generic)


class Reels(ABC):
    """The N readable videos of a source.

    counts: int64 (N,), frames of each
    first: int64 (N,), frames of all those before
    stamps: int64, of the frames of all, one video behind the other (see `videos.Frame`)
    at_hand: as of a `Store`
    """

    at_hand = False

    def __init__(self, entry: Path, counts: Integers) -> None:
        self.counts = counts
        self.first = counts.cumsum() - counts
        self._times = _mapped(entry / "times.bin", np.float64)
        self.stamps = _mapped(entry / "stamps.bin", np.int64)

    def times(self, i: int) -> npt.NDArray[np.float64]:
        """Float64 (F,): when each frame of video i is first shown, in seconds from the first."""
        return self._times[self.first[i] : self.first[i] + self.counts[i]]

    @abstractmethod
    def pictures(self, videos: Integers, numbers: Integers) -> Pictures:
        """Frames `numbers` int64 (M,) of `videos` int64 (M,), in that order.

        One that comes several times is fetched once; its rows point to the same pixels.
        """

    @abstractmethod
    def sound(self, i: int, start: int, stop: int) -> Samples:
        """Samples start : stop of video i, int16; 0 <= start <= stop <= samples of the video."""


class CachedReels(Reels):
    """Frames and sound from the memory-mapped cache.

    heights, widths: int32 (N,); samples: int64 (N,), of sound
    """

    def __init__(
        self,
        entry: Path,
        heights: npt.NDArray[np.int32],
        widths: npt.NDArray[np.int32],
        counts: Integers,
        samples: Integers,
    ) -> None:
        super().__init__(entry, counts)
        self.heights = heights
        self.widths = widths
        self._file = MappedFile(entry / "pixels.bin")
        self.at_hand = self._file.at_hand
        size = heights.astype(np.int64) * widths * 3
        self._base = (size * counts).cumsum() - size * counts
        self._sound = _mapped(entry / "sound.bin", np.int16)
        self._first_sample = samples.cumsum() - samples

    def pictures(self, videos: Integers, numbers: Integers) -> Pictures:
        """Where all of the cache stays in memory, views of it: copying costs as much as a crop."""
        heights = self.heights[videos].astype(np.int64)
        widths = self.widths[videos].astype(np.int64)
        sizes = heights * widths * 3
        pictures = Pictures(
            self._file.tensor,
            torch.from_numpy(self._base[videos] + numbers * sizes),
            torch.from_numpy(heights),
            torch.from_numpy(widths),
        )
        self._file.release(int(sizes.sum()))
        return pictures if self.at_hand else pictures.packed()

    def sound(self, i: int, start: int, stop: int) -> Samples:
        first = int(self._first_sample[i])
        return self._sound[first + start : first + stop]


class DecodingReels(Reels):
    """Frames decoded from the key frame before them; for sets that the disk cannot hold.

    Sound is decoded from the start of the file.
    rows: int (N,), position in the source of each video
    """

    def __init__(
        self,
        entry: Path,
        source: VideoSource,
        rows: npt.NDArray[np.int32],
        counts: Integers,
        short_side: int,
    ) -> None:
        super().__init__(entry, counts)
        self.source = source
        self.rows = rows
        self.short_side = short_side
        self._threads = ThreadPoolExecutor(cores(), thread_name_prefix="hotstart-decode")

    def pictures(self, videos: Integers, numbers: Integers) -> Pictures:
        wanted, rows = np.unique(np.stack([videos, numbers], 1), axis=0, return_inverse=True)
        each, starts = np.unique(wanted[:, 0], return_index=True)
        parts = self._threads.map(self._of_one, each.tolist(), np.split(wanted[:, 1], starts[1:]))
        fetched = Pictures.from_arrays([frame for part in parts for frame in part])
        return fetched.select(rows.reshape(-1).tolist())

    def _of_one(self, i: int, numbers: Integers) -> list[Array]:
        row = int(self.rows[i])
        stamps = self.stamps[self.first[i] + numbers].tolist()
        try:
            return self.source.frames(row, self.short_side, stamps)
        except Unreadable as error:
            raise self._gone(row, error) from None

    def sound(self, i: int, start: int, stop: int) -> Samples:
        row = int(self.rows[i])
        try:
            return self.source.sound(row)[start:stop]
        except Unreadable as error:
            raise self._gone(row, error) from None

    def _gone(self, row: int, error: Unreadable) -> DataError:
        return DataError(
            f"{self.source.path(row)} could be read when the run began, and no longer: {error}; "
            "put it back, or start again without it"
        )


def _mapped(path: Path, kind: type[Number]) -> npt.NDArray[Number]:
    """A file of numbers, read by the kernel when touched; an empty one is an empty array."""
    empty = not path.exists() or not path.stat().st_size
    return np.empty(0, kind) if empty else np.asarray(np.memmap(path, kind, "r"))

"""Optical flow of videos: eight fields a second, each computed once, by all cores, and kept.

The entry of a set of videos at a size holds `vectors.bin` (float16, x and y in shares of the
shorter side) and `known.bin` (one byte a place): of all fields one behind the other. What the disk
cannot hold is computed when it is asked for.
"""

from __future__ import annotations

import shutil
from collections.abc import Callable
from functools import cached_property
from pathlib import Path

import cv2
import numpy as np
import numpy.typing as npt
import torch

from hotstart.data.entries import open_entry
from hotstart.data.flow import optical_flow
from hotstart.data.reels import Reels
from hotstart.data.sample import Flows
from hotstart.data.store import Integers
from hotstart.data.workers import in_order

VERSION = 1
"""Of what a kept field looks like: raise it when its computation or the files change."""
FLOW_HZ = 8.0
BYTES = 5
"""A place takes: two float16 and one bool."""
ROUNDING = 1e-6
"""Seconds, as in `clips.py`."""

Halves = npt.NDArray[np.float16]
Known = npt.NDArray[np.bool_]
Made = tuple[Halves, Known]


class Motion:
    """The flow between frames an eighth of a second apart (or neighbours, where that is longer).

    reels: the videos; heights, widths: (N,), of their frames
    place, name: the cache entry; budget_bytes: as in `open_entry`
    progress: called as progress("flow", done, total) while fields are computed
    """

    def __init__(
        self,
        reels: Reels,
        heights: npt.NDArray[np.int32],
        widths: npt.NDArray[np.int32],
        place: Path,
        name: str,
        budget_bytes: int | None = None,
        progress: Callable[[str, int, int], None] | None = None,
    ) -> None:
        self.reels = reels
        self.heights = (heights.astype(np.int64) + 1) // 2
        self.widths = (widths.astype(np.int64) + 1) // 2
        self._place, self._name = place, f"{name}-flow{VERSION}"
        self._budget, self._progress = budget_bytes, progress

    @cached_property
    def _frames(self) -> tuple[Integers, ...]:
        """Of each video int64 (F + 1,): the frames between which its F fields lie."""
        return tuple(frames_of_fields(self.reels.times(i)) for i in range(len(self.heights)))

    @cached_property
    def _first(self) -> Integers:
        """Int64 (N + 1,): where in the files the places of each video begin."""
        counts = np.array([len(frames) - 1 for frames in self._frames], np.int64)
        return np.concatenate([[0], (counts * self.heights * self.widths).cumsum()])

    def frames(self, i: int) -> Integers:
        """Int64 (F + 1,): field k of video i goes from frame k of these to frame k + 1."""
        return self._frames[i]

    def ready(self) -> None:
        """Compute all fields, unless that has been done before or the disk cannot hold them."""
        _ = self._kept

    def flows(self, videos: Integers, numbers: Integers) -> Flows:
        """Stacks of fields `numbers` int64 (B, T) of `videos` int64 (B,), in that order."""
        fields = numbers.shape[1]
        rows = np.repeat(videos, fields)
        every = zip(rows.tolist(), numbers.reshape(-1).tolist(), strict=True)
        made = [self._field(i, k) for i, k in every]
        heights, widths = self.heights[rows], self.widths[rows]
        ends = np.concatenate([numbers, numbers[:, -1:] + 1], 1)
        times = [self.reels.times(i)[self._frames[i][k]] for i, k in zip(videos, ends, strict=True)]
        return Flows(
            torch.from_numpy(np.concatenate([vectors.reshape(-1, 2) for vectors, _ in made])),
            torch.from_numpy(np.concatenate([known.reshape(-1) for _, known in made])),
            torch.from_numpy((heights * widths).cumsum() - heights * widths),
            torch.from_numpy(heights),
            torch.from_numpy(widths),
            torch.from_numpy(np.stack(times)),
        )

    def _field(self, i: int, k: int) -> Made:
        if self._kept is None:
            return self._computed(i, k)
        vectors, known = self._kept
        size = int(self.heights[i] * self.widths[i])
        start = int(self._first[i]) + k * size
        return vectors[start : start + size], known[start : start + size]

    def _computed(self, i: int, k: int) -> Made:
        videos, pair = np.array([i, i]), self._frames[i][k : k + 2]
        pictures = self.reels.pictures(videos, pair)
        first, second = (pictures[row].numpy() for row in (0, 1))
        size = (int(self.widths[i]), int(self.heights[i]))
        flow, known = optical_flow(first, second)
        # Flow is smooth but for its edges, and half the places know what all of them did.
        vectors = cv2.resize(flow, size, interpolation=cv2.INTER_AREA) / min(first.shape[:2])
        share = cv2.resize(known.astype(np.float32), size, interpolation=cv2.INTER_AREA)
        return vectors.astype(np.float16), np.asarray(share > 0.5)

    @cached_property
    def _kept(self) -> tuple[Halves, Known] | None:
        """All fields one behind the other, read by the kernel when touched; or None."""
        there = self._look(self._place / self._name)
        if there is not None:
            return there
        needed = int(self._first[-1]) * BYTES
        self._place.mkdir(parents=True, exist_ok=True)
        free = shutil.disk_usage(self._place).free // 2
        if needed > (free if self._budget is None else self._budget):
            return None
        return open_entry(
            self._place,
            self._name,
            lambda entry, _: self._look(entry),
            lambda folder, _: self._build(folder),
            needed,
        )

    def _look(self, entry: Path) -> tuple[Halves, Known] | None:
        """The finished entry, or None where there is none that can be used."""
        vectors, known = entry / "vectors.bin", entry / "known.bin"
        places = int(self._first[-1])
        try:
            if (vectors.stat().st_size, known.stat().st_size) != (4 * places, places):
                return None
        except FileNotFoundError:
            return None
        return np.memmap(vectors, np.float16, "r").reshape(-1, 2), np.memmap(known, np.bool_, "r")

    def _build(self, folder: Path) -> None:
        total = len(self.heights)
        with (
            (folder / "vectors.bin").open("wb") as vectors,
            (folder / "known.bin").open("wb") as known,
        ):
            for done, made in enumerate(in_order(self._of_video, range(total)), 1):
                for field, sure in made:
                    vectors.write(field.tobytes())
                    known.write(sure.tobytes())
                if self._progress is not None:
                    self._progress("flow", done, total)

    def _of_video(self, i: int) -> list[Made]:
        return [self._computed(i, k) for k in range(len(self._frames[i]) - 1)]


def frames_of_fields(times: npt.NDArray[np.float64]) -> Integers:
    """Int64 (F + 1,), at least two: the frames shown every eighth of a second, each once.

    times: float64, when each frame is first shown, in seconds from the first
    """
    asked = np.arange(0.0, times[-1] + ROUNDING, 1 / FLOW_HZ)
    shown = np.unique(np.searchsorted(times, asked + ROUNDING, side="right") - 1)
    return shown.astype(np.int64) if len(shown) > 1 else np.array([0, len(times) - 1], np.int64)


def nearest_fields(times: npt.NDArray[np.float64], centre: float, count: int) -> Integers:
    """Int64 (count,): the fields about `centre`, one after the other.

    times: float64 (F + 1,), seconds, of the frames between which F fields lie. Field
    (count - 1) // 2 begins at the frame nearest to the centre, or as near as there are fields on
    both sides; where there are fewer than `count`, the last one comes again.
    """
    there = len(times) - 1
    first = int(np.abs(times[:-1] - centre).argmin()) - (count - 1) // 2
    first = max(min(first, there - count), 0)
    return np.minimum(first + np.arange(count), there - 1)

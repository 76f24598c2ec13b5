"""The cache of videos: each is read, checked and decoded once, by all cores.

One folder for each state of the data at each size. One entry for each readable video in `rows`,
`hashes`, `heights`, `widths`, `counts` (frames), `lengths` and `intervals` (seconds), `samples`
(of sound) and `sound_starts` (seconds) `.npy`; one for each frame in `times.bin` (float64 seconds
from the video's first frame) and `stamps.bin` (int64); `pixels.bin`: all frames one behind the
other; `sound.bin`: int16; `meta.json` with the quarantine. Frames that the disk cannot hold are
decoded when they are asked for, from the key frame before them.
"""

from __future__ import annotations

import json
import shutil
from array import array
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt

from hotstart.data.cache import Progress, spread
from hotstart.data.decode import kept_short_side
from hotstart.data.entries import open_entry, place_of
from hotstart.data.headers import Unreadable
from hotstart.data.motion import Motion
from hotstart.data.poses import Poses, open_poses
from hotstart.data.quarantine import Quarantined
from hotstart.data.reels import CachedReels, DecodingReels, Reels
from hotstart.data.sample import SOUND_HZ
from hotstart.data.shrink import MAX_ASPECT
from hotstart.data.videos import VideoSource
from hotstart.data.viewing import Viewed, disk_is_full, view
from hotstart.data.workers import in_order

VERSION = 1
"""Of what a cached video looks like: raise it when decoding or the files here change."""
BLOCK = 2**20


class Facts(NamedTuple):
    """What is known of each of N readable videos; all (N,), memory-mapped.

    rows: int32, positions in the source; hashes: uint64; heights, widths: int32, px as kept;
    counts: int64, frames; lengths: float64, seconds, with the time that the last frame is shown;
    intervals: float64, seconds, the median from one frame to the next, rounded up;
    samples: int64, of sound, 0 where there is none; sound_starts: float64, seconds from the first
    frame to the first sample
    """

    rows: npt.NDArray[np.int32]
    hashes: npt.NDArray[np.uint64]
    heights: npt.NDArray[np.int32]
    widths: npt.NDArray[np.int32]
    counts: npt.NDArray[np.int64]
    lengths: npt.NDArray[np.float64]
    intervals: npt.NDArray[np.float64]
    samples: npt.NDArray[np.int64]
    sound_starts: npt.NDArray[np.float64]


_CODES = "iQiiqddqd"
"""Their types, as `array` calls them."""


@dataclass(frozen=True)
class Footage:
    """The readable videos of a source, and their frames and sound."""

    facts: Facts
    reels: Reels
    quarantine: tuple[Quarantined, ...]
    """Videos that cannot be used."""
    remarks: tuple[Quarantined, ...]
    """Parts that cannot be used, of videos that can."""
    poses: Poses
    """Of the camera, where files tell them: those are read anew each time, not cached."""
    motion: Motion
    """Their optical flow, computed when it is first asked for."""
    source: VideoSource
    """Where they come from, and what else it knows of their frames."""


def open_footage(
    source: VideoSource,
    size: int,
    folder: Path,
    budget_bytes: int | None = None,
    progress: Progress | None = None,
) -> Footage:
    """The cache of the videos of `source` at `size` px, built if it is not there yet.

    Arguments and errors as in `open_cache`.
    """
    flow = _Flow(place_of(folder, "flow", source.origin, size), budget_bytes, progress)
    return open_entry(
        place_of(folder, "videos", source.origin, size),
        f"{source.fingerprint[:24]}-v{VERSION}",
        lambda entry, budget: _open(entry, source, size, budget, flow),
        lambda building, budget: _Build(building, source, size, budget).run(progress),
        budget_bytes,
    )


class _Flow(NamedTuple):
    """Where the optical flow is kept, and how."""

    place: Path
    budget_bytes: int | None
    progress: Progress | None


def _open(entry: Path, source: VideoSource, size: int, budget: int, flow: _Flow) -> Footage | None:
    """The finished cache, or None where there is none that can be used."""
    try:
        meta: dict[str, Any] = json.loads((entry / "meta.json").read_text(encoding="utf-8"))
        facts = Facts(
            *(
                np.load(entry / f"{name}.npy", mmap_mode="r" if meta["videos"] else None)
                for name in Facts._fields
            )
        )
        sizes = {name: (entry / name).stat().st_size for name in meta["bytes"]}
    except (FileNotFoundError, ValueError, KeyError):
        return None
    if sizes != meta["bytes"] or (not meta["kept"] and meta["needed_bytes"] <= budget):
        return None
    reels: Reels
    if not meta["videos"] or not meta["kept"]:
        reels = DecodingReels(entry, source, facts.rows, facts.counts, kept_short_side(size))
    else:
        reels = CachedReels(entry, facts.heights, facts.widths, facts.counts, facts.samples)
    quarantine, remarks = (
        tuple(Quarantined(*problem) for problem in meta[name]) for name in ("problems", "remarks")
    )
    place, flow_budget, progress = flow
    motion = Motion(reels, facts.heights, facts.widths, place, entry.name, flow_budget, progress)
    poses = open_poses(source, facts.rows, reels)
    told = (*remarks, *poses.remarks)
    return Footage(facts, reels, quarantine, told, poses, motion, source)


class _Build:
    """One build of a cache in an empty folder."""

    def __init__(self, folder: Path, source: VideoSource, size: int, budget: int) -> None:
        self.folder = folder
        self.source = source
        self.short_side = kept_short_side(size)
        self.budget = budget
        self.needed = _estimate(source, self.short_side)
        self.keep = self.needed <= budget
        self.written = 0
        self.facts: list[array[Any]] = [array(code) for code in _CODES]
        self.problems: list[Quarantined] = []
        self.remarks: list[Quarantined] = []

    def run(self, progress: Progress | None) -> None:
        for name in ("times.bin", "stamps.bin", "pixels.bin", "sound.bin"):
            (self.folder / name).touch()
        rows = range(len(self.source))
        for done, seen in enumerate(in_order(self._view, rows, ahead=2), 1):
            if isinstance(seen, Quarantined):
                self.problems.append(seen)
            else:
                with seen:
                    self._add(seen)
            if progress is not None:
                progress("decode", done, len(rows))
        self._finish()

    def _view(self, row: int) -> Viewed | Quarantined:
        try:
            return view(self.source, row, self.short_side, self.folder if self.keep else None)
        except Unreadable as reason:
            return Quarantined(self.source.path(row), str(reason))

    def _add(self, seen: Viewed) -> None:
        self._append("times.bin", seen.times.tobytes())
        self._append("stamps.bin", seen.stamps.tobytes())
        for column, value in zip(self.facts, (seen.row, *seen.facts), strict=True):
            column.append(value)
        self.remarks += seen.remarks
        # A video that found the disk full has nothing kept, and then no other has.
        self.keep = self.keep and seen.kept and self._copy(seen)

    def _append(self, name: str, data: bytes) -> None:
        with (self.folder / name).open("ab") as file:
            file.write(data)

    def _copy(self, seen: Viewed) -> bool:
        """Frames and sound to their places; False where they do not fit."""
        try:
            for name, spool in (("pixels.bin", seen.pixels), ("sound.bin", seen.sound)):
                with (self.folder / name).open("ab") as file:
                    spool.seek(0)
                    shutil.copyfileobj(spool, file, BLOCK)
                    self.written += spool.tell()
        except OSError as error:
            if not disk_is_full(error):
                raise
            return False
        return self.written <= self.budget

    def _finish(self) -> None:
        if not self.keep:
            for name in ("pixels.bin", "sound.bin"):
                (self.folder / name).unlink()
        for name, column in zip(Facts._fields, self.facts, strict=True):
            np.save(self.folder / f"{name}.npy", np.array(column))
        meta = {
            "origin": self.source.origin,
            "kept": self.keep,
            "videos": len(self.facts[0]),
            "bytes": {file.name: file.stat().st_size for file in self.folder.glob("*.bin")},
            # Without frames: worth another try once the budget is larger than the one that failed.
            "needed_bytes": max(self.needed, self.written, self.budget + 1),
            "problems": self.problems,
            "remarks": self.remarks,
        }
        (self.folder / "meta.json").write_text(json.dumps(meta), encoding="utf-8")


def _estimate(source: VideoSource, short_side: int) -> int:
    """Bytes that the frames and sound of all videos will take, about."""
    needed = []
    for row in spread(len(source)):
        try:
            measured = source.measure(row)
        except Unreadable:
            continue
        short, long = sorted((measured.width, measured.height))
        scale = min(1.0, short_side / short)
        area = short * scale * min(long, MAX_ASPECT * short) * scale
        needed.append(3 * area * measured.frames + 2 * SOUND_HZ * measured.sound_seconds)
    return int(np.mean(needed) * len(source)) if needed else 0

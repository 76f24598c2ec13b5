"""The decoded cache: each picture is read, hashed and decoded once, by all cores.

One folder for each state of the data at each size: `pixels.bin` (pictures one behind the other),
`rows.npy`, `hashes.npy`, `heights.npy`, `widths.npy` (one entry for each readable picture) and
`meta.json` (with the quarantine). It is built under another name and renamed when whole.
"""

from __future__ import annotations

import contextlib
import errno
import json
import os
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from hotstart.data.decode import kept_short_side
from hotstart.data.entries import open_entry, place_of
from hotstart.data.headers import Unreadable
from hotstart.data.quarantine import Quarantined
from hotstart.data.source import Items, Source
from hotstart.data.store import CachedStore, DecodingStore, Store
from hotstart.data.workers import in_order

VERSION = 2
"""Of what a cached picture looks like: raise it when decoding or the files here change."""
CHUNK = 32
SAMPLE = 128
SUGGESTED_SIZES = (64, 48, 32)
Progress = Callable[[str, int, int], None]


@dataclass(frozen=True)
class Cached:
    """The readable pictures of a source.

    rows: int32 (N,) positions in the source; hashes: uint64 (N,)
    shapes: int32 (N, 2), height and width as cached
    """

    rows: npt.NDArray[np.int32]
    hashes: npt.NDArray[np.uint64]
    shapes: npt.NDArray[np.int32]
    pictures: Store
    quarantine: tuple[Quarantined, ...]


@dataclass
class _Part:
    """What one thread made of one stretch of the source."""

    rows: list[int]
    hashes: list[int]
    shapes: list[tuple[int, int]]
    pixels: list[npt.NDArray[np.uint8]]
    problems: list[tuple[str, str]]
    looked_at: int


def open_cache(
    source: Source,
    size: int,
    folder: Path,
    budget_bytes: int | None = None,
    progress: Progress | None = None,
) -> Cached:
    """The cache of `source` at `size` px, built if it is not there yet.

    budget_bytes: disk space it may take; None is half of what is free. A set that needs more is
    checked and hashed all the same, and its pictures are decoded whenever they are asked for.
    Processes that ask for the same cache at once wait for the first of them.

    Raises `DataError` when the folder cannot be written.
    """
    place = place_of(folder, "pictures", source.origin, size)

    def build(building: Path, budget: int) -> None:
        _build(building, source, size, budget, progress)
        source.release()

    return open_entry(
        place,
        f"{source.fingerprint[:24]}-v{VERSION}",
        lambda entry, budget: _open(entry, source, size, budget),
        build,
        budget_bytes,
    )


def _open(entry: Path, source: Source, size: int, budget: int) -> Cached | None:
    """The finished cache, or None where there is none that can be used."""
    try:
        meta: dict[str, Any] = json.loads((entry / "meta.json").read_text(encoding="utf-8"))
        rows, hashes, heights, widths = (
            np.load(entry / f"{name}.npy", mmap_mode="r" if meta["pictures"] else None)
            for name in ("rows", "hashes", "heights", "widths")
        )
        pixels = entry / "pixels.bin"
        whole = not meta["kept"] or pixels.stat().st_size == meta["pixel_bytes"]
    except (FileNotFoundError, ValueError, KeyError):
        return None
    if not whole or (not meta["kept"] and meta["needed_bytes"] <= budget):
        return None
    store: Store
    if meta["kept"] and meta["pictures"]:
        store = CachedStore(pixels, heights, widths)
    else:
        store = DecodingStore(source, rows, kept_short_side(size))
    problems = tuple(Quarantined(*problem) for problem in meta["problems"])
    shapes = np.stack([heights, widths], axis=1)
    return Cached(np.asarray(rows), np.asarray(hashes), shapes, store, problems)


def _build(
    building: Path, source: Source, size: int, budget: int, progress: Progress | None
) -> None:
    short_side = kept_short_side(size)
    needed = _estimate(source, short_side)
    _fill(building, source, short_side, needed, budget, progress)


def _fill(
    building: Path,
    source: Source,
    short_side: int,
    needed: int,
    budget: int,
    progress: Progress | None,
) -> None:
    rows: list[npt.NDArray[np.int32]] = []
    hashes: list[npt.NDArray[np.uint64]] = []
    shapes: list[npt.NDArray[np.int32]] = []
    problems: list[tuple[str, str]] = []
    pixel_bytes = done = 0
    keep = needed <= budget
    with (building / "pixels.bin").open("wb", buffering=0) as file:
        for part in _in_order(source, short_side):
            rows.append(np.array(part.rows, np.int32))
            hashes.append(np.array(part.hashes, np.uint64))
            shapes.append(np.array(part.shapes, np.int32).reshape(-1, 2))
            problems += part.problems
            pixel_bytes += sum(picture.size for picture in part.pixels)
            keep = keep and _write(file.fileno(), part.pixels)
            done += part.looked_at
            if progress is not None:
                progress("decode", done, len(source))
    if not keep:
        (building / "pixels.bin").unlink()
    all_shapes = np.concatenate(shapes)
    for name, values in (
        ("rows", np.concatenate(rows)),
        ("hashes", np.concatenate(hashes)),
        ("heights", all_shapes[:, 0]),
        ("widths", all_shapes[:, 1]),
    ):
        np.save(building / f"{name}.npy", values)
    meta = {
        "origin": source.origin,
        "kept": keep,
        "pictures": len(all_shapes),
        "pixel_bytes": pixel_bytes,
        # Without pixels: worth another try once the budget is larger than the one that failed.
        "needed_bytes": max(needed, pixel_bytes, budget + 1),
        "problems": problems,
    }
    (building / "meta.json").write_text(json.dumps(meta), encoding="utf-8")


def _write(file: int, pictures: list[npt.NDArray[np.uint8]]) -> bool:
    """Append pictures to a descriptor; False, and the file emptied, when the disk is full."""
    left = [np.ascontiguousarray(picture).reshape(-1).data for picture in pictures]
    try:
        while left:
            written = os.writev(file, left)
            while left and written >= len(left[0]):
                written -= len(left.pop(0))
            if left:
                left[0] = left[0][written:]
    except OSError as error:
        if error.errno not in (errno.ENOSPC, errno.EDQUOT):
            raise
        os.truncate(file, 0)
        return False
    return True


def _in_order(source: Source, short_side: int) -> Iterator[_Part]:
    """Parts of the source in order, made by all cores, never more than a few in memory."""
    count = len(source)
    return in_order(
        lambda start: _read_part(source, start, min(start + CHUNK, count), short_side),
        range(0, count, CHUNK),
    )


def _read_part(source: Source, start: int, stop: int, short_side: int) -> _Part:
    part = _Part([], [], [], [], [], stop - start)
    for row in range(start, stop):
        try:
            content, picture = source.read(row, short_side)
        except Unreadable as reason:
            part.problems.append((source.path(row), str(reason)))
            continue
        part.rows.append(row)
        part.hashes.append(content)
        part.shapes.append((picture.shape[0], picture.shape[1]))
        part.pixels.append(picture)
    return part


def spread(count: int) -> list[int]:
    """Some positions spread evenly over 0 .. count - 1; none of nothing."""
    places = np.linspace(0, count - 1, min(SAMPLE, count)).astype(int)
    return [int(place) for place in np.unique(places)]


def sample_sides(source: Items) -> npt.NDArray[np.int64]:
    """Int64 (n, 2): short and long side in pixels of some items spread over the source."""
    sides = [sorted(size) for size in _sizes(source, spread(len(source)))]
    return np.array(sides, np.int64).reshape(-1, 2)


def suggest_size(source: Items) -> int:
    """The largest of 32, 48, 64 px that is not above the median short side; at least 32."""
    sides = sample_sides(source)
    median = float(np.median(sides[:, 0])) if len(sides) else 0.0
    return next((size for size in SUGGESTED_SIZES if size <= median), SUGGESTED_SIZES[-1])


def sizes_told(source: Items, rows: npt.NDArray[np.int32]) -> dict[str, Any]:
    """What is told of the sizes of the items at int32 (N,) rows, from some of them spread evenly.

    sizes: width and height in pixels of the smallest and the largest, see `extremes`; sizes_of: how
    many were looked at
    """
    seen = _sizes(source, rows[spread(len(rows))].tolist())
    return {"sizes": extremes(seen), "sizes_of": len(seen)}


def extremes(sizes: Sequence[tuple[int, int]]) -> list[tuple[int, int]]:
    """The smallest and the largest by area; one where all are alike, none of none."""
    ordered = sorted(set(sizes), key=lambda size: (size[0] * size[1], size))
    return list(dict.fromkeys((*ordered[:1], *ordered[-1:])))


def _sizes(source: Items, rows: Sequence[int]) -> list[tuple[int, int]]:
    sizes = []
    for row in rows:
        with contextlib.suppress(Unreadable):
            sizes.append(source.peek(row))
    return sizes


def _estimate(source: Source, short_side: int) -> int:
    """Bytes that the pixels of the whole source will take, about."""
    sides = sample_sides(source)
    if not len(sides):
        return 0
    scale = np.minimum(1, short_side / sides[:, 0])
    long_side = np.minimum(sides[:, 1], 4 * sides[:, 0]) * scale
    return int((sides[:, 0] * scale * long_side * 3).mean() * len(source))

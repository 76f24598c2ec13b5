"""`recorded:FOLDER` in place of DATA: what CARLA or AirSim recorded, with what they know."""

from __future__ import annotations

import hashlib
from functools import lru_cache
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import numpy.typing as npt

from hotstart.config import Field, Settings, parse
from hotstart.data.decode import decode, measure
from hotstart.data.files import whole_file
from hotstart.data.shrink import MAX_ASPECT
from hotstart.data.source import Array, Found, Source, absolute, content_hash
from hotstart.errors import DataError, UsageError
from hotstart.world.recorded import Files, airsim_files, carla_files, load
from hotstart.world.scene import Numbers
from hotstart.world.truth import contours

PREFIX = "recorded:"
AIRSIM = "airsim_rec.txt"
MAP_PX = 128
"""Short side of depth, normals and contours, at most: those of larger frames are thinned out."""
RUN, LEAST_RUNS = 50, 20
"""Frames one after the other look alike: so many are one group, or fewer of a short recording."""


class RecordedSettings(Settings):
    """What a recording does not say itself."""

    fov_degrees: float = Field(default=90.0, gt=0, lt=180)
    """Of the camera, from left to right; 90 is what both engines begin with."""


def open_recorded(text: str) -> Found:
    """The frames of `recorded:FOLDER` or `recorded:FOLDER?fov_degrees=100`, without labels.

    A folder with `airsim_rec.txt` is one of AirSim, any other one of CARLA (see `recorded.py`).
    Raises `DataError` where there is no recording, `UsageError` for a setting that there is not.
    """
    where, _, query = text.removeprefix(PREFIX).partition("?")
    pairs = [pair.partition("=")[::2] for pair in query.split("&") if pair]
    settings = parse(RecordedSettings, dict(pairs), text)
    folder = Path(where).expanduser()
    if not folder.is_dir():
        raise UsageError(f"{text!r}: {where!r} is no folder; give one that CARLA or AirSim filled")
    is_airsim = (folder / AIRSIM).is_file()
    files = airsim_files(folder) if is_airsim else carla_files(folder)
    origin = f"{PREFIX}{absolute(folder)}?fov_degrees={settings.fov_degrees:g}"
    run = min(RUN, max(len(files) // LEAST_RUNS, 1))
    return Found(
        f"recorded by {'AirSim' if is_airsim else 'CARLA'}",
        RecordedPictures(files, origin, settings.fov_degrees),
        groups=np.arange(len(files), dtype=np.int64) // run,
    )


class RecordedPictures(Source):
    """Frames of one recording; they are read when they are asked for."""

    rendered = True

    def __init__(self, files: list[Files], origin: str, fov_degrees: float) -> None:
        self.files = files
        self.origin = origin
        self.fov_degrees = fov_degrees
        states = [
            (str(path), path.stat().st_size, path.stat().st_mtime_ns)
            for frame in files
            for path in (frame.image, frame.depth, frame.tags)
            if path is not None and path.exists()
        ]
        state = f"{origin}|{states}".encode()
        self.fingerprint = hashlib.blake2b(state, digest_size=16).hexdigest()
        self._frame = lru_cache(maxsize=64)(self._read)

    def __len__(self) -> int:
        return len(self.files)

    def path(self, i: int) -> str:
        return self.files[i].image.name

    def read(self, i: int, short_side: int) -> tuple[int, Array]:
        data = whole_file(bytes(self.files[i].image))
        return content_hash(data), decode(data, short_side)

    def peek(self, i: int) -> tuple[int, int]:
        return measure(whole_file(bytes(self.files[i].image)))

    @property
    def truths(self) -> frozenset[str]:
        """Of all frames: depth and normals if depth was recorded, contours if classes were."""
        known = {"depth": all(frame.depth is not None for frame in self.files)}
        known["normals"] = known["depth"]
        known["contours"] = all(frame.tags is not None for frame in self.files)
        return frozenset(key for key, there in known.items() if there)

    def truth(self, i: int, key: str, stamp: int = 0) -> npt.NDArray[Any]:
        """Raises `DataError` for a frame that cannot be read, or that has another size."""
        return self._frame(i)[key]

    def _read(self, i: int) -> dict[str, npt.NDArray[Any]]:
        frame, first = load(self.files[i]), self.peek(0)
        height, width = frame.image.shape[:2]
        if (width, height) != first or max(first) > MAX_ASPECT * min(first):
            raise DataError(
                f"{self.files[i].image} is {width} x {height} px and {self.files[0].image.name} "
                f"{first[0]} x {first[1]}: frames must be of one size, at most {MAX_ASPECT} times "
                "as long as wide"
            )
        known: dict[str, npt.NDArray[Any]] = {}
        if frame.depth is not None:
            depth = thinned(frame.depth)
            known["depth"] = depth[None]
            known["normals"] = normals_of(depth, self.fov_degrees).transpose(2, 0, 1)
        if frame.tags is not None:
            tags = thinned(frame.tags)
            known["contours"] = contours(np.zeros_like(tags), tags)[None]
        return known


def thinned(values: npt.NDArray[Any]) -> npt.NDArray[Any]:
    """(H, W), or fewer of them, evenly spread: not averaged, as two depths have no mean."""
    height, width = values.shape
    scale = min(MAP_PX / min(height, width), 1.0)
    if scale == 1.0:
        return values
    size = round(width * scale), round(height * scale)
    return np.asarray(cv2.resize(values, size, interpolation=cv2.INTER_NEAREST))


def normals_of(depth: npt.NDArray[np.float32], fov_degrees: float) -> npt.NDArray[np.float32]:
    """Unit vectors out of the surface from its depth (H, W) in metres: (H, W, 3), 0 in the sky.

    Along the camera's right, down and forward. Each is the cross product of the steps to a pixel
    beside and one above or below, of the two on either side the one that is nearer in depth: a step
    over an edge lies on no surface.
    """
    height, width = depth.shape
    x, y = np.meshgrid(
        (np.arange(width) + 0.5) / width * 2 - 1,
        ((np.arange(height) + 0.5) / height * 2 - 1) * height / width,
    )
    half = np.tan(np.radians(fov_degrees) / 2)
    rays = np.stack([x * half, y * half, np.ones_like(x)], -1)
    places = rays * np.where(np.isfinite(depth), depth, np.nan)[..., None]
    across = _nearest_steps(places)
    down = _nearest_steps(places.transpose(1, 0, 2)).transpose(1, 0, 2)
    normals = np.cross(down, across)
    lengths = np.linalg.norm(normals, axis=-1, keepdims=True)
    known = np.isfinite(lengths) & (lengths > 0)
    return np.where(known, normals / np.where(known, lengths, 1), 0).astype(np.float32)


def _nearest_steps(places: Numbers) -> Numbers:
    """(H, W, 3): to the next place of a row, or from the one before, whichever is the less deep."""
    ahead, behind = np.full_like(places, np.nan), np.full_like(places, np.nan)
    ahead[:, :-1] = behind[:, 1:] = places[:, 1:] - places[:, :-1]
    deep, other = (np.nan_to_num(np.abs(step[..., 2]), nan=np.inf) for step in (ahead, behind))
    return np.where((deep <= other)[..., None], ahead, behind)

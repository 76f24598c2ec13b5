"""`world:...` in place of DATA: rendered when it is first asked for, and kept."""

from __future__ import annotations

import io
import json
import wave
from collections.abc import Callable, Iterator, Sequence
from functools import partial
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import numpy.typing as npt

from hotstart.data.decode import decode, measure
from hotstart.data.entries import default_cache_folder
from hotstart.data.files import read_at
from hotstart.data.headers import Unreadable
from hotstart.data.quarantine import Quarantined
from hotstart.data.sample import TRUTHS, TRUTHS_OF_MOTION
from hotstart.data.source import Array, Found, Source, absolute, content_hash
from hotstart.data.videos import Frame, Measured, Samples, Sound, VideoSource
from hotstart.errors import DataError
from hotstart.world import shards
from hotstart.world.asked import WorldSettings, parse_world
from hotstart.world.generate import ABOUT, DONE, SHARDS, render

ROOM = "world"
"""Of the cache."""
FILES = {
    "depth": "depth.npy",
    "normals": "normals.npy",
    "contours": "contours.png",
    "instances": "instances.png",
    "exact_flow": "flow.npy",
    "occlusion": "occlusion.png",
}
"""Where in a shard each of `TRUTHS` is."""


def open_world(
    data: str, progress: Callable[[str, int, int], None] | None = None, *, folder: bool = False
) -> Found:
    """The pictures or clips of `world:...`; with `folder`, of a folder that `render` has filled.

    The label of a picture is the shape of the thing that covers most of it; of a clip, its action.
    Raises `UsageError` as `render` does; `DataError` for a folder without whole shards.
    """
    if folder:
        place = Path(data).expanduser()
        origin = absolute(place)
    else:
        settings = parse_world(data)
        origin = settings.text
        place = default_cache_folder() / ROOM / settings.fingerprint
        render(data, place, form="shards", progress=progress)
    about = _about(place)
    world = Shelves(place / SHARDS, parse_world(about["world"]))
    fingerprint = content_hash(json.dumps(about).encode())
    kind = RenderedClips if world.settings.is_video else RenderedPictures
    source = kind(world, origin, f"{fingerprint:016x}")
    classes = tuple(about["labels"])
    return Found(f"rendered {world.settings.kind}", source, world.labels(classes), classes)


def _about(place: Path) -> dict[str, Any]:
    """What a finished folder says of itself."""
    again = f"render it anew, or with the same command, if it was stopped: {place}"
    if not (place / DONE).exists():
        raise DataError(f"a world that is not finished; {again}")
    if not (place / SHARDS).is_dir():
        raise DataError(f"{place} has no {SHARDS}/; its pictures alone are {place}/images")
    try:
        about: dict[str, Any] = json.loads((place / ABOUT).read_text(encoding="utf-8"))
        parse_world(about["world"])
    except (ValueError, KeyError, TypeError):
        raise DataError(f"{place / ABOUT} is damaged; {again}") from None
    return about


def read_truth(key: str, data: bytes) -> npt.NDArray[Any]:
    """One of `TRUTHS` from its file, (C, H, W)."""
    if FILES[key].endswith(".png"):
        grey = cv2.imdecode(np.frombuffer(data, np.uint8), cv2.IMREAD_GRAYSCALE)
        whole: npt.NDArray[Any] = np.asarray(grey)[None]
        return whole if key == "instances" else whole > 0
    values = np.load(io.BytesIO(data), allow_pickle=False)
    channels_first = values[None] if values.ndim == 2 else values.transpose(2, 0, 1)
    return np.asarray(channels_first, np.float32)


class Shelves:
    """The files of a rendered world by item and ending, read from its shards."""

    def __init__(self, folder: Path, settings: WorldSettings) -> None:
        self.settings = settings
        self._paths = sorted(folder.glob("*.tar"))
        # Of each ending: shard, position and bytes of the file of each item.
        self._where: dict[str, npt.NDArray[np.int64]] = {}
        for number, path in enumerate(self._paths):
            try:
                for key, ending, position, size in shards.members(path):
                    if ending not in self._where:
                        self._where[ending] = np.zeros((settings.n, 3), np.int64)
                    self._where[ending][int(key)] = number, position, size
            except Unreadable as reason:
                raise DataError(f"{path}: {reason}; render it anew") from None
        for ending, where in self._where.items():
            if not where[:, 2].all():
                missing = int(np.flatnonzero(where[:, 2] == 0)[0])
                raise DataError(f"{folder} lacks {ending} of item {missing}; render it anew")

    def file(self, i: int, ending: str) -> bytes:
        """One file. Raises `DataError` where the shard is gone or damaged."""
        number, position, size = (int(value) for value in self._where[ending][i])
        try:
            return read_at(bytes(self._paths[number]), position, size)
        except Unreadable as reason:
            raise DataError(f"{self._paths[number]}: {reason}; render it anew") from None

    def labels(self, classes: tuple[str, ...]) -> npt.NDArray[np.int32]:
        """Int32 (N,): position of each item's label in `classes`, -1 where it has none."""
        codes = {name: code for code, name in enumerate(classes)}
        told = map(partial(self.file, ending=shards.LAST), range(self.settings.n))
        return np.array([codes.get(json.loads(each)["label"], -1) for each in told], np.int32)


class RenderedPictures(Source):
    """The pictures of a world of images."""

    rendered = True

    def __init__(self, world: Shelves, origin: str, fingerprint: str) -> None:
        self.world = world
        self.origin = origin
        self.fingerprint = fingerprint

    def __len__(self) -> int:
        return self.world.settings.n

    def path(self, i: int) -> str:
        return f"{i:06d}"

    def read(self, i: int, short_side: int) -> tuple[int, Array]:
        data = self.world.file(i, "image.png")
        return content_hash(data), decode(data, short_side)

    def peek(self, i: int) -> tuple[int, int]:
        return measure(self.world.file(i, "image.png"))

    @property
    def truths(self) -> frozenset[str]:
        return frozenset(TRUTHS) - {*TRUTHS_OF_MOTION}

    def truth(self, i: int, key: str, stamp: int = 0) -> npt.NDArray[Any]:
        return read_truth(key, self.world.file(i, FILES[key]))


class RenderedClips(VideoSource):
    """The clips of a world of videos, with their sound."""

    rendered = True

    def __init__(self, world: Shelves, origin: str, fingerprint: str) -> None:
        self.world = world
        self.origin = origin
        self.fingerprint = fingerprint

    def __len__(self) -> int:
        return self.world.settings.n

    def path(self, i: int) -> str:
        return f"{i:06d}"

    def content(self, i: int) -> int:
        frames = [self.world.file(i, self._name(t)) for t in range(self.world.settings.frames)]
        return content_hash(b"".join(frames))

    def read(self, i: int, short_side: int) -> Iterator[Frame | Sound | Quarantined]:
        yield Sound(0.0, self.sound(i))
        for t, pixels in enumerate(self.frames(i, short_side, range(self.world.settings.frames))):
            yield Frame(t / self.world.settings.hz, t, pixels)

    def frames(self, i: int, short_side: int, stamps: Sequence[int]) -> list[Array]:
        return [decode(self.world.file(i, self._name(t)), short_side) for t in stamps]

    def sound(self, i: int) -> Samples:
        with wave.open(io.BytesIO(self.world.file(i, "wav"))) as file:
            return np.frombuffer(file.readframes(file.getnframes()), "<i2").astype(np.int16)

    def poses(
        self, i: int, seconds: npt.NDArray[np.float64], stamps: Sequence[int]
    ) -> npt.NDArray[np.float64]:
        cameras = [
            frame["camera"] for frame in json.loads(self.world.file(i, shards.LAST))["frames"]
        ]
        poses = np.tile(np.eye(4), (len(stamps), 1, 1))
        poses[:, :3, :3] = [cameras[t]["rotation"] for t in stamps]
        poses[:, :3, 3] = [cameras[t]["position_metres"] for t in stamps]
        return poses

    def measure(self, i: int) -> Measured:
        width, height = measure(self.world.file(i, self._name(0)))
        settings = self.world.settings
        return Measured(width, height, settings.frames, settings.frames / settings.hz)

    @property
    def truths(self) -> frozenset[str]:
        return frozenset(TRUTHS)

    def truth(self, i: int, key: str, stamp: int = 0) -> npt.NDArray[Any]:
        return read_truth(key, self.world.file(i, f"{stamp:02d}.{FILES[key]}"))

    def _name(self, t: int) -> str:
        return f"{t:02d}.image.png"

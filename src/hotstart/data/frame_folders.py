"""Videos that lie on disk as folders of pictures, one for each frame: `frames:FOLDER?hz=25`.

`frames:FOLDER?hz=25&frames=20` cuts each into items of 20 frames or a few more (`stretches.py`).
Frames are the pictures of one folder whose names differ in their last number alone; their order is
that of the number, not of the letters. A number with a decimal point is a time in seconds (as in
TUM's RGB-D sets); any other counts frames at `hz`, so that one left out leaves a gap. A sound file
beside the folder that bears its name (`drive.wav`, `drive/`) begins with the first frame.
"""

from __future__ import annotations

import hashlib
import os
import re
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import parse_qsl

import cv2
import numpy as np
import numpy.typing as npt

from hotstart.data.decode import decode, measure
from hotstart.data.discover import classify_folders
from hotstart.data.files import whole_file
from hotstart.data.headers import Unreadable
from hotstart.data.index import Index, walk
from hotstart.data.pose_files import Floats
from hotstart.data.poses import beside_frames
from hotstart.data.quarantine import Quarantined, printable
from hotstart.data.sounds import Beside, decode_sound
from hotstart.data.source import Found, absolute, groups_of_paths
from hotstart.data.videos import Array, Frame, Measured, Samples, Sound, VideoSource
from hotstart.errors import DataError, UsageError

PREFIX = "frames:"
ALLOWED = (
    "after the ? stand hz=, frames a second, a number above 0, and frames=, how many of them an "
    "item has, a whole number from 2 to 1000000, as in ?hz=10&frames=20"
)
MOST_FRAMES = 1_000_000
_NUMBER = re.compile(r"(.*?)(\d+(?:\.\d+)?)(\D*)")


@dataclass(frozen=True)
class FrameSettings:
    """How frames are read; by their names in `frames:FOLDER?name=value&...`."""

    hz: float = 25.0
    """Frames a second."""
    frames: int | None = None
    """Of each item that a video is cut into; None: cut as any other video is."""

    @classmethod
    def parse(cls, text: str, query: str) -> FrameSettings:
        """Raises `UsageError`, beginning with `text`, for a name or a value that is none."""
        hz, frames = cls.hz, cls.frames
        for name, value in parse_qsl(query, keep_blank_values=True) or [("", "")]:
            try:
                if name == "hz" and 0 < float(value) < float("inf"):
                    hz = float(value)
                elif name == "frames" and 2 <= int(value) <= MOST_FRAMES:
                    frames = int(value)
                else:
                    raise ValueError
            except ValueError:
                raise UsageError(f"{text}: {name}={value} is not allowed; {ALLOWED}") from None
        return cls(hz, frames)


@dataclass(frozen=True)
class _Sequences:
    """Frames of each video, one video behind the other, in the order of time.

    files: int64 (F,), positions among the pictures; numbers: float64 (F,), of their names;
    ends: int64 (N,), where each video ends
    """

    files: npt.NDArray[np.int64]
    numbers: npt.NDArray[np.float64]
    ends: npt.NDArray[np.int64]


def open_frames(text: str, label: str | None, group: str | None) -> Found:
    """The videos of `frames:FOLDER` or `frames:FOLDER?hz=10`; splits and classes as in `discover`.

    Raises `DataError` where there are none, `UsageError` for settings that are none.
    """
    where, settings = _parsed(text)
    if label is not None:
        raise UsageError(f"label={label!r} names a column of a table, and {text} is none")
    if not where.is_dir():
        raise DataError(f"{text}: there is no folder {where}; write frames:FOLDER")
    pictures = walk(where)
    if not len(pictures):
        raise DataError(f"{text}: no pictures in {where}, which would be the frames of its videos")
    videos, sequences = _sequences(pictures)
    origin = f"{PREFIX}{absolute(where)}"
    found = classify_folders(
        videos, FrameFolders(videos, pictures, sequences, settings, origin), "videos"
    )
    return found if group is None else found.with_groups(groups_of_paths(videos, group))


class FrameFolders(VideoSource):
    """Sequences of picture files. A frame that cannot be read is left out."""

    def __init__(
        self,
        videos: Index,
        pictures: Index,
        sequences: _Sequences,
        settings: FrameSettings,
        origin: str,
    ) -> None:
        self.videos = videos
        self.pictures = pictures
        self.sequences = sequences
        self.hz = settings.hz
        self.piece_frames = settings.frames
        self.origin = origin
        self.beside = Beside(videos) if pictures.others else None
        # Where videos are cut changes nothing of what is decoded: it is no part of this.
        state = f"{pictures.fingerprint}|{self.hz}"
        if self.beside is not None:
            state += f"|{self.beside.fingerprint}"
        self.fingerprint = hashlib.blake2b(state.encode(), digest_size=16).hexdigest()

    def __len__(self) -> int:
        return len(self.videos)

    def path(self, i: int) -> str:
        return printable(self.videos.relative(i))

    def content(self, i: int) -> int:
        digest = hashlib.blake2b(digest_size=8)
        for place in range(*self._stretch(i)):
            digest.update(self._bytes(place))
        return int.from_bytes(digest.digest(), "little")

    def read(self, i: int, short_side: int) -> Iterator[Frame | Sound | Quarantined]:
        size: tuple[int, int] | None = None
        start, stop = self._stretch(i)
        for place in range(start, stop):
            try:
                pixels = decode(self._bytes(place), short_side)
            except Unreadable as reason:
                name = printable(self.pictures.relative(int(self.sequences.files[place])))
                yield Quarantined(name, str(reason))
                continue
            pixels = _of_size(pixels, size)
            size = (pixels.shape[1], pixels.shape[0])
            yield Frame(self._seconds(place), place - start, pixels)
        try:
            samples = self.sound(i)
        except Unreadable as reason:
            yield Quarantined(self.path(i), f"used without its sound: {reason}")
            return
        if len(samples):
            yield Sound(self._seconds(start), samples)

    def frames(self, i: int, short_side: int, stamps: Sequence[int]) -> list[Array]:
        start, _ = self._stretch(i)
        first = next(piece for piece in self.read(i, short_side) if isinstance(piece, Frame))
        size = (first.pixels.shape[1], first.pixels.shape[0])
        return [_of_size(decode(self._bytes(start + stamp), short_side), size) for stamp in stamps]

    def sound(self, i: int) -> Samples:
        file = None if self.beside is None else self.beside.file(self.videos.relative(i))
        return np.empty(0, np.int16) if file is None else decode_sound(whole_file(file))

    def poses(self, i: int, seconds: Floats, stamps: Sequence[int]) -> Floats | None:
        start, stop = self._stretch(i)
        files = [self.pictures.file(int(self.sequences.files[at])) for at in range(start, stop)]
        # A frame that cannot be read has a pose, too, in a file that goes by their order.
        own = np.array([self._seconds(at) for at in range(start, stop)])
        found = beside_frames(files, self.sequences.numbers[start:stop], own)
        return None if found is None else found[list(stamps)]

    def measure(self, i: int) -> Measured:
        start, stop = self._stretch(i)
        return Measured(*measure(self._bytes(start)), stop - start, 0.0)

    def _stretch(self, i: int) -> tuple[int, int]:
        ends = self.sequences.ends
        return int(ends[i - 1]) if i else 0, int(ends[i])

    def _bytes(self, place: int) -> bytes:
        return whole_file(self.pictures.file(int(self.sequences.files[place])))

    def _seconds(self, place: int) -> float:
        number = float(self.sequences.numbers[place])
        return number if self._are_times(place) else number / self.hz

    def _are_times(self, place: int) -> bool:
        name = printable(self.pictures.name(int(self.sequences.files[place])))
        return "." in _parts(name)[1]


def _parsed(text: str) -> tuple[Path, FrameSettings]:
    """The folder, and what stands after it."""
    where, mark, query = text.removeprefix(PREFIX).rpartition("?")
    if not mark:
        return Path(query).expanduser(), FrameSettings()
    return Path(where).expanduser(), FrameSettings.parse(text, query)


def _of_size(pixels: Array, size: tuple[int, int] | None) -> Array:
    if size is None or (pixels.shape[1], pixels.shape[0]) == size:
        return pixels
    return cv2.resize(pixels, size, interpolation=cv2.INTER_AREA)  # type: ignore[return-value]


def _parts(name: str) -> tuple[str, str, str]:
    """What stands before the last number of a file name, that number, and what follows it."""
    stem, dot, suffix = name.rpartition(".")
    match = _NUMBER.fullmatch(stem)
    if match is None:
        return name, "", ""
    return match[1], match[2], match[3] + dot + suffix


def _sequences(pictures: Index) -> tuple[Index, _Sequences]:
    """The videos as an index of their own, ordered by folder, then by name, and their frames."""
    found: dict[tuple[int, str, str], list[tuple[float, int]]] = {}
    for i in range(len(pictures)):
        before, number, after = _parts(printable(pictures.name(i)))
        key = (int(pictures.folder[i]), before, after)
        found.setdefault(key, []).append((float(number or 0), i))
    in_folder = Counter(folder for folder, _, _ in found)
    # A folder that holds one video gives it its name.
    named = sorted(
        (
            *_name_of(pictures.folders[key[0]], key[1], key[2], in_folder[key[0]] == 1),
            sorted(frames),
        )
        for key, frames in found.items()
    )
    folders = sorted({folder for folder, _, _ in named})
    code = {folder: number for number, folder in enumerate(folders)}
    places = [np.array([i for _, i in frames], np.int64) for _, _, frames in named]
    videos = Index(
        root=pictures.root,
        folders=tuple(folders),
        folder=np.array([code[folder] for folder, _, _ in named], np.uint32),
        names=np.frombuffer(b"".join(name for _, name, _ in named), np.uint8),
        ends=np.array([len(name) for _, name, _ in named], np.int64).cumsum(),
        sizes=np.array([pictures.sizes[frames].sum() for frames in places]),
        changed=np.array([pictures.changed[frames].max() for frames in places]),
        problems=pictures.problems,
        others=pictures.others,
    )
    numbers = np.array([number for _, _, frames in named for number, _ in frames])
    ends = np.array([len(frames) for frames in places], np.int64).cumsum()
    return videos, _Sequences(np.concatenate(places), numbers, ends)


def _name_of(folder: bytes, before: str, after: str, alone: bool) -> tuple[bytes, bytes]:
    """Folder and name of the video whose frames are called `before`, a number, `after`."""
    parent, _, own = folder.rpartition(b"/")
    if alone and own:
        return parent, own
    stem = before + after.rpartition(".")[0]
    return folder, os.fsencode(stem.strip(" _-.") or "frames")

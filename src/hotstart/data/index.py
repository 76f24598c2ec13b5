"""The list of picture or video files: one pass of `os.scandir`, no Python object for each."""

from __future__ import annotations

import hashlib
import os
import stat
from array import array
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import BinaryIO

import numpy as np
import numpy.typing as npt

from hotstart.data.allocator import give_back
from hotstart.data.files import opened, whole_file
from hotstart.data.quarantine import Quarantined, printable
from hotstart.errors import DataError

SUFFIXES = frozenset(
    {".jpg", ".jpeg", ".jpe", ".jfif", ".png", ".apng", ".webp", ".bmp", ".dib", ".gif"}
    | {".tif", ".tiff", ".ppm", ".pgm"}
)
"""Lower-case endings of the files that are taken for pictures."""

VIDEO_SUFFIXES = frozenset({".mp4", ".m4v", ".mov", ".3gp", ".avi", ".mkv", ".webm"}) | frozenset(
    {".mpg", ".mpeg", ".wmv", ".flv", ".ogv"}
)
"""Those that are taken for videos; a GIF may be either."""

SOUND_SUFFIXES = frozenset({".wav", ".flac", ".ogg", ".oga"})

TAR = ".tar"

SKIPPED_FOLDERS = frozenset({"__MACOSX"})
FLUSH = 2_048
"""Names held as Python strings before they are packed; keeps a folder of millions small."""


@dataclass(frozen=True)
class Index:
    """N picture files below `root`, ordered by folder, then by name.

    folders: one entry for each folder that holds pictures, relative to `root`, bytes, "" for root
    folder: uint32 (N,), which of `folders` the file lies in
    names: uint8, all file names one behind the other; ends: int64 (N,), where each name ends
    sizes: int64 (N,), bytes; changed: int64 (N,), time of the last change, nanoseconds
    """

    root: Path
    folders: tuple[bytes, ...]
    folder: npt.NDArray[np.uint32]
    names: npt.NDArray[np.uint8]
    ends: npt.NDArray[np.int64]
    sizes: npt.NDArray[np.int64]
    changed: npt.NDArray[np.int64]
    problems: tuple[Quarantined, ...] = ()
    others: int = 0
    """Files passed over because of their ending."""
    videos: int = 0
    """Those of them that end like videos."""
    tars: int = 0
    """Those of them that end like tar files."""
    other_example: str = ""

    def __len__(self) -> int:
        return len(self.folder)

    def name(self, i: int) -> bytes:
        """File name of item i."""
        start = int(self.ends[i - 1]) if i else 0
        return self.names[start : int(self.ends[i])].tobytes()

    def relative(self, i: int) -> bytes:
        """Path of item i relative to `root`."""
        return joined(self.folders[self.folder[i]], self.name(i))

    def file(self, i: int) -> bytes:
        """Path of item i to open it by."""
        return joined(os.fsencode(self.root), self.relative(i))

    def path(self, i: int) -> str:
        """Relative path of item i for people."""
        return printable(self.relative(i))

    def read(self, i: int) -> bytes:
        """What is in item i. Raises `Unreadable`."""
        return whole_file(self.file(i))

    def open(self, i: int) -> BinaryIO:
        """Item i, to be read from its start. Raises `Unreadable`."""
        return opened(self.file(i))

    def relatives(self) -> Iterator[str]:
        """Every relative path in order, bytes that are not UTF-8 escaped."""
        return map(self.path, range(len(self)))

    @property
    def fingerprint(self) -> str:
        """32 hexadecimal digits of every relative path, size and time of change."""
        digest = hashlib.blake2b(digest_size=16)
        digest.update(b"\0".join(self.folders))
        for part in (self.folder, self.names, self.ends, self.sizes, self.changed):
            digest.update(np.ascontiguousarray(part).data)
        return digest.hexdigest()


@dataclass
class _Collected:
    """What the walk has gathered so far."""

    suffixes: frozenset[str]
    folders: list[bytes] = field(default_factory=list)
    counts: list[int] = field(default_factory=list)
    names: bytearray = field(default_factory=bytearray)
    lengths: array[int] = field(default_factory=lambda: array("q"))
    sizes: array[int] = field(default_factory=lambda: array("q"))
    changed: array[int] = field(default_factory=lambda: array("q"))
    problems: list[Quarantined] = field(default_factory=list)
    others: int = 0
    videos: int = 0
    tars: int = 0
    other_example: str = ""

    def index(self, root: Path) -> Index:
        folder = np.repeat(np.arange(len(self.folders), dtype=np.uint32), self.counts)
        return Index(
            root=root,
            folders=tuple(self.folders),
            folder=folder,
            names=np.frombuffer(self.names, dtype=np.uint8),
            ends=np.frombuffer(self.lengths, dtype=np.int64).cumsum(),
            sizes=np.frombuffer(self.sizes, dtype=np.int64),
            changed=np.frombuffer(self.changed, dtype=np.int64),
            problems=tuple(self.problems),
            others=self.others,
            videos=self.videos,
            tars=self.tars,
            other_example=self.other_example,
        )


def joined(folder: bytes, name: bytes) -> bytes:
    """`name` below `folder`; an absolute name stays, an empty folder adds nothing."""
    return name if not folder or name[:1] == b"/" else folder + b"/" + name


def ending(name: str) -> str:
    """The ending of a file name in lower case, with its dot; "" where there is none."""
    dot = name.rfind(".")
    return name[dot:].lower() if dot >= 0 else ""


def is_picture_name(name: str) -> bool:
    """Whether the ending of a file name is a picture's."""
    return ending(name) in SUFFIXES


def is_video_name(name: str) -> bool:
    """Whether the ending of a file name is a video's; a GIF's is a picture's."""
    return ending(name) in VIDEO_SUFFIXES


def walk(root: Path, suffixes: frozenset[str] = SUFFIXES) -> Index:
    """Index the pictures (or what else has one of `suffixes`) at any depth below `root`.

    Hidden files and folders are passed over; links are followed, except into a folder that
    contains them. What has a picture's ending but cannot be opened is a problem, not an error.

    Raises `DataError` when `root` itself cannot be read.
    """
    found = _Collected(suffixes)
    try:
        status = root.stat()
        os.listdir(root)  # noqa: PTH208 - the cheapest way to learn that it can be read
    except OSError as error:
        raise DataError(f"{root} cannot be read: {error.strerror}") from None
    _walk(found, os.fsencode(root), b"", (status.st_dev, status.st_ino), frozenset())
    index = found.index(root)
    give_back()  # as much again as is kept was in the way while it grew
    return index


def _walk(
    found: _Collected,
    root: bytes,
    folder: bytes,
    here: tuple[int, int],
    above: frozenset[tuple[int, int]],
) -> None:
    path = joined(root, folder)
    try:
        handle = os.open(path, os.O_RDONLY | os.O_DIRECTORY)
    except OSError as error:
        found.problems.append(
            Quarantined(printable(folder), f"folder cannot be opened: {error.strerror}")
        )
        return
    try:
        below = _read_folder(found, folder, handle)
    finally:
        os.close(handle)
    above = above | {here}
    for name in sorted(below):
        child = joined(folder, name)
        status = os.stat(joined(root, child))  # noqa: PTH116 - the path is bytes
        identity = (status.st_dev, status.st_ino)
        if identity not in above:  # else a link that leads back to where it came from
            _walk(found, root, child, identity, above)


def _read_folder(found: _Collected, folder: bytes, handle: int) -> list[bytes]:
    """Add one folder's pictures to `found`; hands back the names of the folders in it."""
    below: list[bytes] = []
    names: list[str] = []
    packed: list[bytes] = []
    sizes, changed = array("q"), array("q")
    # Entries of a file descriptor are looked up relative to it: a third less time than by path.
    with os.scandir(handle) as entries:
        for entry in entries:
            name = entry.name
            if name[0] == ".":
                continue
            kind = ending(name)
            if kind not in found.suffixes:
                if entry.is_dir():
                    if name not in SKIPPED_FOLDERS:
                        below.append(os.fsencode(name))
                else:
                    found.others += 1
                    found.videos += kind in VIDEO_SUFFIXES
                    found.tars += kind == TAR
                    found.other_example = found.other_example or printable(os.fsencode(name))
                continue
            try:
                status = entry.stat()
            except OSError as error:
                reason = "broken link" if entry.is_symlink() else f"no access: {error.strerror}"
                _problem(found, folder, name, reason)
                continue
            if stat.S_ISREG(status.st_mode):
                names.append(name)
                sizes.append(status.st_size)
                changed.append(status.st_mtime_ns)
                if len(names) == FLUSH:
                    packed.append(_pack(names))
                    names.clear()
            elif stat.S_ISDIR(status.st_mode):
                below.append(os.fsencode(name))
            else:
                _problem(found, folder, name, "not a regular file")
    if names:
        packed.append(_pack(names))
    if packed:
        _add_sorted(found, folder, b"".join(packed), sizes, changed)
    return below


def _problem(found: _Collected, folder: bytes, name: str, reason: str) -> None:
    path = printable(joined(folder, os.fsencode(name)))
    found.problems.append(Quarantined(path, reason))


def _pack(names: Sequence[str]) -> bytes:
    return os.fsencode("\0".join(names)) + b"\0"


def _add_sorted(
    found: _Collected, folder: bytes, packed: bytes, sizes: array[int], changed: array[int]
) -> None:
    """Append one folder's files in the order of their names, by NumPy alone."""
    letters = np.frombuffer(packed, dtype=np.uint8)
    stops = np.flatnonzero(letters == 0)
    starts = np.concatenate([[0], stops[:-1] + 1])
    lengths = stops - starts
    width = int(lengths.max())
    table = np.zeros((len(stops), width), dtype=np.uint8)
    inside = np.arange(width) < lengths[:, None]
    table[inside] = letters[letters != 0]
    order = np.argsort(table.view(f"S{width}").ravel(), kind="stable")
    found.names += table[order][inside[order]].tobytes()
    found.lengths.frombytes(lengths[order].tobytes())
    found.sizes.frombytes(np.frombuffer(sizes, dtype=np.int64)[order].tobytes())
    found.changed.frombytes(np.frombuffer(changed, dtype=np.int64)[order].tobytes())
    found.folders.append(folder)
    found.counts.append(len(stops))

"""Where pictures come from before they are cached: files, or arrays that a library hands over."""

from __future__ import annotations

import hashlib
import re
import threading
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, BinaryIO, Protocol

import numpy as np
import numpy.typing as npt

from hotstart.data.decode import decode, measure
from hotstart.data.index import Index
from hotstart.data.quarantine import Quarantined
from hotstart.data.shrink import shrink
from hotstart.errors import UsageError

Array = npt.NDArray[np.uint8]


class Items(ABC):
    """Pictures or videos by position, 0 .. len - 1."""

    origin: str
    """Where from: the same for all states of one folder or table."""
    fingerprint: str
    """Changes whenever an item may have changed."""
    rendered: bool = False
    """Whether an engine made them: no evidence for what is worth something on real pictures."""

    @abstractmethod
    def __len__(self) -> int: ...

    @abstractmethod
    def path(self, i: int) -> str:
        """Name of item i for people."""

    @abstractmethod
    def peek(self, i: int) -> tuple[int, int]:
        """Width and height in pixels, from as little as can be read. Raises `Unreadable`."""

    @property
    def truths(self) -> frozenset[str]:
        """Sample keys, beside the picture, that are known of each of its pixels."""
        return frozenset()

    def truth(self, i: int, key: str, stamp: int = 0) -> npt.NDArray[Any]:
        """What one of `truths` says of item i, (C, H, W); see `sample.py`.

        stamp: of a video, which frame (`videos.Frame`)
        """
        raise KeyError(key)


class Source(Items):
    """Pictures by position."""

    @abstractmethod
    def read(self, i: int, short_side: int) -> tuple[int, Array]:
        """Content hash, and uint8 RGB (H, W, 3). Raises `Unreadable`."""

    def release(self) -> None:
        """Let go of what was loaded; it is loaded again when needed."""


class Files(Protocol):
    """Files by position, wherever they lie: an `Index` of them, or `Samples` in tars."""

    @property
    def fingerprint(self) -> str: ...

    def __len__(self) -> int: ...

    def path(self, i: int) -> str:
        """Name of file i for people."""

    def read(self, i: int) -> bytes:
        """All of file i. Raises `Unreadable`."""

    def open(self, i: int) -> BinaryIO:
        """File i, to be read from its start. Raises `Unreadable`."""


class FileSource(Source):
    """Picture files."""

    def __init__(self, files: Files, origin: str) -> None:
        self.files = files
        self.origin = origin
        self.fingerprint = files.fingerprint

    def __len__(self) -> int:
        return len(self.files)

    def path(self, i: int) -> str:
        return self.files.path(i)

    def read(self, i: int, short_side: int) -> tuple[int, Array]:
        data = self.files.read(i)
        return content_hash(data), decode(data, short_side)

    def peek(self, i: int) -> tuple[int, int]:
        return measure(self.files.read(i))


class ArraySource(Source):
    """Pictures of one library data set; `load` makes them when they are first asked for.

    load() -> uint8 of `shape`: (N, H, W, 3), or (N, H, W) grey
    """

    def __init__(
        self,
        name: str,
        fingerprint: str,
        shape: tuple[int, ...],
        load: Callable[[], Array],
        origin: str | None = None,
    ) -> None:
        self.name = name
        self.origin = name if origin is None else origin
        self.fingerprint = fingerprint
        self.shape = shape
        self._load = load
        self._lock = threading.Lock()
        self._pictures: Array | None = None

    def __len__(self) -> int:
        return self.shape[0]

    def path(self, i: int) -> str:
        return f"{self.name.rstrip(':')}/{i:06d}"

    def read(self, i: int, short_side: int) -> tuple[int, Array]:
        picture = self._picture(i)
        return content_hash(picture.tobytes()), shrink(picture, short_side)

    def peek(self, i: int) -> tuple[int, int]:
        return self.shape[2], self.shape[1]

    def release(self) -> None:
        self._pictures = None

    def _picture(self, i: int) -> Array:
        with self._lock:
            if self._pictures is None:
                self._pictures = self._load()
            picture = self._pictures[i]
        return np.repeat(picture[..., None], 3, axis=2) if picture.ndim == 2 else picture


def content_hash(data: bytes) -> int:
    """64 bits of BLAKE2b: equal for two pictures exactly when their bytes are."""
    return int.from_bytes(hashlib.blake2b(data, digest_size=8).digest(), "little")


@dataclass(frozen=True)
class Found:
    """What DATA turned out to be.

    labels: int32 (N,), -1 where none; None: no labels at all
    split: uint8 (N,) codes into `SPLITS`; None: the data has no splits of its own
    groups: int64 (N,); None: each picture is its own group
    """

    kind: str
    source: Items
    """A `Source` of pictures, or a `VideoSource`."""
    labels: npt.NDArray[np.int32] | None = None
    classes: tuple[str, ...] = ()
    split: npt.NDArray[np.uint8] | None = None
    groups: npt.NDArray[np.int64] | None = None
    problems: tuple[Quarantined, ...] = field(default=())
    notes: tuple[str, ...] = ()

    def with_groups(self, groups: npt.NDArray[np.int64]) -> Found:
        return replace(self, groups=groups)


def ordered(classes: Iterable[str]) -> list[str]:
    """Names of classes in their order: that of number if all are whole numbers, else of letters."""
    names = sorted(classes)
    try:
        return sorted(names, key=int)
    except ValueError:
        return names


def absolute(path: Path) -> str:
    """Where a path leads, as text that stays the same from any working directory."""
    return str(path.resolve())


def groups_of_paths(index: Index, pattern: str) -> npt.NDArray[np.int64]:
    """Int64 (N,) group of each item by a regular expression on its relative path.

    Raises `UsageError` for an expression that is not one, or that matches no path.
    """
    try:
        expression = re.compile(pattern)
    except re.error as error:
        raise UsageError(f"group={pattern!r} is not a regular expression: {error}") from None
    codes: dict[str, int] = {}
    groups = np.empty(len(index), np.int64)
    for i, path in enumerate(index.relatives()):
        match = expression.search(path)
        name = None if match is None else match.group(1 if expression.groups else 0)
        # An item without a match is its own group, numbered from above the named ones.
        groups[i] = len(index) + i if name is None else codes.setdefault(name, len(codes))
    if not codes:
        example = next(index.relatives())
        raise UsageError(f"group={pattern!r} matches none of {len(index)} paths, such as {example}")
    return groups

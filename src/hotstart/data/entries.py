"""Cache entries: built once under another name, renamed when whole, shared by processes."""

from __future__ import annotations

import contextlib
import errno
import fcntl
import hashlib
import os
import shutil
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TypeVar

from hotstart.errors import DataError

T = TypeVar("T")


def default_cache_folder() -> Path:
    """`$XDG_CACHE_HOME/hotstart`, by default `~/.cache/hotstart`."""
    home = os.environ.get("XDG_CACHE_HOME")
    return (Path(home) if home else Path.home() / ".cache") / "hotstart"


def place_of(folder: Path, room: str, origin: str, size: int) -> Path:
    """Where every state of the data `origin` at `size` px is kept."""
    return folder / room / hashlib.sha256(f"{origin}|{size}".encode()).hexdigest()[:24]


def open_entry(
    place: Path,
    name: str,
    look: Callable[[Path, int], T | None],
    build: Callable[[Path, int], None],
    budget_bytes: int | None,
) -> T:
    """What `look` finds in the entry `name` of `place`, built if it is not there yet.

    look(entry, budget): the finished entry, or None where there is none that can be used
    build(folder, budget): fills an empty folder, which then becomes the entry
    budget_bytes: disk space it may take; None is half of what is free
    Processes that ask for the same entry at once wait for the first of them. Earlier states of
    the data, and builds that were killed, are deleted.

    Raises `DataError` when the folder cannot be written.
    """
    entry = place / name
    try:
        place.mkdir(parents=True, exist_ok=True)
        budget = shutil.disk_usage(place).free // 2 if budget_bytes is None else budget_bytes
        found = look(entry, budget)
        if found is None:
            with _only_one(place):
                found = look(entry, budget)
                if found is None:
                    _publish(entry, lambda folder: build(folder, budget))
                    found = look(entry, budget)
    except OSError as error:
        raise DataError(
            f"the cache folder {place} cannot be used: {error.strerror or error}; make room there "
            f"or set XDG_CACHE_HOME to a folder that can be written"
        ) from None
    if found is None:
        raise DataError(f"the cache in {entry} vanished while it was read; start again")
    return found


@contextlib.contextmanager
def _only_one(place: Path) -> Iterator[None]:
    """Hold the lock of `place`; it is let go when the process ends, however it ends."""
    with (place / "lock").open("w") as handle:
        # A file system without locks: two builds at once then, each whole.
        with contextlib.suppress(OSError):
            fcntl.flock(handle, fcntl.LOCK_EX)
        yield


def _publish(entry: Path, fill: Callable[[Path], None]) -> None:
    building = Path(tempfile.mkdtemp(prefix=".building-", dir=entry.parent))
    try:
        fill(building)
        for old in entry.parent.iterdir():
            if old.is_dir() and old != building:
                shutil.rmtree(old, ignore_errors=True)
        try:
            building.rename(entry)
        except OSError as error:
            if error.errno not in (errno.EEXIST, errno.ENOTEMPTY):
                raise
    finally:
        shutil.rmtree(building, ignore_errors=True)

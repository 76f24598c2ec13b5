"""What one pass over the raw data gives, kept on disk, so that it is made once."""

from __future__ import annotations

import contextlib
import fcntl
import hashlib
import os
import tempfile
import zipfile
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from hotstart.errors import DataError

Arrays = dict[str, npt.NDArray[Any]]


def prepared(
    cache: Path, name: str, key: tuple[str | int, ...], make: Callable[[], Arrays]
) -> Arrays:
    """The arrays of `make`, from `cache` where they have been made before.

    name: what they are, a folder in `cache`. key: all that they depend on: the pictures'
    fingerprint, settings, a version of the code. A file appears whole or not at all; a broken one
    is made anew; of processes that ask at once one makes it.

    Raises DataError when the folder cannot be written.
    """
    folder = cache / "prepared" / name
    digest = hashlib.blake2b(repr(key).encode(), digest_size=12).hexdigest()
    path = folder / f"{digest}.npz"
    try:
        folder.mkdir(parents=True, exist_ok=True)
        with _only_one(folder / f"{digest}.lock"):
            found = _read(path)
            if found is None:
                found = make()
                _write(path, found)
    except OSError as error:
        raise DataError(
            f"the cache folder {folder} cannot be used: {error.strerror or error}; make room there "
            f"or set XDG_CACHE_HOME to a folder that can be written"
        ) from None
    return found


def _read(path: Path) -> Arrays | None:
    try:
        with path.open("rb") as handle, np.load(handle, allow_pickle=False) as file:
            return {name: file[name] for name in file.files}
    except (FileNotFoundError, ValueError, EOFError, zipfile.BadZipFile):
        return None


def _write(path: Path, arrays: Arrays) -> None:
    handle, part = tempfile.mkstemp(prefix=".part-", dir=path.parent)
    try:
        with os.fdopen(handle, "wb") as file:
            np.savez(file, allow_pickle=False, **arrays)
            file.flush()
            os.fsync(file.fileno())
        Path(part).replace(path)
    except BaseException:
        Path(part).unlink(missing_ok=True)
        raise


@contextlib.contextmanager
def _only_one(lock: Path) -> Iterator[None]:
    """Hold `lock`; it is let go when the process ends, however it ends."""
    with lock.open("w") as handle:
        # A file system without locks: several may make it then, each whole.
        with contextlib.suppress(OSError):
            fcntl.flock(handle, fcntl.LOCK_EX)
        yield

"""Bytes of files, and of stretches of files."""

from __future__ import annotations

import io
import os
from typing import TYPE_CHECKING, BinaryIO

from hotstart.data.headers import Unreadable

if TYPE_CHECKING:
    from _typeshed import WriteableBuffer


def whole_file(path: bytes) -> bytes:
    """What is in a file. Raises `Unreadable`."""
    return _read(path, None, 0)


def read_at(path: bytes, position: int, size: int) -> bytes:
    """A stretch of a file. Raises `Unreadable`, also where the file has become shorter."""
    data = _read(path, size, position)
    if len(data) < size:
        raise Unreadable("truncated: the file that it lies in has become shorter")
    return data


def opened(path: bytes, buffer_bytes: int = 0) -> BinaryIO:
    """A file to be read. Raises `Unreadable`."""
    try:
        return open(path, "rb", buffer_bytes)  # noqa: PTH123 - the path is bytes
    except OSError as error:
        raise Unreadable(f"cannot be opened: {error.strerror}") from None


def _read(path: bytes, size: int | None, position: int) -> bytes:
    try:
        handle = os.open(path, os.O_RDONLY)
        try:
            size = os.fstat(handle).st_size if size is None else size
            data = os.pread(handle, size, position)
            while len(data) < size and (
                more := os.pread(handle, size - len(data), position + len(data))
            ):
                data += more  # one call reads 2 GiB at most
            return data
        finally:
            os.close(handle)
    except OSError as error:
        raise Unreadable(f"cannot be opened: {error.strerror}") from None


class Stretch(io.RawIOBase):
    """A stretch of a file as a file of its own. Raises `Unreadable`."""

    def __init__(self, path: bytes, position: int, size: int) -> None:
        super().__init__()
        self._file = opened(path)
        self._start, self._size, self._at = position, size, 0

    def readable(self) -> bool:
        return True

    def seekable(self) -> bool:
        return True

    def readinto(self, buffer: WriteableBuffer) -> int:
        view = memoryview(buffer).cast("B")[: max(self._size - self._at, 0)]
        count = os.preadv(self._file.fileno(), [view], self._start + self._at)
        self._at += count
        return count

    def seek(self, offset: int, whence: int = os.SEEK_SET) -> int:
        base = {os.SEEK_SET: 0, os.SEEK_CUR: self._at, os.SEEK_END: self._size}[whence]
        self._at = max(base + offset, 0)
        return self._at

    def close(self) -> None:
        # After a constructor that failed there is none.
        if not self.closed and hasattr(self, "_file"):
            self._file.close()
        super().close()

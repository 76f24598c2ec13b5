"""Tar shards as WebDataset reads them: the same bytes for the same samples, and never half."""

from __future__ import annotations

import tarfile
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import BinaryIO

from hotstart.data.files import opened
from hotstart.data.shards import tar
from hotstart.data.shards.tar import BLOCK, HEAD_BYTES

LAST = "json"
"""The file that ends a sample."""


class Shards:
    """Samples 0 .. n - 1 in shards of `in_shard`; what a killed writer had finished is kept.

    Times, owners and rights in them are constants. A shard that is not whole has another name.
    """

    def __init__(self, folder: Path, n: int, in_shard: int) -> None:
        self.folder, self.n, self.in_shard = folder, n, in_shard
        self._open: tuple[Path, BinaryIO] | None = None

    def missing(self) -> Iterator[int]:
        """Which samples are still to be written, in the order in which they must be."""
        for start in range(0, self.n, self.in_shard):
            stop = min(start + self.in_shard, self.n)
            path = self.path(start)
            if path.exists():
                continue
            count = _whole(_part(path))[0] if _part(path).exists() else 0
            if start + count == stop:  # killed before its last name
                self._finish(self._opened(path))
            yield from range(start + count, stop)

    def write(self, index: int, files: Mapping[str, bytes]) -> None:
        """Sample `index`: endings and contents of its files, the last of them `LAST`."""
        assert list(files)[-1] == LAST
        file = self._opened(self.path(index))
        for ending, data in files.items():
            member = tarfile.TarInfo(f"{index:06d}.{ending}")
            member.size = len(data)
            member.mode = 0o644
            file.write(member.tobuf(tarfile.USTAR_FORMAT))
            file.write(data + b"\0" * (-len(data) % BLOCK))
        file.flush()
        if (index + 1) % self.in_shard == 0 or index + 1 == self.n:
            self._finish(file)

    def close(self) -> None:
        """Leave an unfinished shard as it is."""
        if self._open is not None:
            self._open[1].close()
            self._open = None

    def path(self, index: int) -> Path:
        """The shard that sample `index` belongs in."""
        return self.folder / f"world-{index // self.in_shard:06d}.tar"

    def _opened(self, path: Path) -> BinaryIO:
        if self._open is None:
            self.folder.mkdir(parents=True, exist_ok=True)
            part = _part(path)
            part.touch()
            _, end = _whole(part)
            file = part.open("r+b")
            file.truncate(end)
            file.seek(end)
            self._open = path, file
        return self._open[1]

    def _finish(self, file: BinaryIO) -> None:
        assert self._open is not None
        path = self._open[0]
        file.write(b"\0" * 2 * BLOCK)
        self.close()
        _part(path).rename(path)


def members(path: Path) -> Iterator[tuple[str, str, int, int]]:
    """Key, ending, position and size in bytes of each file in a finished shard.

    Raises `Unreadable` where it is damaged.
    """
    with opened(bytes(path), HEAD_BYTES) as shard:
        for name, position, size in tar.members(shard):
            key, _, ending = name.decode().partition(".")
            yield key, ending, position, size


def _part(path: Path) -> Path:
    return path.with_name(path.name + ".part")


def _whole(path: Path) -> tuple[int, int]:
    """How many samples are whole, and where the last of them ends."""
    count, end, position, size = 0, 0, 0, path.stat().st_size
    with path.open("rb") as file:
        while position + BLOCK <= size:
            file.seek(position)
            try:
                member = tarfile.TarInfo.frombuf(file.read(BLOCK), "ascii", "strict")
            except tarfile.HeaderError:
                break
            position += BLOCK + member.size + -member.size % BLOCK
            if position <= size and member.name.partition(".")[2] == LAST:
                count, end = count + 1, position
    return count, end

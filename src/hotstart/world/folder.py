"""The readable form of a world: one folder for each kind of file."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import Path

from hotstart.world.shards import LAST

NAMES = {"image": "images", "json": "labels", "wav": "sound"}
"""Folders that are not called as the files in them."""


def place(folder: Path, index: int, ending: str) -> Path:
    """Where a file lies: `depth/000012.npy`, and of a clip's frame `depth/000012/03.npy`."""
    *before, suffix = ending.split(".")
    frame = before.pop(0) if before and before[0].isdigit() else None
    kind = before[0] if before else suffix
    own = folder / NAMES.get(kind, kind)
    name = f"{index:06d}"
    return own / f"{name}.{suffix}" if frame is None else own / name / f"{frame}.{suffix}"


class Readable:
    """Items 0 .. n - 1 as files of their own; what a killed writer had finished is kept."""

    def __init__(self, folder: Path, n: int) -> None:
        self.folder, self.n = folder, n

    def missing(self) -> Iterator[int]:
        """Which items are still to be written: those whose last file is not there."""
        return (i for i in range(self.n) if not place(self.folder, i, LAST).exists())

    def write(self, index: int, files: Mapping[str, bytes]) -> None:
        """The files of one item, by ending, each whole or not at all, in the order given."""
        for ending, data in files.items():
            path = place(self.folder, index, ending)
            path.parent.mkdir(parents=True, exist_ok=True)
            part = path.with_name(path.name + ".part")
            part.write_bytes(data)
            part.rename(path)

    def close(self) -> None:
        """Nothing is left open."""

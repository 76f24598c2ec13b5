"""The samples of tar shards: indexed once, the index kept in the cache, read by their positions."""

from __future__ import annotations

import hashlib
import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any, BinaryIO, cast

import numpy as np
import numpy.typing as npt

from hotstart.data.entries import open_entry, place_of
from hotstart.data.files import Stretch, read_at
from hotstart.data.index import Index
from hotstart.data.quarantine import Quarantined
from hotstart.data.shards.index import ARRAYS, META, Progress, keys_of, write_index
from hotstart.data.shards.labels import Asked
from hotstart.data.shards.scan import Integers

VERSION = 1
"""Of what is read as a sample: raise it when that, or the files of an index, change."""


@dataclass(frozen=True)
class Samples:
    """N files in tars, in the order of the tars, then of what is in them.

    noun: what they are, `pictures`, `videos` or `sounds`; keys: of their samples, as in the tars
    tar: int32 (N,), positions in `tars`; main: int64 (N, 2), position and size of the file
    sound: int64 (N, 2), of the sound beside it, position 0 where there is none
    labels: int32 (N,), positions in `classes`, -1 where none; groups: int64 (N,), or None
    """

    tars: Index
    noun: str
    keys: Index
    tar: npt.NDArray[np.int32]
    main: Integers
    sound: Integers
    labels: npt.NDArray[np.int32]
    classes: tuple[str, ...]
    groups: Integers | None
    problems: tuple[Quarantined, ...]
    notes: tuple[str, ...]

    def __len__(self) -> int:
        return len(self.tar)

    @property
    def fingerprint(self) -> str:
        """32 hexadecimal digits of every tar's path, size and time of change."""
        state = f"{self.tars.fingerprint}|{VERSION}"
        return hashlib.blake2b(state.encode(), digest_size=16).hexdigest()

    def path(self, i: int) -> str:
        """`shard.tar:key`."""
        return f"{self.tars.path(int(self.tar[i]))}:{self.keys.path(i)}"

    def read(self, i: int) -> bytes:
        """What is in file i. Raises `Unreadable`."""
        position, size = self.main[i].tolist()
        return read_at(self._tar(i), position, size)

    def open(self, i: int) -> BinaryIO:
        """File i, to be read from its start. Raises `Unreadable`."""
        position, size = self.main[i].tolist()
        return cast(BinaryIO, Stretch(self._tar(i), position, size))

    def heard(self, i: int) -> bytes | None:
        """The sound beside file i, None where there is none. Raises `Unreadable`."""
        position, size = self.sound[i].tolist()
        return read_at(self._tar(i), position, size) if position else None

    def _tar(self, i: int) -> bytes:
        return self.tars.file(int(self.tar[i]))


def open_samples(
    tars: Index, origin: str, asked: Asked, folder: Path, progress: Progress | None = None
) -> Samples:
    """The samples of `tars`, from the cache in `folder` if they have been indexed before.

    progress: called as progress("index", done, total) with numbers of tars

    Raises `DataError` where there is no sample to be used, `UsageError` for a label that none has.
    """
    return open_entry(
        place_of(folder, "tars", f"{origin}|{asked}", 0),
        f"{tars.fingerprint[:24]}-v{VERSION}",
        lambda entry, _: _open(entry, tars),
        lambda building, _: write_index(building, tars, asked, progress),
        None,
    )


def _open(entry: Path, tars: Index) -> Samples | None:
    try:
        meta: dict[str, Any] = json.loads((entry / META).read_text(encoding="utf-8"))
        found = {name: np.load(entry / f"{name}.npy", mmap_mode="r") for name in ARRAYS}
        folders = [folder.encode("utf-8", "surrogateescape") for folder in meta["folders"]]
    except (FileNotFoundError, ValueError, KeyError):
        return None
    return Samples(
        tars,
        meta["noun"],
        keys_of(tars, folders, found["folder"], found["names"], found["ends"]),
        found["tar"],
        found["main"],
        found["sound"],
        found["labels"],
        tuple(meta["classes"]),
        found["groups"] if meta["grouped"] else None,
        tuple(Quarantined(*problem) for problem in meta["problems"]),
        tuple(meta["notes"]),
    )

"""The index of many tar shards: what each of them holds, in one, on disk."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from hotstart.config import nearest
from hotstart.data.allocator import give_back
from hotstart.data.index import Index
from hotstart.data.quarantine import Quarantined, printable
from hotstart.data.shards.labels import CLS, JSON, TXT, Asked
from hotstart.data.shards.scan import PICTURE, ROLES, SOUND, VIDEO, Integers, Shard, read_shard
from hotstart.data.source import ordered
from hotstart.data.workers import in_order
from hotstart.errors import DataError, UsageError

ARRAYS = ("tar", "folder", "names", "ends", "main", "sound", "labels", "groups")
META = "meta.json"
NOUNS = {PICTURE: "pictures", VIDEO: "videos", SOUND: "sounds"}
Columns = dict[str, npt.NDArray[Any]]
Progress = Callable[[str, int, int], None]


def write_index(building: Path, tars: Index, asked: Asked, progress: Progress | None) -> None:
    """Read every tar and write `ARRAYS` and `META` (see `samples.Samples`) to a folder."""
    gathered = _Gathered(tars)

    def read(number: int) -> Shard:
        return read_shard(tars.file(number), asked, tars.relative(number))

    for number, shard in enumerate(in_order(read, range(len(tars)))):
        gathered.add(number, shard)
        if progress is not None:
            progress("index", number + 1, len(tars))
    gathered.write(building, asked)
    give_back()


class _Gathered:
    """What the tars read so far hold.

    parts: of each tar, a column of each name: those of `Shard`, and `tar`; folder and labels are
    positions in `folders` and `words`, which all tars share
    """

    def __init__(self, tars: Index) -> None:
        self.tars = tars
        self.folders: dict[bytes, int] = {}
        self.words: dict[str, int] = {}
        self.parts: list[Columns] = []
        self.problems: list[Quarantined] = []
        self.seen: dict[str, None] = {}
        self.more = 0
        self.example = ""
        self.captions = False

    def add(self, number: int, shard: Shard) -> None:
        name = self.tars.path(number)
        self.problems += [
            Quarantined(name if key is None else f"{name}:{printable(key)}", reason)
            for key, reason in shard.problems
        ]
        self.parts.append(
            {
                "tar": np.full(len(shard.folder), number, np.int32),
                "folder": _numbers(self.folders, shard.folders)[shard.folder].astype(np.uint32),
                "names": np.frombuffer(shard.names, np.uint8),
                "lengths": shard.lengths,
                "files": shard.files,
                "labels": _numbers(self.words, shard.words)[shard.labels],
                "groups": shard.groups,
                "grouped": shard.grouped,
            }
        )
        self.seen |= dict.fromkeys(shard.seen)
        self.captions |= shard.captions
        count, example = shard.more
        self.more += count
        self.example = self.example or (f"{name}:{example}" if count else "")

    def write(self, building: Path, asked: Asked) -> None:
        # One column after the other: of all that was read nothing is there twice.
        found = {
            name: np.concatenate([part.pop(name) for part in self.parts])
            for name in tuple(self.parts[0])
        }
        role = _role(found["files"])
        whole = found["files"][:, role, 0] > 0
        self._tell_others(found, np.flatnonzero(~whole), NOUNS[role])
        if not whole.any():
            raise DataError(self._nothing())
        labels, classes, notes = self._labels(found.pop("labels"), asked)
        if role == PICTURE and self.more:
            notes.append(
                f"{self.more:,} more pictures in samples were passed over, such as {self.example}: "
                "files that are named alike up to the first dot are one sample, of which one "
                "picture is read"
            )

        def save(name: str, values: npt.NDArray[Any]) -> None:
            np.save(building / f"{name}.npy", values)

        lengths = found.pop("lengths")
        save("names", found.pop("names")[whole.repeat(lengths)])
        save("ends", lengths[whole].cumsum())
        save("labels", labels[whole].astype(np.int32))
        save("main", found["files"][whole, role])
        save("sound", found.pop("files")[whole, SOUND])
        for name in ("tar", "folder", "groups"):
            save(name, found[name][whole])
        meta = {
            "noun": NOUNS[role],
            "folders": [folder.decode("utf-8", "surrogateescape") for folder in self.folders],
            "classes": classes,
            "grouped": bool(found["grouped"].any()),
            "problems": self.problems,
            "notes": notes,
        }
        (building / META).write_text(json.dumps(meta), encoding="utf-8")

    def _tell_others(self, found: Columns, others: Integers, noun: str) -> None:
        """Quarantine the samples that hold no `noun`."""
        if not len(others):
            return
        ends = found["lengths"].cumsum()
        keys = keys_of(self.tars, self.folders, found["folder"], found["names"], ends)
        for i in others.tolist():
            name = f"{self.tars.path(int(found['tar'][i]))}:{keys.path(i)}"
            self.problems.append(Quarantined(name, f"no {noun[:-1]} among its files"))

    def _labels(self, found: Integers, asked: Asked) -> tuple[Integers, list[str], list[str]]:
        """Labels (N,), names of classes, and notes, from int64 (N, 3) words by where they are."""
        words = list(self.words)
        for where in (CLS, JSON, TXT):
            labelled = found[:, where] >= 0
            used = np.unique(found[labelled, where])
            guessed = where == TXT and asked.label is None
            if guessed and (self.captions or 2 * len(used) > labelled.sum()):
                break
            if len(used):
                classes = ordered({words[word] for word in used})
                code = _numbers({name: i for i, name in enumerate(classes)}, words)
                return np.where(labelled, code[found[:, where]], -1), classes, []
        if asked.label is not None:
            names = [name for name in self.seen if f".{name.rpartition('.')[2]}" not in ROLES]
            raise UsageError(
                f"label={asked.label!r}: none of the {len(found):,} samples has a file that ends "
                f"so, nor a field of this name in its .json; {nearest(asked.label, names)}"
            )
        notes = ["no labels: its .txt are captions; --label txt takes each for a class"]
        return np.full(len(found), -1), [], notes if self.captions or labelled.any() else []

    def _nothing(self) -> str:
        first = self.problems[0] if self.problems else None
        told = f" ({first.path}: {first.reason})" if first else ""
        count = f"the {len(self.tars)} tars" if len(self.tars) > 1 else self.tars.path(0)
        return (
            f"no picture, video or sound in {count}{told}; a sample are files named alike up to "
            "the first dot, such as 0001.jpg and 0001.cls"
        )


def keys_of(
    tars: Index,
    folders: Iterable[bytes],
    folder: npt.NDArray[np.uint32],
    names: npt.NDArray[np.uint8],
    ends: Integers,
) -> Index:
    """The keys of N samples as if they were paths of files."""
    nothing = np.broadcast_to(np.int64(0), len(folder))
    return Index(tars.root, tuple(folders), folder, names, ends, nothing, nothing)


def _role(files: Integers) -> int:
    """What samples are of: videos if they are at least as many as pictures without one."""
    there = files[:, :, 0] > 0
    videos = int(there[:, VIDEO].sum())
    pictures = int((there[:, PICTURE] & ~there[:, VIDEO]).sum())
    if videos and videos >= pictures:
        return VIDEO
    return SOUND if not pictures and there[:, SOUND].any() else PICTURE


def _numbers(known: dict[Any, int], things: Sequence[Any]) -> Integers:
    """Int64 (len + 1,): the number of each, a new one for what is new; last -1, for nothing."""
    return np.array([*(known.setdefault(thing, len(known)) for thing in things), -1], np.int64)

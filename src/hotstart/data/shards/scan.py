"""One tar shard: its samples, the files of each, and what they say."""

from __future__ import annotations

from array import array
from dataclasses import dataclass, field
from typing import BinaryIO

import numpy as np
import numpy.typing as npt

from hotstart.data.files import opened
from hotstart.data.headers import Unreadable
from hotstart.data.index import SOUND_SUFFIXES, SUFFIXES, VIDEO_SUFFIXES, joined
from hotstart.data.quarantine import printable
from hotstart.data.shards.labels import JSON, LONGEST_CLASS, MOST_BYTES, TXT, Asked, fields
from hotstart.data.shards.tar import HEAD_BYTES, CutShort, Member, members, sample_of
from hotstart.data.source import content_hash

PICTURE, VIDEO, SOUND = range(3)
ROLES = dict.fromkeys(SUFFIXES, PICTURE) | dict.fromkeys(VIDEO_SUFFIXES, VIDEO)
ROLES |= dict.fromkeys(SOUND_SUFFIXES, SOUND)
NAMED_FIRST = ("image", "img", "input", "rgb")
"""How an ending of two parts begins that is preferred, as `image.png` is to `mask.png`."""
Integers = npt.NDArray[np.int64]


@dataclass(frozen=True)
class Shard:
    """The n samples of one tar, in the order of their first files.

    folder: int64 (n,), positions in `folders`; names: the last part of each key, one behind the
    other; lengths: int64 (n,), of these; files: int64 (n, 3, 2), position and size of the picture,
    the video and the sound, position 0 where there is none
    labels: int64 (n, 3), positions in `words` by where they are from (`labels.py`), -1 where none
    groups: int64 (n,); grouped: bool (n,), whether that is from its `json`
    problems: of the whole tar (key None) and of samples, with the reason
    more: pictures beside the one that is read of each sample, and the name of the first
    """

    folders: list[bytes]
    folder: Integers
    names: bytes
    lengths: Integers
    files: Integers
    labels: Integers
    words: list[str]
    groups: Integers
    grouped: npt.NDArray[np.bool_]
    problems: list[tuple[bytes | None, str]]
    more: tuple[int, str]
    captions: bool
    seen: tuple[str, ...]
    """What `--label` could name: endings and fields."""


@dataclass
class _Scan:
    """What has been read of a tar, in order; a run are files of one key behind each other.

    folder, names, lengths, keys (hashes): of each run
    files: run, ending, role, rank, position and size of each picture, video and sound
    said: run, where from, and position in `words` of each label; group: run and hash of each group
    """

    asked: Asked
    last: bytes | None = None
    folders: dict[bytes, int] = field(default_factory=dict)
    folder: array[int] = field(default_factory=lambda: array("q"))
    names: bytearray = field(default_factory=bytearray)
    lengths: array[int] = field(default_factory=lambda: array("q"))
    keys: array[int] = field(default_factory=lambda: array("Q"))
    endings: dict[str, int] = field(default_factory=dict)
    files: array[int] = field(default_factory=lambda: array("q"))
    words: dict[str, int] = field(default_factory=dict)
    said: array[int] = field(default_factory=lambda: array("q"))
    group: array[int] = field(default_factory=lambda: array("q"))
    problems: list[tuple[bytes | None, str]] = field(default_factory=list)
    captions: bool = False
    fields: list[str] = field(default_factory=list)

    def add(self, file: BinaryIO, member: Member) -> None:
        parts = sample_of(member.name)
        if parts is None:
            return
        key, ending = parts
        if key != self.last:
            self.last = key
            head, _, name = key.rpartition(b"/")
            self.folder.append(self.folders.setdefault(head, len(self.folders)))
            self.names += name
            self.lengths.append(len(name))
            self.keys.append(content_hash(key))
        code = self.endings.setdefault(ending, len(self.endings))
        role = ROLES.get("." + ending.rpartition(".")[2])
        run = len(self.keys) - 1
        if role is not None:
            self.files.extend((run, code, role, _rank(ending), member.position, member.size))
        if self.asked.wants(ending) and member.size <= MOST_BYTES:
            file.seek(member.position)
            self._hear(key, ending, file.read(member.size), run)

    def _hear(self, key: bytes, ending: str, data: bytes, run: int) -> None:
        try:
            where, label = self.asked.label_of(ending, data)
            group = self.asked.group_of(ending, data)
        except (ValueError, RecursionError):
            told = f"its .{ending} cannot be read: used without what that says"
            self.problems.append((key, told))
            return
        if self.asked.label or self.asked.group:
            self.fields = self.fields or (fields(data) if where == JSON else [])
        if group is not None:
            self.group.extend((run, content_hash(group.encode()) >> 1))
        if where == TXT and self.asked.label is None:
            self.captions = self.captions or len(data) > LONGEST_CLASS
            label = None if self.captions else label
        if label is not None:
            self.said.extend((run, where, self.words.setdefault(label, len(self.words))))

    def shard(self, own: bytes, cut: bytes | None) -> Shard:
        """What was found in the tar `own`; cut: key of a sample that is not whole, and left out."""
        hashes = np.frombuffer(self.keys, np.uint64)
        _, first, inverse = np.unique(hashes, return_index=True, return_inverse=True)
        by_place = np.argsort(first)
        sample = np.argsort(by_place)[inverse]
        runs = first[by_place]
        files, more = self._chosen(sample, len(runs))
        # Backwards: of several labels in one sample the first stays.
        run, where, word = _rows(self.said, 3)[::-1].T
        labels = np.full((len(runs), 3), -1, np.int64)
        labels[sample[run], where] = word
        run, group = _rows(self.group, 2)[::-1].T
        groups = hashes[runs].view(np.int64) ^ (content_hash(own) >> 1)
        groups[sample[run]] = group
        grouped = np.zeros(len(runs), bool)
        grouped[sample[run]] = True
        whole = hashes[runs] != (0 if cut is None else content_hash(cut))
        lengths = np.frombuffer(self.lengths, np.int64)
        named = np.zeros(len(lengths), bool)
        named[runs[whole]] = True
        return Shard(
            list(self.folders),
            np.frombuffer(self.folder, np.int64)[named],
            np.frombuffer(self.names, np.uint8)[named.repeat(lengths)].tobytes(),
            lengths[named],
            files[whole],
            labels[whole],
            list(self.words),
            groups[whole],
            grouped[whole],
            self.problems,
            more,
            self.captions,
            (*self.endings, *self.fields),
        )

    def _chosen(self, sample: Integers, count: int) -> tuple[Integers, tuple[int, str]]:
        """Int64 (count, 3, 2): the file for each role; and how many more pictures there are."""
        run, ending, role, rank, *spans = _rows(self.files, 6).T
        owner = sample[run]
        _, kept = np.unique(owner * max(len(self.endings), 1) + ending, return_index=True)
        names = list(self.endings)
        for i in np.setdiff1d(np.arange(len(run)), kept).tolist():
            told = f"a second .{names[ending[i]]} of this key: the first is used"
            self.problems.append((self._key(int(run[i])), told))
        order = kept[np.lexsort((kept, rank[kept], role[kept], owner[kept]))]
        _, best = np.unique(owner[order] * 3 + role[order], return_index=True)
        best = order[best]
        files = np.zeros((count, 3, 2), np.int64)
        files[owner[best], role[best]] = np.stack(spans, axis=1)[best]
        passed = np.setdiff1d(kept[role[kept] == PICTURE], best)
        example = ""
        if len(passed):
            key = printable(self._key(int(run[passed[0]])))
            example = f"{key}.{names[ending[passed[0]]]}"
        return files, (len(passed), example)

    def _key(self, run: int) -> bytes:
        end = sum(self.lengths[: run + 1])
        head = list(self.folders)[self.folder[run]]
        return joined(head, bytes(self.names[end - self.lengths[run] : end]))


def read_shard(path: bytes, asked: Asked, own: bytes) -> Shard:
    """One pass over the tar at `path`, which is called `own`; what is damaged is a problem."""
    scan = _Scan(asked)
    cut: bytes | None = None
    try:
        with opened(path, HEAD_BYTES) as file:
            for member in members(file):
                scan.add(file, member)
    except CutShort as reason:
        parts = sample_of(reason.name)
        cut, ending = (None, "") if parts is None else parts
        told = f"truncated: the tar ends within its .{ending}" if parts else str(reason)
        scan.problems.append((cut, told))
    except Unreadable as reason:
        scan.problems.append((None, str(reason)))
    return scan.shard(own, cut)


def _rows(values: array[int], columns: int) -> Integers:
    return np.frombuffer(values, np.int64).reshape(-1, columns)


def _rank(ending: str) -> int:
    first, dot, _ = ending.partition(".")
    if not dot:
        return 0
    return 1 if first in NAMED_FIRST else 2

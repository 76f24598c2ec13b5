"""A set of pictures ready to be trained on or evaluated with."""

from __future__ import annotations

import hashlib
from collections.abc import Collection, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from hotstart.data.cache import Progress, open_cache, sizes_told, suggest_size
from hotstart.data.clips import KEYS, MiddleFrames, middle, windows
from hotstart.data.discover import discover
from hotstart.data.entries import default_cache_folder
from hotstart.data.footage import Footage, open_footage
from hotstart.data.known import RealPictures, fetch_pictures
from hotstart.data.quarantine import Quarantined, write_quarantine
from hotstart.data.sample import COPIED, RENDERED, TRUTHS, Batch, Spec
from hotstart.data.source import Found, Items, Source
from hotstart.data.splits import NOTHING, SPLITS, assign_splits
from hotstart.data.store import Store
from hotstart.data.stretches import Stretches, cut_videos
from hotstart.data.videos import VideoSource
from hotstart.errors import DataError

FRAMES_HINT = "; if each of its folders holds the frames of one video, give frames:{}"


class Dataset:
    """N readable pictures, or videos, in a fixed order, and what is known of each.

    hashes: uint64 (N,), content; split: uint8 (N,), codes into `split_names`;
    labels: int64 (N,), positions in `classes`, -1 where none; groups: int64 (N,)
    pictures: of videos, the frame in the middle of each
    stretches: None for pictures; of videos, what each item is (a long one is several)
    excluded: uint64 (M,), contents that are never pretrained on (see `leaks.exclude`)
    parts: int64 (N,), which stretch of its video each item is, where videos are the groups; or None
    """

    split_names = SPLITS

    def __init__(
        self,
        name: str,
        size: int,
        found: Found,
        rows: npt.NDArray[np.int32],
        hashes: npt.NDArray[np.uint64],
        pictures: Store,
        quarantine: tuple[Quarantined, ...],
        stretches: Stretches | None = None,
        audio_offset_seconds: float = 0.0,
    ) -> None:
        self.name = name
        self.size = size
        self.kind = found.kind
        self.notes = found.notes
        self.classes = found.classes
        self.hashes = hashes
        self.pictures = pictures
        self.quarantine = quarantine
        self.stretches = stretches
        self.audio_offset_seconds = audio_offset_seconds
        self.real: RealPictures | None = None
        self.excluded = NOTHING
        labels = None if found.labels is None else found.labels[rows].astype(np.int64)
        groups = None if found.groups is None else found.groups[rows]
        self.parts: npt.NDArray[np.int64] | None = None
        if groups is None and stretches is not None:
            groups, self.parts = stretches.videos, stretches.parts
        given = None if found.split is None else found.split[rows]
        self.split = assign_splits(hashes, groups, labels, given)
        self.labels = np.full(len(rows), -1, np.int64) if labels is None else labels
        self.groups = np.arange(len(rows), dtype=np.int64) if groups is None else groups
        self._source: Items = found.source
        self._rows = rows
        self.fingerprint = self._fingerprint()

    def __len__(self) -> int:
        return len(self.hashes)

    def path(self, i: int) -> str:
        """Name of item i for people, relative to the data."""
        path = self._source.path(int(self._rows[i]))
        return path if self.stretches is None else self.stretches.name(i, path)

    @property
    def footage(self) -> Footage | None:
        """The videos themselves, where it is a set of such."""
        return None if self.stretches is None else self.stretches.footage

    @property
    def keys(self) -> frozenset[str]:
        """Sample keys that this data can give."""
        keys = {"index", "group"} | ({"label"} if self.classes else set())
        keys |= self._source.truths
        keys |= {"real_image"} if self.real is not None else set()
        return frozenset(keys | ({"image"} if self.stretches is None else self.stretches.keys))

    def batch(
        self,
        indices: npt.NDArray[np.int64],
        keys: Collection[str] | Mapping[str, Spec],
        places: Tensor | None = None,
    ) -> Batch:
        """The samples at int64 (B,) positions, with the asked keys alone (see `sample.py`).

        keys: their names, or a task's `needs`, which tell their form too
        places: (B,) in 0..1, where in each video its window lies (see `clips.py`); None: in the
        middle. Pictures have no places.

        Raises `DataError` naming a key that this data does not have.
        """
        self.require(keys)
        indices = np.asarray(indices, dtype=np.int64)
        batch: Batch = {}
        if self.stretches is not None:
            specs = keys if isinstance(keys, Mapping) else dict.fromkeys(keys, Spec())
            if not specs.keys().isdisjoint(KEYS):
                places = middle(len(indices)) if places is None else places
                batch = windows(self.stretches, indices, specs, places, self.audio_offset_seconds)
        else:
            batch = fetch_pictures(self._source, self._rows, self.pictures, indices, keys)
        if self.real is not None and "real_image" in keys:
            batch["real_image"] = self.real.beside(indices, places)
        if "index" in keys:
            batch["index"] = torch.from_numpy(indices.copy())
        if "group" in keys:
            batch["group"] = torch.from_numpy(self.groups[indices])
        if "label" in keys:
            batch["label"] = torch.from_numpy(self.labels[indices])
        return batch

    def at_hand(self, keys: Collection[str]) -> bool:
        """Whether samples with these keys only have to be copied out of the cache."""
        return self.pictures.at_hand and {*keys} <= COPIED

    def require(self, keys: Collection[str]) -> None:
        """Raise `DataError` unless this data has all of `keys`; compute what takes time, once."""
        missing = sorted(set(keys) - self.keys)
        if missing:
            raise DataError(
                f"{self.name} ({self.kind}) has no {', '.join(map(repr, missing))}; it has "
                f"{', '.join(map(repr, sorted(self.keys)))}"
                f"{self.hint(missing)}"
            )
        if self.footage is not None and "flow" in keys:
            self.footage.motion.ready()

    def hint(self, missing: Collection[str]) -> str:
        """What to do about keys that are missing, where that is known."""
        if "audio" in missing and self.footage is not None:
            return "; none of its files has sound"
        if "real_image" in missing:
            return "; give real pictures with --real FOLDER"
        if not set(TRUTHS).isdisjoint(missing):
            return (
                "; the clips of world:videos?... have all of these, which `hotstart render` makes"
            )
        return FRAMES_HINT.format(self.name) if {"clip", "flow"} & {*missing} else ""

    def having(self, keys: Collection[str]) -> npt.NDArray[np.bool_]:
        """Bool (N,): which items have all of `keys`; of videos, some lack sound or poses."""
        whole = np.ones(len(self), bool)
        return whole if self.stretches is None else self.stretches.having(keys)

    def lacking(self, keys: Collection[str]) -> dict[str, int]:
        """Of each of `keys` that some items do not have, how many those are."""
        counts = {key: int((~self.having({key})).sum()) for key in sorted(keys)}
        return {key: count for key, count in counts.items() if count}

    def indices(self, split: str) -> npt.NDArray[np.int64]:
        """Int64 positions of one split, ascending."""
        if split not in SPLITS:
            raise DataError(f"no split {split!r}; valid: {', '.join(SPLITS)}")
        return np.flatnonzero(self.split == SPLITS.index(split)).astype(np.int64)

    def labelled_splits(self) -> tuple[str, ...]:
        """Names of the splits that hold labelled pictures."""
        present = np.unique(self.split[self.labels >= 0])
        return tuple(SPLITS[code] for code in present)

    def write_quarantine(self, path: Path) -> None:
        """Write the files left out and why, as CSV with the columns path and reason."""
        write_quarantine(path, self.quarantine)

    def describe(self) -> dict[str, Any]:
        """What was found, for people: kind, counts, sizes, classes without examples."""
        counts = np.bincount(self.split, minlength=len(SPLITS)).tolist()
        learnt = set(self.labels[self.indices("train")].tolist())
        of_videos: dict[str, Any] = {}
        if self.footage is not None:
            facts = self.footage.facts
            of_videos = {
                "videos": len(facts.rows),
                "frames": int(facts.counts.sum()),
                "seconds": round(float(facts.lengths.sum()), 3),
                "without_sound": int((facts.samples == 0).sum()),
            }
        return {
            "data": self.name,
            "kind": self.kind,
            "pictures": len(self),
            **of_videos,
            "classes": len(self.classes),
            "class_names": list(self.classes),
            "without_examples": [c for k, c in enumerate(self.classes) if k not in learnt],
            **sizes_told(self._source, self._rows),
            "splits": {name: n for name, n in zip(SPLITS, counts, strict=True) if n},
            "size": self.size,
            "quarantined": len(self.quarantine),
            "notes": list(self.notes),
        }

    def _fingerprint(self) -> str:
        digest = hashlib.blake2b(digest_size=16)
        digest.update(np.ascontiguousarray(self.hashes).data)
        digest.update(self.labels.data)
        digest.update("\0".join(self.classes).encode())
        if self.footage is not None:
            digest.update(self.footage.poses.state)
        return RENDERED * self._source.rendered + digest.hexdigest()


def open_dataset(
    data: str | Path,
    *,
    size: int | None,
    label: str | None = None,
    group: str | None = None,
    cache_dir: Path | None = None,
    cache_bytes: int | None = None,
    audio_offset_seconds: float = 0.0,
    real: str | Path | None = None,
    progress: Progress | None = None,
) -> Dataset:
    """Discover DATA, decode it into the cache (or reuse that), and open it.

    size: picture side in pixels; None suggests one from the pictures or videos
    label, group: see `discover`; cache_dir: see `default_cache_folder`
    cache_bytes: disk space the cache may take; None is half of what is free
    audio_offset_seconds: by how much the sound of videos comes after the frames it belongs to
    real: other DATA, of real pictures, that is read beside this one, under `real_image`
    progress: called as progress("decode", done, total) while the cache is built, before that as
    progress("render", ...) for a world and progress("index", ...) for tar shards

    Raises `DataError`, `UsageError`.
    """
    found = discover(data, label, group, progress, cache_dir)
    side = suggest_size(found.source) if size is None else size
    folder = default_cache_folder() if cache_dir is None else cache_dir
    name = str(data)
    if isinstance(found.source, VideoSource):
        footage = open_footage(found.source, side, folder, cache_bytes, progress)
        stretches = cut_videos(footage)
        quarantine = (*found.problems, *footage.quarantine)
        _require_some(name, "videos", stretches.rows, quarantine)
        return Dataset(
            name,
            side,
            found,
            stretches.rows,
            stretches.hashes,
            MiddleFrames(stretches),
            (*quarantine, *footage.remarks),
            stretches,
            audio_offset_seconds,
        )
    assert isinstance(found.source, Source)
    cached = open_cache(found.source, side, folder, cache_bytes, progress)
    quarantine = (*found.problems, *cached.quarantine)
    _require_some(name, "pictures", cached.rows, quarantine)
    dataset = Dataset(name, side, found, cached.rows, cached.hashes, cached.pictures, quarantine)
    if real is not None:
        add_real(dataset, real, progress)
    return dataset


def add_real(dataset: Dataset, real: str | Path, progress: Progress | None = None) -> None:
    """Read other DATA beside `dataset`, under `real_image`; never pictures of its test split."""
    other = open_dataset(real, size=dataset.size, progress=progress)
    seen = np.flatnonzero(other.split != SPLITS.index("test")).astype(np.int64)
    dataset.real = RealPictures(other.pictures, seen, other.hashes[seen], other.fingerprint)


def _require_some(
    name: str, kind: str, rows: npt.NDArray[np.int32], quarantine: tuple[Quarantined, ...]
) -> None:
    if not len(rows):
        first = quarantine[0]
        raise DataError(
            f"none of the {len(quarantine)} {kind} of {name} can be read; "
            f"{first.path}: {first.reason}"
        )

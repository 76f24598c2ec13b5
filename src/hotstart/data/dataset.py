"""A set of pictures ready to be trained on or evaluated with."""

from __future__ import annotations

import hashlib
from collections.abc import Collection
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import torch

from hotstart.data.cache import Progress, open_cache, sample_sides
from hotstart.data.discover import discover
from hotstart.data.entries import default_cache_folder
from hotstart.data.quarantine import Quarantined, write_quarantine
from hotstart.data.sample import Batch
from hotstart.data.source import Found, Source
from hotstart.data.splits import SPLITS, assign_splits
from hotstart.data.store import Store
from hotstart.errors import DataError

SUGGESTED_SIZES = (64, 48, 32)


class Dataset:
    """N readable pictures in a fixed order, and what is known of each.

    hashes: uint64 (N,), content; split: uint8 (N,), codes into `split_names`;
    labels: int64 (N,), positions in `classes`, -1 where none; groups: int64 (N,)
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
    ) -> None:
        self.name = name
        self.size = size
        self.kind = found.kind
        self.notes = found.notes
        self.classes = found.classes
        self.hashes = hashes
        self.pictures = pictures
        self.quarantine = quarantine
        labels = None if found.labels is None else found.labels[rows].astype(np.int64)
        groups = None if found.groups is None else found.groups[rows]
        given = None if found.split is None else found.split[rows]
        self.split = assign_splits(hashes, groups, labels, given)
        self.labels = np.full(len(rows), -1, np.int64) if labels is None else labels
        self.groups = np.arange(len(rows), dtype=np.int64) if groups is None else groups
        self._source: Source = found.source
        self._rows = rows
        self.fingerprint = self._fingerprint()

    def __len__(self) -> int:
        return len(self.hashes)

    def path(self, i: int) -> str:
        """Name of picture i for people, relative to the data."""
        return self._source.path(int(self._rows[i]))

    @property
    def keys(self) -> frozenset[str]:
        """Sample keys that this data can give."""
        return frozenset({"image", "index", "group"} | ({"label"} if self.classes else set()))

    def batch(self, indices: npt.NDArray[np.int64], keys: Collection[str]) -> Batch:
        """The samples at int64 (B,) positions, with the asked keys alone (see `sample.py`).

        Raises `DataError` naming a key that this data does not have.
        """
        self.require(keys)
        indices = np.asarray(indices, dtype=np.int64)
        batch: Batch = {}
        if "image" in keys:
            batch["image"] = self.pictures.get(indices)
        if "index" in keys:
            batch["index"] = torch.from_numpy(indices.copy())
        if "group" in keys:
            batch["group"] = torch.from_numpy(self.groups[indices])
        if "label" in keys:
            batch["label"] = torch.from_numpy(self.labels[indices])
        return batch

    def require(self, keys: Collection[str]) -> None:
        """Raise `DataError` unless this data has all of `keys`."""
        missing = sorted(set(keys) - self.keys)
        if missing:
            raise DataError(
                f"{self.name} ({self.kind}) has no {', '.join(map(repr, missing))}; it has "
                f"{', '.join(map(repr, sorted(self.keys)))}"
            )

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
        """What was found, for people: kind, counts, picture size."""
        counts = np.bincount(self.split, minlength=len(SPLITS)).tolist()
        return {
            "data": self.name,
            "kind": self.kind,
            "pictures": len(self),
            "classes": len(self.classes),
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
        return digest.hexdigest()


@dataclass(frozen=True)
class Subset:
    """Some of a data set's pictures, by positions of their own: 0 .. N - 1.

    items: int64 (N,), their positions in `dataset`
    """

    dataset: Dataset
    items: npt.NDArray[np.int64]

    def __len__(self) -> int:
        return len(self.items)

    @property
    def fingerprint(self) -> str:
        """Of the pictures alone."""
        chosen = np.ascontiguousarray(self.dataset.hashes[self.items])
        return hashlib.blake2b(chosen.data, digest_size=16).hexdigest()

    def batch(self, positions: npt.NDArray[np.int64], keys: Collection[str]) -> Batch:
        """The samples at int64 (B,) positions; `index` is such a position too."""
        batch = self.dataset.batch(self.items[positions], keys)
        if "index" in keys:
            batch["index"] = torch.from_numpy(np.array(positions, np.int64))
        return batch


def open_dataset(
    data: str | Path,
    *,
    size: int | None,
    label: str | None = None,
    group: str | None = None,
    cache_dir: Path | None = None,
    cache_bytes: int | None = None,
    progress: Progress | None = None,
) -> Dataset:
    """Discover DATA, decode it into the cache (or reuse that), and open it.

    size: picture side in pixels; None suggests one from the pictures
    label, group: see `discover`; cache_dir: see `default_cache_folder`
    cache_bytes: disk space the cache may take; None is half of what is free
    progress: called as progress("decode", done, total) while the cache is built

    Raises `DataError`, `UsageError`.
    """
    found = discover(data, label, group)
    side = suggest_size(found.source) if size is None else size
    folder = default_cache_folder() if cache_dir is None else cache_dir
    cached = open_cache(found.source, side, folder, cache_bytes, progress)
    quarantine = (*found.problems, *cached.quarantine)
    if not len(cached.rows):
        first = quarantine[0]
        raise DataError(
            f"none of the {len(quarantine)} pictures of {data} can be read; "
            f"{first.path}: {first.reason}"
        )
    return Dataset(str(data), side, found, cached.rows, cached.hashes, cached.pictures, quarantine)


def suggest_size(source: Source) -> int:
    """The largest of 32, 48, 64 px that is not above the median short side; at least 32."""
    sides = sample_sides(source)
    median = float(np.median(sides[:, 0])) if len(sides) else 0.0
    return next((size for size in SUGGESTED_SIZES if size <= median), SUGGESTED_SIZES[-1])

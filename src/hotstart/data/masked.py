"""Pictures with a label map each: read, checked one by one, and told apart by split."""

from __future__ import annotations

import hashlib
from collections.abc import Collection, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from hotstart.data.cache import Progress, extremes, open_cache
from hotstart.data.dataset import Dataset
from hotstart.data.entries import default_cache_folder
from hotstart.data.headers import Unreadable
from hotstart.data.label_maps import ClassValues, LabelMap, fit_to_picture
from hotstart.data.leaks import check_leaks
from hotstart.data.listed import index_of_paths
from hotstart.data.mask_classes import Scanned, find_classes, pixels_of, scan, what_is_wrong
from hotstart.data.mask_folders import Pair, Pairs, find_pairs
from hotstart.data.quarantine import Quarantined
from hotstart.data.sample import Batch, LabelMaps, Pictures, Spec
from hotstart.data.source import FileSource, Found, absolute, groups_of_paths
from hotstart.data.splits import SPLITS
from hotstart.data.store import Store
from hotstart.data.workers import in_order
from hotstart.errors import DataError

SHORT_SIDE_PX = 240
"""Pictures are kept with a short side of so many pixels, or their own."""
CHUNK = 16

Int64s = npt.NDArray[np.int64]


class Chosen:
    """Some pictures of a store, at positions of their own."""

    def __init__(self, store: Store, items: Int64s) -> None:
        self.store = store
        self.items = items
        self.at_hand = store.at_hand

    def get(self, indices: Int64s) -> Pictures:
        """Pictures at int64 (B,) positions, in that order."""
        return self.store.get(self.items[indices])


class MaskedDataset(Dataset):
    """N pictures with a label map each.

    mask_classes: K names; pixels: int64 (N, K), of each class in each picture
    """

    def __init__(
        self,
        name: str,
        found: Found,
        rows: npt.NDArray[np.int32],
        hashes: npt.NDArray[np.uint64],
        pictures: Store,
        quarantine: tuple[Quarantined, ...],
        *,
        pairs: Sequence[Pair],
        scanned: Sequence[Scanned],
        classes: ClassValues,
    ) -> None:
        size = round(SHORT_SIDE_PX / 1.5)
        super().__init__(name, size, found, rows, hashes, pictures, quarantine)
        self.mask_classes = classes.names
        self.pixels = np.stack([pixels_of(one, classes) for one in scanned])
        self._classes = classes
        self._sizes = extremes([one.size for one in scanned])
        self._pairs = pairs
        digest = hashlib.blake2b(self.fingerprint.encode(), digest_size=16)
        for one in scanned:
            digest.update(one.digest)
        digest.update(repr((classes.values.tolist(), classes.names)).encode())
        self.fingerprint = digest.hexdigest()

    @property
    def keys(self) -> frozenset[str]:
        """Sample keys that this data can give."""
        return super().keys | {"mask"}

    def batch(
        self,
        indices: Int64s,
        keys: Collection[str] | Mapping[str, Spec],
        places: Tensor | None = None,
    ) -> Batch:
        """As `Dataset.batch`; `mask` is read and drawn anew each time it is asked for."""
        batch = super().batch(indices, keys, places)
        if "mask" in keys:
            batch["mask"] = LabelMaps(tuple(torch.from_numpy(self.label_map(i)) for i in indices))
        return batch

    def label_map(self, i: int) -> LabelMap:
        """Uint8 (H, W) of item i, in its own resolution: positions in `mask_classes`, or 255."""
        try:
            return fit_to_picture(self._classes.encode(self._pairs[i].mask.read()))
        except Unreadable as reason:
            raise DataError(
                f"{self.path(i)}: its label map was readable before: {reason}"
            ) from None

    def describe(self) -> dict[str, Any]:
        """What was found, for people: kind, counts, picture size, classes without examples."""
        train = self.pixels[self.indices("train")].sum(axis=0)
        return {
            **super().describe(),
            "classes": len(self.mask_classes),
            "class_names": list(self.mask_classes),
            "size": SHORT_SIDE_PX,
            "sizes": self._sizes,
            "sizes_of": len(self),
            "without_examples": [
                name for name, count in zip(self.mask_classes, train, strict=True) if not count
            ],
        }


def open_masked(
    data: str | Path,
    *,
    ignore: Sequence[int] = (),
    names: Sequence[str] = (),
    group: str | None = None,
    allow_leak: bool = False,
    cache_dir: Path | None = None,
    cache_bytes: int | None = None,
    progress: Progress | None = None,
) -> MaskedDataset:
    """Find pictures and label maps, read them all once, and open what is whole.

    ignore: values of label maps that are no class; 255 is none anyway
    names: of the values 0, 1, ...; by default those of `classes.txt` (one a line), of the layout
        (VOC, COCO), or the values themselves
    group: a regular expression on the path, as in `discover`
    allow_leak: whether the same picture may be in two splits

    A label map of another size than its picture, one that cannot be read, or that has nothing but
    ignored pixels, is left out and named in `quarantine`, as is a picture without one.

    Raises DataError where nothing is left, or a picture is in two splits; UsageError for a `group`
    that is no expression.
    """
    root = Path(data).expanduser()
    found = find_pairs(root)
    index, there = index_of_paths(root, [bytes(Path(pair.picture)) for pair in found.pairs])
    source = FileSource(index, absolute(root))
    folder = default_cache_folder() if cache_dir is None else cache_dir
    cached = open_cache(source, round(SHORT_SIDE_PX / 1.5), folder, cache_bytes, progress)
    pairs = [found.pairs[there[row]] for row in cached.rows]
    problems = [*found.problems, *cached.quarantine]
    scanned: list[Scanned | None] = []
    for part in in_order(
        lambda start: [
            scan(pairs[i], source, int(cached.rows[i]))
            for i in range(start, min(start + CHUNK, len(pairs)))
        ],
        range(0, len(pairs), CHUNK),
    ):
        for one in part:
            if isinstance(one, str):
                problems.append(Quarantined(pairs[len(scanned)].picture, one))
            scanned.append(None if isinstance(one, str) else one)
            if progress is not None:
                progress("label maps", len(scanned), len(pairs))
    _require_some(data, found, [one for one in scanned if one is not None], problems)
    classes = find_classes([one for one in scanned if one is not None], found, root, ignore, names)
    kept = []
    for i, read in enumerate(scanned):
        wrong = None if read is None else what_is_wrong(read, classes, ignore)
        if wrong is not None:
            problems.append(Quarantined(pairs[i].picture, wrong))
        elif read is not None:
            kept.append(i)
    _require_some(data, found, kept, problems)
    items = np.array(kept, np.int64)
    split = None
    if any(pair.split is not None for pair in found.pairs):
        split = np.array([SPLITS.index(p.split or "train") for p in found.pairs], np.uint8)[there]
        split = None if set(split[cached.rows[items]]) == {0} else split
    whole = Found(
        kind=found.kind,
        source=source,
        labels=np.zeros(len(index), np.int32),
        split=split,
        groups=None if group is None else groups_of_paths(index, group),
        notes=found.notes,
    )
    dataset = MaskedDataset(
        str(data),
        whole,
        cached.rows[items],
        cached.hashes[items],
        Chosen(cached.pictures, items),
        tuple(problems),
        pairs=[pairs[i] for i in kept],
        scanned=[one for one in (scanned[i] for i in kept) if one is not None],
        classes=classes,
    )
    check_leaks(dataset, allowed=allow_leak)
    return dataset


def _require_some(
    data: str | Path, found: Pairs, left: Sequence[Any], problems: Sequence[Quarantined]
) -> None:
    if not left:
        first = f"; {': '.join(problems[0])}" if problems else ""
        raise DataError(
            f"{data}: none of its {len(found.pairs)} pictures has a label map that can be used"
            + first
        )

"""Pictures with boxes around their objects: COCO's JSON, Pascal VOC's XML, YOLO's text."""

from __future__ import annotations

import hashlib
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from hotstart.data.cache import Cached, Progress, open_cache
from hotstart.data.coco import read_json
from hotstart.data.coco_boxes import read_coco_boxes
from hotstart.data.coco_folder import CocoSource, coco_sources
from hotstart.data.dataset import Dataset
from hotstart.data.entries import default_cache_folder
from hotstart.data.leaks import check_leaks
from hotstart.data.listed import index_of_paths
from hotstart.data.masked import Chosen
from hotstart.data.noted import Noted, NotedPicture, Notes, PictureFiles, below
from hotstart.data.quarantine import Quarantined
from hotstart.data.shrink import MAX_ASPECT
from hotstart.data.source import FileSource, Found, absolute, groups_of_paths
from hotstart.data.splits import SPLITS
from hotstart.data.voc import read_voc
from hotstart.data.yolo import read_yolo
from hotstart.errors import DataError, UsageError

ALLOWED = (
    "boxes are read from COCO's JSON (train.json or annotations/instances_train2017.json, with its "
    "pictures beside it or in images/), Pascal VOC's XML (Annotations/*.xml) or YOLO's text "
    "(images/ with labels/, and data.yaml)"
)
SHAPE_TOLERANCE = 0.03
"""Pictures were reduced to whole pixels, some annotations are of a size rounded before."""


@dataclass(frozen=True)
class Boxes:
    """The objects of N pictures; those of picture i are rows starts[i] : starts[i + 1].

    starts: int64 (N + 1,)
    corners: float32 (M, 4): x0, y0, x1, y1 in shares of the picture's width and height, in 0..1
    classes: int64 (M,), positions in the data's `classes`
    ignored: bool (M,): neither learnt from nor asked for (crowds, difficult objects)
    """

    starts: npt.NDArray[np.int64]
    corners: npt.NDArray[np.float32]
    classes: npt.NDArray[np.int64]
    ignored: npt.NDArray[np.bool_]

    @classmethod
    def gather(cls, pictures: Sequence[Sequence[Noted]]) -> Boxes:
        """Those of each picture, one behind the other."""
        every = [one for objects in pictures for one in objects]
        return cls(
            np.concatenate([[0], np.cumsum([len(objects) for objects in pictures])]).astype(
                np.int64
            ),
            np.array([one.box for one in every], np.float32).reshape(-1, 4),
            np.array([one.category for one in every], np.int64),
            np.array([one.ignored for one in every], bool),
        )

    def rows(self, picture: int) -> slice:
        """Where the objects of one picture are."""
        return slice(int(self.starts[picture]), int(self.starts[picture + 1]))

    def of(self, pictures: npt.NDArray[np.int64]) -> Boxes:
        """Those of the given pictures, in that order."""
        rows = np.concatenate(
            [np.empty(0, np.int64), *(np.arange(*self.starts[i : i + 2]) for i in pictures)]
        ).astype(np.int64)
        counts = np.diff(self.starts)[pictures]
        starts = np.concatenate([[0], np.cumsum(counts)]).astype(np.int64)
        return Boxes(starts, self.corners[rows], self.classes[rows], self.ignored[rows])


class BoxSet(Dataset):
    """Pictures with boxes. `labels` is the rarest class of each picture: it spreads classes."""

    boxes: Boxes

    def __init__(self, *arguments: Any, boxes: Boxes, **named: Any) -> None:
        self.boxes = boxes
        super().__init__(*arguments, **named)

    @property
    def keys(self) -> frozenset[str]:
        return frozenset({"image", "index", "group", "boxes"})

    def describe(self) -> dict[str, Any]:
        """What was found, for people."""
        counts = self.class_counts(self.indices("train")).tolist()
        named = zip(self.classes, counts, strict=True)
        return {
            **super().describe(),
            "boxes": len(self.boxes.classes),
            "without_examples": [name for name, count in named if not count],
        }

    def class_counts(self, items: npt.NDArray[np.int64]) -> npt.NDArray[np.int64]:
        """Int64 (K,): objects of each class in the given pictures, ignored ones aside."""
        own = self.boxes.of(items)
        return np.bincount(own.classes[~own.ignored], minlength=len(self.classes))

    def _fingerprint(self) -> str:
        digest = hashlib.blake2b(super()._fingerprint().encode(), digest_size=16)
        for part in (self.boxes.starts, self.boxes.corners, self.boxes.ignored):
            digest.update(np.ascontiguousarray(part).data)
        digest.update(self.boxes.classes.data)
        return digest.hexdigest()


def open_boxes(
    data: str | Path,
    *,
    size: int,
    group: str | None = None,
    allow_leak: bool = False,
    cache_dir: Path | None = None,
    cache_bytes: int | None = None,
    progress: Progress | None = None,
) -> BoxSet:
    """Find the annotations of DATA, decode its pictures into the cache, and open both.

    data: a folder, or one COCO file or `data.yaml` in it
    size: side in pixels at which pictures will be seen
    group: a regular expression on each picture's path, as `discover` has it
    allow_leak: whether the same picture may be in two splits
    cache_dir, cache_bytes, progress: as `open_dataset` has them

    What is wrong with one annotation is a line of `quarantine`, and the rest goes on: a picture
    that is missing, unreadable, listed twice or of another shape than its annotation says; what the
    readers find. Raises DataError where nothing usable is left, or a
    picture is in two splits.
    """
    name = str(data)
    notes, root = _read(Path(data).expanduser(), name)
    pictures, problems = _once(notes.pictures)
    index, there = index_of_paths(root, [one.path.encode() for one in pictures])
    pictures = [pictures[row] for row in there.tolist()]
    if not any(one.objects for one in pictures):
        raise DataError(_nothing(name, len(pictures), (*notes.problems, *problems)))
    source = FileSource(index, f"{absolute(root)}|boxes")
    folder = default_cache_folder() if cache_dir is None else cache_dir
    cached = open_cache(source, size, folder, cache_bytes, progress)
    kept, objects, wrong = _fitting(source, cached, pictures)
    quarantine = (*notes.problems, *problems, *cached.quarantine, *wrong)
    if not any(objects):
        raise DataError(_nothing(name, len(kept), quarantine))
    split = _splits(pictures)
    found = Found(
        notes.kind,
        source,
        _rarest(pictures, objects, cached.rows[kept], len(notes.classes)),
        notes.classes,
        split,
        None if group is None else groups_of_paths(index, group),
        problems=quarantine,
        notes=tuple(_told(notes, quarantine)),
    )
    dataset = BoxSet(
        name,
        size,
        found,
        cached.rows[kept],
        cached.hashes[kept],
        Chosen(cached.pictures, kept),
        quarantine,
        boxes=Boxes.gather(objects),
    )
    check_leaks(dataset, allowed=allow_leak)
    return dataset


def _nothing(name: str, pictures: int, quarantine: Sequence[Quarantined]) -> str:
    first = f"; {': '.join(quarantine[0])}" if quarantine else ""
    return f"{name}: {pictures} pictures with annotations are there, and no usable box{first}"


def _read(path: Path, name: str) -> tuple[Notes, Path]:
    """What the annotations say, and the folder from which their pictures count."""
    single = path.suffix.lower() if path.is_file() else ""
    root = path.parent if single else path
    if single not in ("", ".json", ".yaml", ".yml"):
        raise DataError(f"{name} is a single file, and neither JSON nor YAML; {ALLOWED}")
    if not root.is_dir():
        raise DataError(f"there is no folder {name!r}; {ALLOWED}")
    pictures = PictureFiles(root)
    if not len(pictures):
        raise DataError(f"{name} holds no pictures; {ALLOWED}")
    if single == ".json":
        return read_coco_boxes(pictures, [CocoSource(path, None, read_json(path))]), root
    problems: list[Quarantined] = []
    notes = None
    if not single:
        sources = coco_sources(root, problems)
        notes = read_coco_boxes(pictures, sources) if sources else None
        notes = notes or read_voc(pictures, below(root, [".xml"]))
    notes = notes or read_yolo(pictures, [path] if single else below(root, [".yaml", ".yml"]))
    if notes is None:
        raise DataError(f"{name}: no annotations beside its {len(pictures)} pictures; {ALLOWED}")
    notes.problems[:0] = problems
    return notes, root


def _once(pictures: Sequence[NotedPicture]) -> tuple[list[NotedPicture], list[Quarantined]]:
    """Each picture once in each split; what came again is a problem."""
    seen: dict[tuple[str, str | None], NotedPicture] = {}
    problems = []
    for one in pictures:
        if seen.setdefault((one.path, one.split), one) is not one:
            problems.append(Quarantined(one.path, "is annotated twice; the first counts"))
    return list(seen.values()), problems


def _fitting(
    source: FileSource, cached: Cached, pictures: Sequence[NotedPicture]
) -> tuple[npt.NDArray[np.int64], list[tuple[Noted, ...]], list[Quarantined]]:
    """Cached pictures whose shape is that of their annotation, their objects, and the others."""
    kept, objects, problems = [], [], []
    for i, row in enumerate(cached.rows.tolist()):
        high, wide = cached.shapes[i].tolist()
        one = pictures[row]
        own = one.objects
        if max(high, wide) >= MAX_ASPECT * min(high, wide) - MAX_ASPECT:
            wide, high = source.peek(row)
            own = _through_the_cut(own, wide, high)
        if one.size is not None:
            told = one.size[0] / one.size[1]
            if abs(told / (wide / high) - 1) > SHAPE_TOLERANCE + 1 / min(wide, high):
                wide, high = source.peek(row)
                reason = f"annotated as {one.size[0]} x {one.size[1]} px, it has {wide} x {high}"
                problems.append(Quarantined(one.path, reason))
                continue
        kept.append(i)
        objects.append(own)
    return np.array(kept, np.int64), objects, problems


def _through_the_cut(objects: Sequence[Noted], wide: int, high: int) -> tuple[Noted, ...]:
    """Objects of a picture that was cut to its middle (see `decode.shrink`), in shares of that."""
    longest = MAX_ASPECT * min(wide, high)
    found = []
    for one in objects:
        box = list(one.box)
        for axis, side in enumerate((wide, high)):
            if side > longest:
                before = (side - longest) // 2
                for k in (axis, axis + 2):
                    box[k] = min(max((box[k] * side - before) / longest, 0.0), 1.0)
        if box[0] < box[2] and box[1] < box[3]:
            found.append(one._replace(box=(box[0], box[1], box[2], box[3])))
    return tuple(found)


def _splits(pictures: Sequence[NotedPicture]) -> npt.NDArray[np.uint8] | None:
    if not {one.split for one in pictures} - {None, "train"}:
        return None
    return np.array([SPLITS.index(one.split or "train") for one in pictures], np.uint8)


def _rarest(
    pictures: Sequence[NotedPicture],
    objects: Sequence[Sequence[Noted]],
    rows: npt.NDArray[np.int32],
    classes: int,
) -> npt.NDArray[np.int32]:
    """Int32 (all pictures,): the class that fewest pictures have, of those in each; else 0."""
    counts = Counter(c for own in objects for c in {one.category for one in own})
    labels = np.zeros(len(pictures), np.int32)
    for row, own in zip(rows.tolist(), objects, strict=True):
        labels[row] = min((one.category for one in own), key=lambda c: (counts[c], c), default=0)
    return labels


def _told(notes: Notes, quarantine: Sequence[Quarantined]) -> list[str]:
    told = list(notes.remarks)
    if notes.clipped:
        told.append(f"{notes.clipped} boxes reached beyond their picture and were cut at its edge")
    if quarantine:
        told.append(f"{len(quarantine)} annotations or pictures were left out")
    return told


def check_boxes(dataset: Dataset) -> BoxSet:
    """The data set, where it has boxes. Raises UsageError where it has none."""
    if not isinstance(dataset, BoxSet):
        raise UsageError(f"{dataset.name} was opened without boxes; open it by `open_boxes`")
    return dataset

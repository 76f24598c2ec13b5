"""Where pictures and their label maps lie: folders side by side, VOC style, or COCO's JSON."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

import numpy as np

from hotstart.data.coco import Annotation, read_coco
from hotstart.data.coco_folder import CocoSource, PictureFinder, coco_sources, split_of
from hotstart.data.files import whole_file
from hotstart.data.index import SUFFIXES, walk
from hotstart.data.label_maps import Int32s, read_label_map
from hotstart.data.outlines import decode_mask
from hotstart.data.quarantine import Quarantined
from hotstart.errors import DataError

PICTURE_FOLDERS = frozenset({"images", "image", "imgs", "img", "jpegimages", "pictures", "photos"})
MASK_FOLDERS = frozenset(
    {"masks", "mask", "labels", "label", "annotations", "annotation", "segmentation"}
    | {"segmentationclass", "gt", "labelmaps", "targets"}
)
ENDINGS = ("_mask", "_masks", "_label", "_labels", "_gt", "_seg", "_segmentation", "_l", "-mask")
VOC_LISTS = "ImageSets/Segmentation"
VOC_CLASSES = (
    ("background", "aeroplane", "bicycle", "bird", "boat", "bottle", "bus", "car", "cat", "chair")
    + ("cow", "diningtable", "dog", "horse", "motorbike", "person", "pottedplant", "sheep", "sofa")
    + ("train", "tvmonitor")
)
ALLOWED = (
    "segmentation needs pictures and label maps of the same names: images/ beside masks/ (or "
    "labels/), in train/, val/, test/ or not; VOC's JPEGImages/ and SegmentationClass/; or a COCO "
    "JSON with its pictures"
)


class FileMask(NamedTuple):
    """A label map in a file of its own."""

    path: Path

    def read(self) -> Int32s:
        """Values (H, W). Raises `Unreadable`."""
        return read_label_map(whole_file(bytes(self.path)))


class DrawnMask(NamedTuple):
    """A label map drawn from annotations: 0 is background, class k of the file k + 1.

    What is small lies over what is large, so that nothing hides inside another.
    """

    annotations: tuple[Annotation, ...]
    height: int
    width: int

    def read(self) -> Int32s:
        """Values (H, W)."""
        values = np.zeros((self.height, self.width), np.int32)
        drawn = [
            (decode_mask(one.segmentation, self.height, self.width), one.category + 1)
            for one in self.annotations
            if one.segmentation is not None
        ]
        for covered, value in sorted(drawn, key=lambda pair: -int(pair[0].sum())):
            values[covered] = value
        return values


class Pair(NamedTuple):
    """A picture, by its path below the data, and its label map. split: None where none is told."""

    picture: str
    mask: FileMask | DrawnMask
    split: str | None


@dataclass(frozen=True)
class Pairs:
    """What a folder holds. names: of the values 0, 1, ..., where the layout tells them."""

    kind: str
    pairs: tuple[Pair, ...]
    problems: tuple[Quarantined, ...]
    names: tuple[str, ...] | None = None
    notes: tuple[str, ...] = ()


def find_pairs(root: Path) -> Pairs:
    """The pictures of `root` that have a label map. Raises DataError where there are none."""
    if not root.is_dir():
        raise DataError(f"{root} is no folder; {ALLOWED}")
    for inside in (root, *sorted(root.glob("VOC*")), *sorted(root.glob("VOCdevkit/VOC*"))):
        if (inside / "JPEGImages").is_dir() and (inside / "SegmentationClass").is_dir():
            return _voc(root, inside)
    found = _side_by_side(root)
    if not found.pairs:
        problems: list[Quarantined] = []
        sources = coco_sources(root, problems)
        if sources:
            return _coco(root, sources, problems)
        first = f" ({': '.join(found.problems[0])})" if found.problems else ""
        raise DataError(f"{root} holds no picture with a label map{first}; {ALLOWED}")
    return found


def _role(parts: tuple[str, ...]) -> tuple[bool, tuple[str, ...]] | None:
    """Whether the folders say mask, and what else they say; None: neither picture nor mask."""
    for place, part in enumerate(parts):
        lower = part.lower()
        rest = (*parts[:place], *parts[place + 1 :])
        if lower in PICTURE_FOLDERS:
            return False, rest
        if lower in MASK_FOLDERS:
            return True, rest
        # SegNet's trainannot/ beside train/, or train_masks/ beside train_images/.
        for ending in ("annot", "_masks", "_mask", "_labels"):
            if lower.endswith(ending) and split_of(lower.removesuffix(ending)):
                return True, (*parts[:place], part[: -len(ending)], *parts[place + 1 :])
        if lower.endswith("_images") and split_of(lower):
            return False, (*parts[:place], part[: -len("_images")], *parts[place + 1 :])
    if parts and split_of(parts[0]) and len(parts) == 1:
        return False, parts
    return None


def _side_by_side(root: Path) -> Pairs:
    pictures: dict[tuple[str, ...], str] = {}
    masks: dict[tuple[str, ...], str] = {}
    for relative in walk(root, SUFFIXES).relatives():
        path = Path(relative)
        role = _role(path.parent.parts)
        if role is not None:
            is_mask, rest = role
            (masks if is_mask else pictures)[(*rest, path.stem)] = relative
    for key in [key for key in masks if key not in pictures]:
        short = key[-1]
        for ending in ENDINGS:
            if short.lower().endswith(ending):
                renamed = (*key[:-1], short[: -len(ending)])
                if renamed in pictures and renamed not in masks:
                    masks[renamed] = masks.pop(key)
                    break
    problems = [
        *(Quarantined(masks[k], "its picture is missing") for k in masks.keys() - pictures.keys()),
        *(Quarantined(pictures[k], "has no label map") for k in pictures.keys() - masks.keys()),
    ]
    if not masks:
        problems = []
    pairs = [
        Pair(pictures[key], FileMask(root / masks[key]), _split(key[:-1]))
        for key in sorted(pictures.keys() & masks.keys())
    ]
    return Pairs("pictures and label maps", tuple(pairs), tuple(sorted(problems)))


def _split(folders: tuple[str, ...]) -> str | None:
    return next((split for split in map(split_of, folders) if split), None)


def _voc(root: Path, inside: Path) -> Pairs:
    lists = {
        split: (inside / VOC_LISTS / f"{split}.txt").read_text(encoding="utf-8").split()
        for split in ("train", "val", "test")
        if (inside / VOC_LISTS / f"{split}.txt").is_file()
    }
    named = {stem: split for split, stems in lists.items() for stem in stems}
    where = inside.relative_to(root)
    pictures = {path.stem: path.name for path in sorted((inside / "JPEGImages").iterdir())}
    masks = {path.stem: path for path in sorted((inside / "SegmentationClass").iterdir())}
    problems = [
        Quarantined(f"{VOC_LISTS}/{named[stem]}.txt: {stem}", "has no label map")
        for stem in sorted(named.keys() - masks.keys())
        # The labels of VOC's own test split are not given away.
        if named[stem] != "test"
    ]
    pairs = []
    for stem, mask in masks.items():
        if stem not in pictures:
            problems.append(Quarantined(str(where / "SegmentationClass" / mask.name), "no picture"))
        elif not named or stem in named:
            picture = (where / "JPEGImages" / pictures[stem]).as_posix()
            pairs.append(Pair(picture, FileMask(mask), named.get(stem)))
    return Pairs("VOC", tuple(pairs), tuple(problems), VOC_CLASSES)


def _coco(root: Path, sources: Sequence[CocoSource], broken: Sequence[Quarantined]) -> Pairs:
    """broken: files that are no whole JSON."""
    finder = PictureFinder(root)
    pairs: list[Pair] = []
    problems = list(broken)
    names: tuple[str, ...] | None = None
    unusable: DataError | None = None
    for source in sources:
        try:
            read = read_coco(source.path, "segmentation", source.content)
        except DataError as error:
            unusable = unusable or error
            reason = str(error).removeprefix(f"{source.path} ")
            problems.append(Quarantined(source.path.relative_to(root).as_posix(), reason))
            continue
        if names is not None and read.classes != names:
            raise DataError(
                f"{source.path} has other categories than the files before it: "
                f"{', '.join(read.classes[:5])} ... against {', '.join(names[:5])} ..."
            )
        names = read.classes
        problems += read.problems
        for picture in read.pictures:
            path = finder.find(source.path.parent, picture.file_name)
            if path is None:
                reason = "picture not found below the data"
            elif picture.height is None or picture.width is None:
                reason = "has no width and height in the file"
            else:
                mask = DrawnMask(picture.annotations, picture.height, picture.width)
                pairs.append(Pair(path, mask, source.split))
                continue
            problems.append(Quarantined(f"{source.path.name}: {picture.file_name}", reason))
    if unusable is not None and not pairs:
        raise unusable
    told = None if names is None else ("background", *names)
    return Pairs("COCO", tuple(pairs), tuple(problems), told)

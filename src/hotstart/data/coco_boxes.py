"""Folders of pictures with boxes in COCO's JSON."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path, PurePosixPath

from hotstart.data.coco import CocoFile, is_coco, read_coco, read_json
from hotstart.data.coco import Picture as CocoPicture
from hotstart.data.noted import Noted, NotedPicture, Notes, PictureFiles, share, split_of
from hotstart.data.outlines import clip_box
from hotstart.data.quarantine import Quarantined
from hotstart.errors import DataError

MAIN = "instances"
"""COCO's own files of boxes begin so, beside others of captions and key points."""


def read_coco_boxes(pictures: PictureFiles, files: Sequence[Path]) -> Notes | None:
    """The boxes of all COCO files among `files`; None where none is one.

    One file is one split where its name or its folder says so (`train.json`,
    `instances_val2017.json`, `valid/_annotations.coco.json`); beside such files, others are passed
    over. A file that is damaged, or holds nothing usable, is one problem.
    Raises DataError where no file is usable and at least one ought to be.
    """
    notes = Notes("COCO boxes", ())
    found: list[tuple[Path, CocoFile]] = []
    damaged: list[DataError] = []
    for path in _chosen(pictures.root, files):
        try:
            content = read_json(path)
            if not is_coco(content):
                notes.remarks.append(f"{path.name} is no COCO file and was passed over")
                continue
            found.append((path, read_coco(path, "box", content)))
        except DataError as error:
            damaged.append(error)
            notes.problems.append(Quarantined(path.name, str(error).removeprefix(f"{path} ")))
    if not found:
        if damaged:
            raise damaged[0]
        return None
    notes.classes = tuple(dict.fromkeys(name for _, one in found for name in one.classes))
    for path, one in found:
        notes.problems += one.problems
        notes.clipped += one.clipped
        _add(notes, pictures, path, one)
    return notes


def _chosen(root: Path, files: Sequence[Path]) -> list[Path]:
    main = [path for path in files if path.name.startswith(MAIN)]
    chosen = main or list(files)
    named = [path for path in chosen if split_of(_relative(root, path)) is not None]
    return named or chosen


def _relative(root: Path, path: Path) -> PurePosixPath:
    return PurePosixPath(path.relative_to(root).as_posix())


def _add(notes: Notes, pictures: PictureFiles, path: Path, file: CocoFile) -> None:
    relative = _relative(pictures.root, path)
    split = split_of(relative)
    beside = relative.parent
    # `images/` beside, a folder named as the split, or COCO's own train2017/ beside annotations/.
    last = relative.stem.rpartition("_")[2]
    folders = [str(beside), f"{beside}/images", f"{beside}/{relative.stem}"]
    folders += [f"{beside}/images/{relative.stem}", f"{beside.parent}/images", str(beside.parent)]
    folders += [f"{beside.parent}/{last}", f"{beside.parent}/images/{last}"]
    codes = [notes.classes.index(name) for name in file.classes]
    for one in file.pictures:
        where, reason = pictures.find(one.file_name, folders)
        if not where:
            notes.problems.append(Quarantined(f"{path.name}: {one.file_name}", reason))
            continue
        size = (one.width, one.height) if one.width and one.height else pictures.size(where)
        objects = () if size is None else _objects(notes, path, one, codes, size)
        declared = (one.width, one.height) if one.width and one.height else None
        notes.pictures.append(NotedPicture(where, split, declared, tuple(objects)))


def _objects(
    notes: Notes, path: Path, picture: CocoPicture, codes: list[int], size: tuple[int, int]
) -> list[Noted]:
    objects = []
    for one in picture.annotations:
        # Checked by the reader already, but for pictures of which the file tells no size.
        box = clip_box(one.box, *size)
        if isinstance(box, str):
            notes.problems.append(Quarantined(f"{path.name}: {picture.file_name}", box))
        else:
            objects.append(Noted(codes[one.category], share(box, *size), one.crowd))
    return objects

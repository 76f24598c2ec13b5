"""Folders of pictures with boxes in COCO's JSON."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from hotstart.data.coco import CocoFile, read_coco
from hotstart.data.coco import Picture as CocoPicture
from hotstart.data.coco_folder import CocoSource
from hotstart.data.noted import Noted, NotedPicture, Notes, PictureFiles, share
from hotstart.data.outlines import clip_box
from hotstart.data.quarantine import Quarantined
from hotstart.errors import DataError


def read_coco_boxes(pictures: PictureFiles, sources: Sequence[CocoSource]) -> Notes:
    """The boxes of COCO files, each of the split that its name or folder tells.

    Beside files of splits, others are passed over. A file that holds nothing usable is one problem.
    Raises DataError where no file is usable.
    """
    notes = Notes("COCO boxes", ())
    found: list[tuple[CocoSource, CocoFile]] = []
    for source in [one for one in sources if one.split is not None] or sources:
        try:
            found.append((source, read_coco(source.path, "box", source.content)))
        except DataError as error:
            if len(sources) == 1:
                raise
            told = str(error).removeprefix(f"{source.path} ")
            notes.problems.append(Quarantined(source.path.name, told))
    if not found:
        raise DataError(": ".join(notes.problems[0]))
    notes.classes = tuple(dict.fromkeys(name for _, one in found for name in one.classes))
    for source, one in found:
        notes.problems += one.problems
        notes.clipped += one.clipped
        _add(notes, pictures, source, one)
    return notes


def _add(notes: Notes, pictures: PictureFiles, source: CocoSource, file: CocoFile) -> None:
    # A folder named as the file, or COCO's own train2017/ for instances_train2017.json.
    path = source.path
    also = (path.stem, path.stem.rpartition("_")[2])
    codes = [notes.classes.index(name) for name in file.classes]
    for one in file.pictures:
        where = pictures.finder.find(path.parent, one.file_name, also)
        if where is None:
            reason = f"its picture {one.file_name!r} is missing"
            notes.problems.append(Quarantined(f"{path.name}: {one.file_name}", reason))
            continue
        declared = (one.width, one.height) if one.width and one.height else None
        size = declared or pictures.size(where)
        objects = () if size is None else _objects(notes, path, one, codes, size)
        notes.pictures.append(NotedPicture(where, source.split, declared, tuple(objects)))


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

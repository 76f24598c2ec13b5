"""Pascal VOC's XML: one file of boxes for each picture."""

from __future__ import annotations

import math
from collections.abc import Sequence
from pathlib import Path, PurePosixPath
from xml.etree import ElementTree

from hotstart.data.noted import Noted, NotedPicture, Notes, PictureFiles, share, split_of_path
from hotstart.data.outlines import clip_box, reaches_beyond
from hotstart.data.quarantine import Quarantined
from hotstart.data.splits import SPLITS
from hotstart.errors import DataError

SETS = "ImageSets/Main"


def read_voc(pictures: PictureFiles, files: Sequence[Path]) -> Notes | None:
    """The boxes of all XML files whose root is `annotation`; None where none is one.

    The format is that of Everingham 2010, with corners counted from 1 and the last pixel included,
    so that 1 is taken from xmin and ymin. `difficult` objects are ignored, as VOC's own evaluation
    does. Splits are those of `ImageSets/Main/{train,val,test}.txt`, else those of the folders'
    names. Classes are in the order of their names.

    Raises DataError where no file is usable and at least one ought to be.
    """
    notes = Notes("Pascal VOC boxes", ())
    read: list[tuple[Path, ElementTree.Element]] = []
    for path in files:
        try:
            root = ElementTree.parse(path).getroot()
        except OSError as error:
            notes.problems.append(Quarantined(path.name, f"cannot be read: {error.strerror}"))
        except (ElementTree.ParseError, ValueError, LookupError) as error:
            empty = "is empty" if not path.stat().st_size else f"is no whole XML: {error}"
            notes.problems.append(Quarantined(path.name, empty))
        else:
            if root.tag == "annotation":
                read.append((path, root))
            else:
                notes.remarks.append(f"{path.name} is no VOC file and was passed over")
    if not read:
        if notes.problems:
            first = notes.problems[0]
            raise DataError(
                f"none of the {len(notes.problems)} XML files in {pictures.root} can be used; "
                f"{first.path} {first.reason}"
            )
        return None
    names = {_text(one, "name") for _, root in read for one in root.iter("object")}
    notes.classes = tuple(sorted(name for name in names if name))
    sets = _sets(pictures.root)
    for path, root in read:
        _add(notes, pictures, path, root, sets)
    _without_file(notes, sets or {}, {path.stem for path in files})
    return notes


def _without_file(notes: Notes, sets: dict[str, str], stems: set[str]) -> None:
    """A problem for each name in the lists that no XML has."""
    missing = sorted(sets.keys() - stems)
    asked = [stem for stem, split in sets.items() if split == "test"]
    if asked and not stems.intersection(asked):
        # VOC's own test split comes without annotations.
        notes.remarks.append(f"{SETS}/test.txt lists {len(asked)} pictures, none of them with XML")
        missing = [stem for stem in missing if sets[stem] != "test"]
    notes.problems += [
        Quarantined(f"{SETS}/{sets[stem]}.txt: {stem}", "has no XML") for stem in missing
    ]


def _text(element: ElementTree.Element, name: str) -> str:
    return (element.findtext(name) or "").strip()


def _number(element: ElementTree.Element | None, name: str) -> float:
    try:
        return math.nan if element is None else float(_text(element, name))
    except ValueError:
        return math.nan


def _sets(root: Path) -> dict[str, str] | None:
    """Name of a picture without its ending -> split; None where the data has no such lists."""
    found: dict[str, str] = {}
    for folder in (root, *(path for path in sorted(root.iterdir()) if path.is_dir())):
        for split in SPLITS:
            path = folder / SETS / f"{split}.txt"
            if path.is_file():
                lines = path.read_text(encoding="utf-8", errors="replace").splitlines()
                found.update({line.split()[0]: split for line in lines if line.strip()})
    return found or None


def _add(
    notes: Notes,
    pictures: PictureFiles,
    path: Path,
    root: ElementTree.Element,
    sets: dict[str, str] | None,
) -> None:
    relative = PurePosixPath(path.relative_to(pictures.root).as_posix())
    split = split_of_path(relative.parent / "_") if sets is None else sets.get(path.stem)
    if sets is not None and split is None:
        return  # in none of the lists, and so no part of the data set
    name = _text(root, "filename")
    where = pictures.finder.find(path.parent, name) if name else None
    # Files that were renamed keep their old name inside: the XML's own name tells better.
    own = pictures.of_stem(path.stem)
    if own is not None and (where is None or PurePosixPath(where).stem != path.stem):
        where = own
    if where is None:
        reason = f"its picture {name!r} is missing" if name else "names no picture"
        notes.problems.append(Quarantined(path.name, reason))
        return
    told = root.find("size")
    wide, high = _number(told, "width"), _number(told, "height")
    declared = (int(wide), int(high)) if wide >= 1 and high >= 1 else None
    size = declared or pictures.size(where)
    objects = [] if size is None else [_object(notes, o, size) for o in root.iter("object")]
    for one in objects:
        if isinstance(one, str):
            notes.problems.append(Quarantined(path.name, one))
    kept = tuple(one for one in objects if isinstance(one, Noted))
    notes.pictures.append(NotedPicture(where, split, declared, kept))


def _object(notes: Notes, element: ElementTree.Element, size: tuple[int, int]) -> Noted | str:
    """An object, or what is wrong with it."""
    name = _text(element, "name")
    if not name:
        return "has an object without a name"
    corners = element.find("bndbox")
    x0, y0, x1, y1 = (_number(corners, key) for key in ("xmin", "ymin", "xmax", "ymax"))
    box = (x0 - 1, y0 - 1, x1, y1)
    if any(map(math.isnan, box)):
        return f"has an object {name!r} without xmin, ymin, xmax and ymax"
    kept = clip_box(box, *size)
    if isinstance(kept, str):
        return f"{name}: {kept}"
    notes.clipped += reaches_beyond(box, kept)
    ignored = _text(element, "difficult") == "1"
    return Noted(notes.classes.index(name), share(kept, *size), ignored)

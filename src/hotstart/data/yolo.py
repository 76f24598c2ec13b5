"""YOLO's text: one file for each picture, a line for each box, and `data.yaml` with the classes."""

from __future__ import annotations

import math
from collections.abc import Sequence
from pathlib import Path, PurePosixPath
from typing import Any

import yaml

from hotstart.data.noted import Noted, NotedPicture, Notes, PictureFiles, below, split_of_path
from hotstart.data.outlines import Box, clip_box
from hotstart.data.quarantine import Quarantined
from hotstart.data.splits import SPLIT_NAMES
from hotstart.errors import DataError

LISTS = ("classes.txt", "obj.names")
ROUNDING = 0.005
"""Shares are written with few digits: a box may end so far outside and still be right."""


def read_yolo(pictures: PictureFiles, settings: Sequence[Path]) -> Notes | None:
    """The boxes of all label files; None where there is no label file.

    A picture's label file lies beside it, or in the folder whose path has `labels` for `images`;
    a picture without one is background, a label file without its picture a problem. A line is
    `class x y width height`, the box's centre and size in shares of the picture, or
    `class x y x y x y ...`, an outline whose box is taken.
    settings: YAML files, one of which tells `names` and the folder or list of each split. Without
    one, classes are those of `classes.txt`, else numbers, and splits are the folders' names.

    Raises DataError for a YAML file that cannot be used, and where all label files are unusable.
    """
    chosen = _settings(settings)
    names = _names(chosen) if chosen else _listed(pictures.root)
    places = _places(pictures.root, *chosen) if chosen else None
    notes = Notes("YOLO boxes", names)
    found: list[tuple[str, str | None, list[tuple[int, Box]]]] = []
    files = 0
    for path in pictures.paths():
        pure = PurePosixPath(path)
        split = split_of_path(pure.parent / "_") if places is None else _place(places, path)
        if places is not None and split is None:
            continue
        file = _label_file(pictures.root, pure)
        boxes: list[tuple[int, Box]] = []
        if file is not None:
            files += 1
            boxes = _lines(notes, file, len(names) if names else None)
        found.append((path, split, boxes))
    lost = _without_picture(pictures)
    if not files and not lost:
        return None
    notes.problems += lost
    if not any(boxes for *_, boxes in found):
        first = f"; {': '.join(notes.problems[0])}" if notes.problems else ""
        raise DataError(
            f"none of the {files + len(lost)} label files of {pictures.root} has both a box and a "
            f"picture{first}"
        )
    if not names:
        highest = max(number for *_, boxes in found for number, _ in boxes)
        notes.classes = tuple(map(str, range(highest + 1)))
        notes.remarks.append("no data.yaml and no classes.txt: classes are called by their numbers")
    for path, split, boxes in found:
        objects = tuple(Noted(number, box, False) for number, box in boxes)
        notes.pictures.append(NotedPicture(path, split, None, objects))
    return notes


def _settings(files: Sequence[Path]) -> tuple[Path, dict[str, Any]] | None:
    """The YAML file that describes a data set, `data.yaml` before others."""
    for path in sorted(files, key=lambda one: (one.stem != "data", len(one.parts), one)):
        try:
            content = yaml.safe_load(path.read_text(encoding="utf-8"))
        except (OSError, UnicodeDecodeError, yaml.YAMLError) as error:
            line = " ".join(str(error).split())
            raise DataError(f"{path} is no YAML that can be read: {line}") from None
        if isinstance(content, dict) and "names" in content:
            return path, content
    return None


def _names(chosen: tuple[Path, dict[str, Any]]) -> tuple[str, ...]:
    path, content = chosen
    names = content["names"]
    if isinstance(names, dict) and set(names) == set(range(len(names))):
        names = [names[number] for number in range(len(names))]
    if not isinstance(names, list) or not names:
        raise DataError(f"{path}: `names` must list the classes, or number them from 0 on")
    return tuple(map(str, names))


def _listed(root: Path) -> tuple[str, ...]:
    for name in LISTS:
        for path in (root / name, root / "labels" / name):
            if path.is_file():
                lines = path.read_text(encoding="utf-8", errors="replace").splitlines()
                return tuple(line.strip() for line in lines if line.strip())
    return ()


def _places(root: Path, file: Path, content: dict[str, Any]) -> dict[str, str] | None:
    """Picture, or folder ending in /, relative to `root` -> split; None where nothing is told."""
    places: dict[str, str] = {}
    told = content.get("path")
    bases = [file.parent / told] if isinstance(told, str) else []
    for key, split in SPLIT_NAMES.items():
        given = content.get(key)
        for entry in given if isinstance(given, list) else [given]:
            if isinstance(entry, str) and entry:
                _enter(places, root, [*bases, file.parent], entry, split)
    return places or None


def _enter(
    places: dict[str, str], root: Path, bases: Sequence[Path], entry: str, split: str
) -> None:
    # Exports often say ../train/images for what lies beside the YAML file.
    plain = entry
    while plain.startswith("../"):
        plain = plain.removeprefix("../")
    for candidate in (base / name for name in (entry, plain) for base in bases):
        path = candidate.resolve()
        if not path.is_relative_to(root.resolve()):
            continue
        relative = path.relative_to(root.resolve()).as_posix()
        if path.is_dir():
            places["" if relative == "." else f"{relative}/"] = split
            return
        if path.is_file():
            for line in path.read_text(encoding="utf-8", errors="replace").splitlines():
                listed = (path.parent / line.strip()).resolve()
                if line.strip() and listed.is_relative_to(root.resolve()):
                    places[listed.relative_to(root.resolve()).as_posix()] = split
            return


def _place(places: dict[str, str], path: str) -> str | None:
    if path in places:
        return places[path]
    pure = PurePosixPath(path)
    folders = [f"{parent}/" for parent in pure.parents if str(parent) != "."] + [""]
    return next((places[folder] for folder in folders if folder in places), None)


def _label_file(root: Path, picture: PurePosixPath) -> Path | None:
    paths = (root / place for place in _label_places(picture))
    return next((path for path in paths if path.is_file()), None)


def _label_places(picture: PurePosixPath) -> list[PurePosixPath]:
    """Where the label file of a picture may lie, the first one first; relative to the data."""
    parts = list(picture.parts)
    candidates = [picture]
    if "images" in parts[:-1]:
        last = len(parts) - 2 - parts[:-1][::-1].index("images")
        candidates.insert(0, PurePosixPath(*parts[:last], "labels", *parts[last + 1 :]))
    return [candidate.with_suffix(".txt") for candidate in candidates]


def _without_picture(pictures: PictureFiles) -> list[Quarantined]:
    """A problem for each label file, in a folder `labels` or beside pictures, that none has."""
    places = {place for path in pictures.paths() for place in _label_places(PurePosixPath(path))}
    folders = {place.parent for place in places}
    found = []
    for file in below(pictures.root, [".txt"]):
        place = PurePosixPath(file.relative_to(pictures.root).as_posix())
        if place in places or place.name in LISTS:
            continue
        # Beside pictures there are other texts too.
        if "labels" in place.parts[:-1] or (place.parent in folders and _is_labels(file)):
            found.append(Quarantined(place.as_posix(), "its picture is missing"))
    return found


def _is_labels(file: Path) -> bool:
    """Whether the first line is a box or an outline."""
    try:
        with file.open(encoding="utf-8") as lines:
            return not isinstance(_line(next(lines, ""), None), str)
    except (OSError, UnicodeDecodeError):
        return False


def _lines(notes: Notes, file: Path, classes: int | None) -> list[tuple[int, Box]]:
    """Class and box of each line that is right."""
    try:
        lines = file.read_text(encoding="utf-8").splitlines()
    except (OSError, UnicodeDecodeError):
        notes.problems.append(Quarantined(file.name, "cannot be read as text"))
        return []
    boxes = []
    for number, line in enumerate(lines, start=1):
        if line.strip():
            read = _line(line, classes)
            if isinstance(read, str):
                notes.problems.append(Quarantined(f"{file.name}: line {number}", read))
            else:
                category, given, kept = read
                beyond = max(abs(a - b) for a, b in zip(given, kept, strict=True))
                notes.clipped += beyond > ROUNDING
                boxes.append((category, kept))
    return boxes


def _line(line: str, classes: int | None) -> tuple[int, Box, Box] | str:
    """Class, box as given and box within the picture; or what is wrong."""
    try:
        first, *values = map(float, line.split())
    except ValueError:
        return f"{line.strip()[:60]!r} is not made of numbers"
    if first != first // 1 or first < 0 or (classes is not None and first >= classes):
        return f"class {first:g}: whole numbers from 0" + (f" to {classes - 1}" if classes else "")
    if not all(map(math.isfinite, values)):
        return "has numbers that are not finite"
    if len(values) == 4:
        x, y, wide, high = values
        box = (x - wide / 2, y - high / 2, x + wide / 2, y + high / 2)
    elif len(values) >= 6 and len(values) % 2 == 0:
        box = (min(values[::2]), min(values[1::2]), max(values[::2]), max(values[1::2]))
    else:
        return f"has {len(values)} numbers after its class; 4 make a box, 6, 8, ... an outline"
    kept = clip_box(box, 1, 1)
    if isinstance(kept, str):
        return kept.replace("1 x 1 px", "0..1 of the picture")
    return int(first), box, kept

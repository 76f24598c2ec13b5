"""COCO's JSON of annotated pictures: boxes and segmentations, checked one by one.

The format is that of https://cocodataset.org/#format-data. What is wrong with one entry is one
problem, by the file and the entry's id, and the others go on; see `read_coco`.
"""

from __future__ import annotations

import json
from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal, NamedTuple

from hotstart.data.outlines import (
    Box,
    Segmentation,
    are_numbers,
    box_of,
    clip_box,
    reaches_beyond,
    read_outline,
)
from hotstart.data.quarantine import Quarantined
from hotstart.errors import DataError

ABSENT = object()


class Annotation(NamedTuple):
    """One object of a picture."""

    category: int
    """Position in the file's `classes`."""
    box: Box
    """Within the picture, where its size is known."""
    segmentation: Segmentation | None
    crowd: bool
    """A group of objects in one annotation."""


class Picture(NamedTuple):
    """One picture of the file. width, height: as the file has them; None where it does not."""

    file_name: str
    width: int | None
    height: int | None
    annotations: tuple[Annotation, ...]


@dataclass(frozen=True)
class CocoFile:
    """What is usable in a file, in its own order.

    classes: in the order of their ids
    clipped: boxes that reached beyond their picture and were cut at its edge
    """

    classes: tuple[str, ...]
    pictures: tuple[Picture, ...]
    problems: tuple[Quarantined, ...]
    clipped: int


def read_json(path: Path) -> Any:
    """What a JSON file holds. Raises DataError for one that cannot be read or was cut short."""
    try:
        return json.loads(path.read_text(encoding="utf-8-sig"))
    except OSError as error:
        raise DataError(f"{path} cannot be read: {error.strerror}") from None
    except (ValueError, RecursionError) as error:
        raise DataError(f"{path} is no whole JSON: {error}; was it cut short?") from None


def is_coco(content: Any) -> bool:
    """Whether a JSON's content has what a COCO file has."""
    return isinstance(content, dict) and {"images", "annotations"} <= content.keys()


def read_coco(path: Path, needs: Literal["box", "segmentation"], content: Any = ABSENT) -> CocoFile:
    """The pictures of a COCO file with their annotations.

    needs: what an annotation must have. A box that is missing is taken from the segmentation; a
    segmentation that is missing or damaged stays None where only boxes are needed.
    content: the file's, where `read_json` has read it already.

    A problem, and left out, is each: category or picture without id or name, or with an id that
    came before; annotation of an unknown category or picture, with a box that has no positive width
    and height or lies outside of its picture, or without what is needed.

    Raises DataError for a file that cannot be read, is no COCO file, or has nothing to be used.
    """
    content = read_json(path) if content is ABSENT else content
    if not is_coco(content):
        raise DataError(
            f"{path} is no COCO file: an object with the lists `images`, `annotations` and "
            "`categories` is expected"
        )
    reader = _Reader(path.name, needs)
    classes = reader.categories(_listed(content, "categories"))
    pictures = reader.pictures(_listed(content, "images"))
    annotations = reader.annotations(_listed(content, "annotations"), pictures, classes)
    whole = CocoFile(
        tuple(name for _, name in classes.values()),
        tuple(one._replace(annotations=tuple(annotations[key])) for key, one in pictures.items()),
        tuple(reader.problems),
        reader.clipped,
    )
    if not any(one.annotations for one in whole.pictures):
        first = f"; {': '.join(whole.problems[0])}" if whole.problems else ""
        raise DataError(
            f"{path} has nothing to be used: {len(whole.classes)} categories, "
            f"{len(whole.pictures)} pictures, no usable annotation{first}"
        )
    return whole


def _listed(content: dict[str, Any], key: str) -> list[Any]:
    value = content.get(key)
    return value if isinstance(value, list) else []


class _Reader:
    """Gathers problems while it reads the lists of one file."""

    def __init__(self, name: str, needs: Literal["box", "segmentation"]) -> None:
        self.name = name
        self.needs = needs
        self.problems: list[Quarantined] = []
        self.clipped = 0

    def problem(self, what: str, reason: str) -> None:
        self.problems.append(Quarantined(f"{self.name}: {what}", reason))

    def categories(self, entries: Sequence[Any]) -> dict[Any, tuple[int, str]]:
        """Id -> position and name."""
        names: dict[Any, str] = {}
        for place, entry in enumerate(entries):
            key, name = _key(entry, "id"), entry.get("name") if isinstance(entry, dict) else None
            if key is None or not isinstance(name, str) or not name:
                self.problem(f"category {_which(entry, place)}", "has no id or no name")
            elif key in names:
                self.problem(f"category {key}", f"its id is that of {names[key]!r} too")
            else:
                names[key] = name
        try:
            ordered = sorted(names)
        except TypeError:
            ordered = sorted(names, key=str)
        return {key: (position, names[key]) for position, key in enumerate(ordered)}

    def pictures(self, entries: Sequence[Any]) -> dict[Any, Picture]:
        """Id -> picture, without annotations yet."""
        found: dict[Any, Picture] = {}
        for place, entry in enumerate(entries):
            key = _key(entry, "id")
            name = entry.get("file_name") if isinstance(entry, dict) else None
            if key is None or not isinstance(name, str) or not name:
                self.problem(f"image {_which(entry, place)}", "has no id or no file_name")
            elif key in found:
                self.problem(f"image {key}", f"its id is that of {found[key].file_name!r} too")
            else:
                found[key] = Picture(name, _side(entry, "width"), _side(entry, "height"), ())
        return found

    def annotations(
        self,
        entries: Sequence[Any],
        pictures: dict[Any, Picture],
        classes: dict[Any, tuple[int, str]],
    ) -> dict[Any, list[Annotation]]:
        """Id of a picture -> its annotations."""
        found: dict[Any, list[Annotation]] = defaultdict(list)
        for place, entry in enumerate(entries):
            made = self.annotation(entry, pictures, classes)
            if isinstance(made, str):
                self.problem(f"annotation {_which(entry, place)}", made)
            else:
                found[entry["image_id"]].append(made)
        return found

    def annotation(
        self,
        entry: Any,
        pictures: dict[Any, Picture],
        classes: dict[Any, tuple[int, str]],
    ) -> Annotation | str:
        """The annotation, or what is wrong with it."""
        if not isinstance(entry, dict):
            return "is no object"
        image, category = _key(entry, "image_id"), _key(entry, "category_id")
        if image not in pictures:
            return f"image_id {entry.get('image_id')!r} is not among the images"
        if category not in classes:
            return f"category_id {entry.get('category_id')!r} is not among the categories"
        picture = pictures[image]
        outline = read_outline(entry.get("segmentation"), picture.width, picture.height)
        if self.needs == "segmentation" and isinstance(outline, str):
            return outline
        segmentation = None if isinstance(outline, str) else outline
        box = _box(entry.get("bbox"), segmentation)
        if isinstance(box, str):
            return box
        kept = clip_box(box, picture.width, picture.height)
        if isinstance(kept, str):
            return kept
        self.clipped += reaches_beyond(box, kept)
        return Annotation(classes[category][0], kept, segmentation, bool(entry.get("iscrowd")))


def _key(entry: Any, name: str) -> int | str | None:
    """An id; None where there is none that can be one."""
    value = entry.get(name) if isinstance(entry, dict) else None
    return value if isinstance(value, int | str) and not isinstance(value, bool) else None


def _which(entry: Any, place: int) -> str:
    key = _key(entry, "id")
    return f"at place {place}" if key is None else str(key)


def _side(entry: dict[str, Any], name: str) -> int | None:
    value: Any = entry.get(name)
    return int(value) if are_numbers([value]) and value >= 1 else None


def _box(given: Any, segmentation: Segmentation | None) -> Box | str:
    if given is None or given == []:
        return "has no bbox" if segmentation is None else box_of(segmentation)
    if not are_numbers(given) or len(given) != 4:
        return f"bbox {str(given)[:60]} is not four numbers x, y, width, height"
    x0, y0, wide, high = map(float, given)
    return (x0, y0, x0 + wide, y0 + high)

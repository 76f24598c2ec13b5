"""A folder with COCO files: which JSON is which split, and where its pictures lie."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from hotstart.data.coco import is_coco, read_json
from hotstart.data.index import SUFFIXES, walk
from hotstart.data.quarantine import Quarantined
from hotstart.data.splits import SPLIT_NAMES
from hotstart.errors import DataError

PICTURES = ("images", "JPEGImages", "imgs", "data")
USUAL = "instances"
"""COCO's own folder has captions and keypoints beside `instances_train2017.json`."""


@dataclass(frozen=True)
class CocoSource:
    """One JSON of a folder. split: of ours; None where its name tells none."""

    path: Path
    split: str | None
    content: Any


def coco_sources(root: Path, problems: list[Quarantined] | None = None) -> list[CocoSource]:
    """Every COCO file in `root` and one folder below, the splits in the order of their names.

    A split is told by the file's name (`instances_train2017.json`) or its folder's
    (`valid/_annotations.coco.json`). Of several files, those named `instances...` count alone. A
    JSON that is cut short counts as one that should have been read: where no other is there, it
    raises DataError, else it is added to `problems`.
    """
    files = sorted([*root.glob("*.json"), *root.glob("*/*.json")])
    if any(path.stem.startswith(USUAL) for path in files):
        files = [path for path in files if path.stem.startswith(USUAL)]
    found, broken = [], None
    for path in files:
        try:
            content = read_json(path)
        except DataError as error:
            broken = broken or error
            if problems is not None:
                told = str(error).removeprefix(f"{path} ")
                problems.append(Quarantined(path.relative_to(root).as_posix(), told))
            continue
        if is_coco(content):
            where = path.parent.name if path.parent != root else ""
            found.append(CocoSource(path, split_of(path.stem) or split_of(where), content))
    if broken is not None and not found:
        raise broken
    return found


def split_of(name: str) -> str | None:
    """The split that a name tells, as `instances_val2017` tells val; None where it tells none."""
    words = re.split(r"[^a-z]+", name.lower())
    return next((SPLIT_NAMES[word] for word in words if word in SPLIT_NAMES), None)


@dataclass
class PictureFinder:
    """Finds the pictures that annotation files name."""

    root: Path
    _below: dict[str, list[str]] | None = field(default=None, repr=False)

    def find(self, beside: Path, name: str, also: Sequence[str] = ()) -> str | None:
        """Path below `root` of the picture that a file in `beside` calls `name`; None: nowhere.

        Looked for beside that file, in `images/` of its folder, of the one above or of `root`, in
        the folders `also` of all these, and at last by its name alone, if only one file below
        `root` has it. A name that leads out of `root` is not followed.
        """
        name = name.replace("\\", "/")
        inner = ("", *PICTURES, *also, *(f"{one}/{other}" for one in PICTURES for other in also))
        for folder in dict.fromkeys((beside, beside.parent, self.root)):
            for inside in inner:
                path = folder / inside / name
                if path.is_file() and path.resolve().is_relative_to(self.root.resolve()):
                    return path.resolve().relative_to(self.root.resolve()).as_posix()
        if self._below is None:
            self._below = {}
            for relative in walk(self.root, SUFFIXES).relatives():
                self._below.setdefault(relative.rpartition("/")[2], []).append(relative)
        found = self._below.get(Path(name).name, [])
        return found[0] if len(found) == 1 else None

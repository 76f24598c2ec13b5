"""What annotation files say of pictures, whatever their format: boxes of named classes."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path, PurePosixPath
from typing import NamedTuple

from hotstart.data.coco_folder import PictureFinder, split_of
from hotstart.data.headers import Unreadable
from hotstart.data.index import Index, walk
from hotstart.data.outlines import Box
from hotstart.data.quarantine import Quarantined, printable
from hotstart.data.source import FileSource, absolute


class Noted(NamedTuple):
    """One object of a picture."""

    category: int
    """Position in `Notes.classes`."""
    box: Box
    """In shares of the upright picture's width and height, within 0..1."""
    ignored: bool
    """Neither learnt from nor asked for: a crowd (COCO), a difficult object (VOC)."""


class NotedPicture(NamedTuple):
    """One annotated picture; without objects it is background."""

    path: str
    """Relative to the data."""
    split: str | None
    size: tuple[int, int] | None
    """Width and height as the annotation has them; None where it does not."""
    objects: tuple[Noted, ...]


@dataclass
class Notes:
    """What one reader gathered from all files of its format. clipped: boxes cut at an edge."""

    kind: str
    classes: tuple[str, ...]
    pictures: list[NotedPicture] = field(default_factory=list)
    problems: list[Quarantined] = field(default_factory=list)
    remarks: list[str] = field(default_factory=list)
    clipped: int = 0


class PictureFiles:
    """The picture files below a folder; `finder` knows them by the names that annotations give."""

    def __init__(self, root: Path) -> None:
        self.root = root
        self.index: Index = walk(root)
        self.finder = PictureFinder(root)
        self._rows = {path: row for row, path in enumerate(self.index.relatives())}
        self._source = FileSource(self.index, absolute(root))
        self._stems: dict[str, list[str]] = {}
        for path in self._rows:
            self._stems.setdefault(PurePosixPath(path).stem, []).append(path)

    def __len__(self) -> int:
        return len(self._rows)

    def paths(self) -> list[str]:
        """Every picture, relative to the folder."""
        return list(self._rows)

    def of_stem(self, stem: str) -> str | None:
        """The only picture whose name without its ending is `stem`."""
        found = self._stems.get(stem, [])
        return found[0] if len(found) == 1 else None

    def size(self, path: str) -> tuple[int, int] | None:
        """Width and height of the upright picture, from its header; None: cannot be read."""
        try:
            return self._source.peek(self._rows[path])
        except Unreadable:
            return None


def share(box: Box, width: float, height: float) -> Box:
    """Pixels of a picture of that size -> shares of it."""
    return (box[0] / width, box[1] / height, box[2] / width, box[3] / height)


def split_of_path(path: PurePosixPath) -> str | None:
    """The split that a file's name or folders speak of, the nearest one first."""
    names = (path.stem, *reversed(path.parts[:-1]))
    return next((split for split in map(split_of, names) if split is not None), None)


def below(root: Path, suffixes: Sequence[str]) -> list[Path]:
    """Files of these endings at any depth, hidden ones aside, in the order of their paths."""
    index = walk(root, frozenset(suffixes))
    return [root / printable(index.relative(i)) for i in range(len(index))]

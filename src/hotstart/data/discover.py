"""What DATA is: a folder (of pictures, class folders, splits), a table, or a data set's name."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import numpy.typing as npt

from hotstart.data.index import SUFFIXES, Index, walk
from hotstart.data.quarantine import printable
from hotstart.data.source import FileSource, Found, absolute, groups_of_paths
from hotstart.data.splits import SPLIT_NAMES, SPLITS
from hotstart.errors import DataError, UsageError

TABLES = (".csv", ".tsv", ".parquet", ".pq")
ALLOWED = (
    "DATA is a folder of pictures (at any depth, or one folder for each class, or train/ with "
    "test/ or val/), a .csv or .parquet table of paths, a torchvision name or digits:"
)


def discover(data: str | Path, label: str | None = None, group: str | None = None) -> Found:
    """Find out what `data` is and list its pictures.

    label: column of a table that holds the label
    group: column of a table, or a regular expression searched in each relative path, whose first
    group (or whole match) names the group; a picture without a match is its own group

    Raises `DataError` when there is nothing to be used, `UsageError` when `label` or `group` does
    not fit the data.
    """
    from hotstart.data import named, table

    text = str(data)
    path = Path(data).expanduser()
    try:
        is_folder, is_file = path.is_dir(), path.is_file()
    except OSError as error:
        raise DataError(f"{text!r} cannot be read: {error.strerror}; {ALLOWED}") from None
    if is_file:
        if path.suffix.lower() in TABLES:
            return table.open_table(path, label, group)
        raise DataError(f"{text} is a single file; {ALLOWED}")
    if label is not None:
        raise UsageError(
            f"label={label!r} names a column of a table, and {text} is none; the labels of a "
            "folder are its class folders"
        )
    if is_folder:
        return _folder(path, text, group)
    if named.is_name(text):
        if group is not None:
            raise UsageError(f"group={group!r}: the pictures of {text} have no paths to group by")
        return named.open_named(text)
    raise DataError(f"there is no file or folder {text!r}; {ALLOWED}: {named.suggest(text)}")


def _folder(path: Path, text: str, group: str | None) -> Found:
    index = walk(path)
    if not len(index):
        raise DataError(_nothing_in(text, index))
    found = classify_folders(index, text)
    return found if group is None else found.with_groups(groups_of_paths(index, group))


def _nothing_in(text: str, index: Index) -> str:
    if index.problems:
        first = index.problems[0]
        return f"{text} holds no picture that can be read ({first.path}: {first.reason}); {ALLOWED}"
    seen = (
        f"none of its {index.others} files (such as {index.other_example}) ends in"
        if index.others
        else "it is empty; Hotstart looks for"
    )
    return f"{text} holds no pictures: {seen} {', '.join(sorted(SUFFIXES))}; {ALLOWED}"


def classify_folders(index: Index, text: str) -> Found:
    """Decide what the folders mean.

    Class folders: each picture lies exactly one folder deep, in at least two folders. Splits:
    there is a `train` folder; pictures beside the split folders belong to train and have no
    label. Anything else is unlabelled.
    """
    parts = [folder.split(b"/") if folder else [] for folder in index.folders]
    tops = [printable(part[0]).lower() if part else "" for part in parts]
    split_of = [SPLIT_NAMES.get(top) for top in tops]
    source = FileSource(index, absolute(index.root))
    notes = (f"{index.others} files that are no pictures were passed over",) if index.others else ()
    if "train" not in split_of:
        labels, classes, why = _classes(index, parts, [True] * len(parts), depth=1)
        kind = "class folders" if classes else "unlabelled pictures"
        return Found(kind, source, labels, classes, problems=index.problems, notes=(*notes, *why))
    inside = [name is not None for name in split_of]
    codes = np.array([SPLITS.index(name or "train") for name in split_of], np.uint8)
    labels, classes, why = _classes(index, parts, inside, depth=2)
    split: npt.NDArray[np.uint8] | None = codes[index.folder]
    names = sorted({name for name in split_of if name}, key=SPLITS.index)
    if names == ["train"]:
        split = None
    kind = f"{' and '.join(f'{name}/' for name in names)} " + (
        "with class folders" if classes else "without labels"
    )
    return Found(
        kind, source, labels, classes, split, problems=index.problems, notes=(*notes, *why)
    )


def _classes(
    index: Index, parts: list[list[bytes]], inside: list[bool], depth: int
) -> tuple[npt.NDArray[np.int32] | None, tuple[str, ...], tuple[str, ...]]:
    """Labels int32 (N,), class names, and why there are none although there might be."""
    names = {part[-1] for part, asked in zip(parts, inside, strict=True) if asked and part}
    odd = [
        folder
        for folder, (part, asked) in enumerate(zip(parts, inside, strict=True))
        if asked and len(part) != depth
    ]
    if odd or len(names) < 2:
        some_fit = any(len(part) == depth for part in parts)
        if not odd or not some_fit:
            return None, (), ()
        first = int(np.flatnonzero(np.isin(index.folder, odd))[0])
        where = printable(index.relative(first))
        return None, (), (f"no labels: {where} does not lie exactly one folder below a class",)
    ordered = sorted(names)
    code = {name: number for number, name in enumerate(ordered)}
    of_folder = np.array(
        [code[part[-1]] if asked else -1 for part, asked in zip(parts, inside, strict=True)],
        np.int32,
    )
    return of_folder[index.folder], tuple(printable(name) for name in ordered), ()

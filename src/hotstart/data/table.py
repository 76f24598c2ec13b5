"""CSV and Parquet tables of paths, with labels, groups and splits in their columns."""

from __future__ import annotations

import os
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from hotstart.config import nearest
from hotstart.data.index import (
    SUFFIXES,
    VIDEO_SUFFIXES,
    Index,
    is_picture_name,
    is_video_name,
    walk,
)
from hotstart.data.listed import index_of_paths
from hotstart.data.quarantine import Quarantined
from hotstart.data.source import FileSource, Found, Items, absolute, groups_of_paths, ordered
from hotstart.data.splits import SPLIT_NAMES, SPLITS
from hotstart.errors import DataError, UsageError

PATH_COLUMNS = (
    *("path", "file", "filename", "file_name", "filepath", "file_path"),
    *("image", "image_path", "img", "img_path", "picture", "photo"),
    *("video", "video_path", "clip"),
)
LABEL_COLUMNS = ("label", "class")
SPLIT_COLUMNS = ("split", "subset")


def open_table(path: Path, label: str | None, group: str | None) -> Found:
    """The pictures, or videos, that a table names.

    They are videos if most of the first paths end like videos. The column of paths is recognised
    by its name, else it is the only one whose values end like pictures or videos; so are `label`
    (or `class`) and `split` (or `subset`), the first unless `label` names another. Paths are
    absolute, or lie beside the table, or are found by a file name that is unique below its folder;
    the others go to quarantine.

    Raises `DataError` for a table that cannot be read or names no picture there is, `UsageError`
    for a column that does not exist.
    """
    columns = _read(path)
    path_column = _path_column(path, columns)
    if label is not None and label not in columns:
        raise UsageError(f"label={label!r}: {path} has no such column; {nearest(label, columns)}")
    paths = _values(columns[path_column])
    index, rows, problems = _resolve(path, paths)
    chosen = label or _named_like(LABEL_COLUMNS, columns)
    labels, classes = (None, ()) if chosen is None else _encode(_values(columns[chosen]), rows)
    split_column = _named_like(SPLIT_COLUMNS, columns)
    split = None if split_column is None else _splits(path, split_column, columns, rows)
    groups = None
    if group is not None and group in columns:
        groups = _groups(_values(columns[group]), rows)
    elif group is not None:
        groups = groups_of_paths(index, group)
    source: Items
    if _are_videos(paths):
        from hotstart.data.video import VideoFiles

        noun, source = "videos", VideoFiles(index, absolute(path))
    else:
        noun, source = "pictures", FileSource(index, absolute(path))
    return Found(
        f"table of {'labelled ' if classes else ''}{noun}",
        source,
        labels,
        classes,
        split,
        groups,
        problems,
    )


def _read(path: Path) -> dict[str, Any]:
    """Column name -> pyarrow column; those of a CSV are text as it stands."""
    import pyarrow as pa
    from pyarrow import csv, parquet

    try:
        if path.suffix.lower() in (".parquet", ".pq"):
            table = parquet.read_table(path)
        else:
            parse = csv.ParseOptions(delimiter="\t" if path.suffix.lower() == ".tsv" else ",")
            with csv.open_csv(path, parse_options=parse) as reader:
                names = reader.schema.names
            text = csv.ConvertOptions(
                column_types={name: pa.string() for name in names}, strings_can_be_null=True
            )
            table = csv.read_csv(path, parse_options=parse, convert_options=text)
    except (OSError, pa.ArrowInvalid) as error:
        raise DataError(f"{path} cannot be read as a table: {error}") from None
    if not table.num_rows:
        raise DataError(f"{path} is a table without rows; each row names one picture")
    return dict(zip(table.column_names, table.columns, strict=True))


def _values(column: Any) -> list[str | None]:
    """A column as text; None where it is empty."""
    values: list[Any] = column.to_pylist()
    return [None if value is None or value != value else str(value) for value in values]


def _named_like(names: Sequence[str], columns: dict[str, Any]) -> str | None:
    lower = {column.strip().lower(): column for column in reversed(columns)}
    return next((lower[name] for name in names if name in lower), None)


def _path_column(path: Path, columns: dict[str, Any]) -> str:
    by_name = _named_like(PATH_COLUMNS, columns)
    if by_name is not None:
        return by_name
    like = [
        name
        for name, column in columns.items()
        if all(
            isinstance(value, str) and (is_picture_name(value) or is_video_name(value))
            for value in column[:20].to_pylist()
        )
    ]
    if len(like) == 1:
        return like[0]
    raise DataError(
        f"{path}: which column holds the paths? It has {', '.join(columns)}; "
        f"name one of them {', '.join(PATH_COLUMNS)}"
    )


def _are_videos(paths: list[str | None]) -> bool:
    first = [path for path in paths[:20] if path is not None]
    return 2 * sum(map(is_video_name, first)) > len(first)


def _resolve(
    table: Path, values: list[str | None]
) -> tuple[Index, npt.NDArray[np.int64], tuple[Quarantined, ...]]:
    """Index of the files there are, the table's row of each, and what was not found."""
    root = table.resolve().parent
    paths = [os.fsencode(value or "\0") for value in values]
    index, rows = index_of_paths(root, paths)
    if len(rows) == len(paths):
        return index, rows, ()
    below = _unique_names(root)
    reasons: dict[int, str] = {}
    for row in np.setdiff1d(np.arange(len(paths)), rows).tolist():
        match = below.get(os.path.basename(paths[row]), [])  # noqa: PTH119 - the path is bytes
        if len(match) == 1:
            paths[row] = match[0]
        elif values[row] is None:
            reasons[row] = f"row {row + 1} of the table has no path"
        elif match:
            reasons[row] = f"not beside the table, and {len(match)} files below have its name"
        else:
            reasons[row] = "not found beside the table, nor by its name below"
    index, rows = index_of_paths(root, paths)
    problems = tuple(Quarantined(values[row] or "", reason) for row, reason in reasons.items())
    if not len(rows):
        raise DataError(
            f"{table}: none of its {len(paths)} pictures exists, such as {problems[0].path!r}: "
            f"{problems[0].reason}; paths count from {root}"
        )
    return index, rows, problems


def _unique_names(root: Path) -> dict[bytes, list[bytes]]:
    """File name -> paths below `root`; made only when a path of the table leads nowhere."""
    below: dict[bytes, list[bytes]] = {}
    index = walk(root, SUFFIXES | VIDEO_SUFFIXES)
    for i in range(len(index)):
        below.setdefault(index.name(i), []).append(index.relative(i))
    return below


def _encode(
    values: list[str | None], rows: npt.NDArray[np.int64]
) -> tuple[npt.NDArray[np.int32], tuple[str, ...]]:
    """Labels int32 (rows,), -1 where empty, and class names."""
    classes = ordered({value for value in values if value is not None})
    code: dict[str | None, int] = {name: number for number, name in enumerate(classes)}
    labels = np.array([code.get(value, -1) for value in values], np.int32)
    return labels[rows], tuple(classes)


def _groups(values: list[str | None], rows: npt.NDArray[np.int64]) -> npt.NDArray[np.int64]:
    """Int64 (rows,); a row without a group is its own."""
    codes: dict[str, int] = {}
    groups = [
        len(values) + row if value is None else codes.setdefault(value, len(codes))
        for row, value in enumerate(values)
    ]
    return np.array(groups, np.int64)[rows]


def _splits(
    path: Path, column: str, columns: dict[str, Any], rows: npt.NDArray[np.int64]
) -> npt.NDArray[np.uint8]:
    values = _values(columns[column])
    codes = np.empty(len(values), np.uint8)
    for row, value in enumerate(values):
        split = SPLIT_NAMES.get((value or "").strip().lower())
        if split is None:
            raise DataError(
                f"{path}: row {row + 1} of column {column!r} is {value!r}; "
                f"allowed: {', '.join(SPLIT_NAMES)}"
            )
        codes[row] = SPLITS.index(split)
    return codes[rows]

"""CSV and Parquet tables of paths."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest
from pyarrow import parquet

from hotstart.data import open_dataset
from hotstart.data.discover import discover
from hotstart.errors import DataError, UsageError
from tests.data.conftest import Make

COLUMNS: dict[str, list[Any]] = {
    "filename": ["b.png", "deep/a.png", "c.png", "gone.png", "twice.png", None],
    "label": ["10", "9", None, "9", "9", "9"],
    "person": ["p", "q", None, "q", "q", "q"],
    "split": ["train", "test", "Train", "train", "train", "train"],
}


@pytest.fixture(params=["csv", "tsv", "parquet"])
def table(request: pytest.FixtureRequest, tmp_path: Path, picture: Make) -> Path:
    """Six rows: beside the table, below it, found by name, missing, ambiguous, empty."""
    for seed, name in enumerate(
        ("b.png", "deep/a.png", "elsewhere/c.png", "x/twice.png", "y/twice.png")
    ):
        picture(tmp_path / name, seed)
    path = tmp_path / f"table.{request.param}"
    if request.param == "parquet":
        parquet.write_table(pa.table(COLUMNS), path)
    else:
        comma = "," if request.param == "csv" else "\t"
        rows = zip(*COLUMNS.values(), strict=True)
        lines = [comma.join(COLUMNS), *(comma.join(value or "" for value in row) for row in rows)]
        path.write_text("\n".join(lines))
    return path


def test_table_of_paths(table: Path) -> None:
    found = discover(table)
    assert [found.source.path(i) for i in range(3)] == ["b.png", "deep/a.png", "elsewhere/c.png"]
    assert found.classes == ("9", "10")
    assert found.labels is not None
    assert found.labels.tolist() == [1, 0, -1]
    assert found.split is not None
    assert found.split.tolist() == [0, 2, 0]
    reasons = dict(found.problems)
    assert reasons["gone.png"].startswith("not found beside the table")
    assert "2 files below have its name" in reasons["twice.png"]
    assert reasons[""] == "row 6 of the table has no path"


def test_columns_can_be_chosen(table: Path) -> None:
    found = discover(table, label="person", group="person")
    assert found.classes == ("p", "q")
    assert found.groups is not None
    assert len(set(found.groups.tolist())) == 3
    grouped = discover(table, group="^[^/.]*").groups
    assert grouped is not None
    assert len(set(grouped.tolist())) == 3
    with pytest.raises(UsageError, match=r"no such column; nearest: person"):
        discover(table, label="persn")


def test_opened_table_keeps_labels_with_pictures(table: Path, tmp_path: Path) -> None:
    (tmp_path / "b.png").write_bytes(b"broken")
    dataset = open_dataset(table, size=32)
    assert len(dataset) == 2
    assert dataset.labels.tolist() == [0, -1]
    assert dataset.indices("test").tolist() == [0]
    assert len(dataset.quarantine) == 4


def test_absolute_paths_and_a_column_known_by_its_values(tmp_path: Path, picture: Make) -> None:
    picture(tmp_path / "far" / "a.png")
    folder = tmp_path / "near"
    folder.mkdir()
    (folder / "t.csv").write_text(f"what,where\n1,{tmp_path}/far/a.png\n")
    dataset = open_dataset(folder / "t.csv", size=32)
    assert len(dataset) == 1
    assert dataset.path(0).endswith("far/a.png")
    assert dataset.keys == {"image", "index", "group"}


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("a,b\n1,2\n", "which column holds the paths"),
        ("path\n", "without rows"),
        ("", "cannot be read as a table"),
        ("path\nnone.png\n", "none of its 1 pictures exists"),
        ("path,split\na.png,later\n", "column 'split' is 'later'; allowed: train"),
    ],
)
def test_table_errors(tmp_path: Path, picture: Make, text: str, message: str) -> None:
    picture(tmp_path / "a.png")
    (tmp_path / "t.csv").write_text(text)
    with pytest.raises(DataError, match=message):
        discover(tmp_path / "t.csv")

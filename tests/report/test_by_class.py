"""Means over classes, taken apart: in the report and on the command line."""

from __future__ import annotations

from pathlib import Path

import pytest

from hotstart.league.naming import told_apart
from hotstart.league.records import Record, write_records
from hotstart.progress import print_records
from hotstart.report.page import write_report
from hotstart.report.reading import read
from hotstart.report.runs import read_runs
from hotstart.report.table import tables
from tests.report.fake_runs import record

SCENES = {"downstream": "segment", "metric": "miou", "data": "/data/camvid"}


def segmented(task: str, seed: int, sky: float, road: float | None) -> Record:
    known = [value for value in (sky, road) if value is not None]
    detail = {"iou": {"sky": sky, "<b>road</b>": road}, "pixel_accuracy": 0.5 + sky / 10}
    return record(task, seed, **SCENES, value=sum(known) / len(known), detail=detail)


def detected(task: str, metric: str, value: float, data: str) -> Record:
    own = {"data": data, "data_fingerprints": {"evaluate": data}, "chance": 0.0}
    detail = {"per_class": {"cell": value, "platelet": value / 2}}
    told = {"downstream": "detect", "metric": metric, "value": value, "detail": detail}
    return record(task, 0, **told, **own)


def test_a_table_of_each_class_stands_under_its_column(tmp_path: Path) -> None:
    found = [
        segmented("rotation", 0, 0.5, 0.25),
        segmented("rotation", 1, 0.7, None),
        segmented("random", 0, 0.3, 0.1),
        record("random", 1, **SCENES, value=0.2),
    ]
    write_records(tmp_path / "results.jsonl", found)
    (table,) = tables(read(read_runs(tmp_path)))
    (part,) = table.by_class
    assert part.title == "Linear probe, all labels"
    assert part.classes == ["sky", "<b>road</b>"]
    assert [(row.name, row.values, row.accuracy) for row in part.rows] == [
        ("rotation", ["60.0", "25.0"], "56.0"),
        ("random", ["30.0", "10.0"], "53.0"),
    ]
    page = write_report(tmp_path).read_text()
    assert "Each class" in page
    assert "&lt;b&gt;road&lt;/b&gt;" in page
    assert "<b>road</b>" not in page


def test_average_precisions_are_told_alike_and_data_sets_apart(tmp_path: Path) -> None:
    found = [
        detected(task, metric, value, f"/data/{data}/cells")
        for task in ("rotation", "random")
        for metric, value in (("ap", 0.4), ("ap50", 0.6), ("ap75", 0.123))
        for data in ("a", "b")
    ]
    write_records(tmp_path / "results.jsonl", found)
    told = {table.title: table for table in tables(read(read_runs(tmp_path)))}
    assert len(told) == 6
    table = told["Detection on b/cells, validation split, average precision at IoU 0.75"]
    assert (table.rows[0].cells[0].value, table.chance) == ("12.3", "0.0\u202f%")
    assert table.unit.endswith(", %")
    assert table.by_class == []
    (part,) = told["Detection on a/cells, validation split, average precision"].by_class
    assert part.rows[0].values == ["40.0", "20.0"]
    assert not part.accuracies


def test_the_command_prints_each_class_with_the_most_labels(
    capsys: pytest.CaptureFixture[str],
) -> None:
    one = segmented("rotation", 0, 0.5, None)
    few = record("rotation", 0, **SCENES, labels=0.1, value=0.4, detail={"iou": {"sky": 0.4}})
    print_records([one, few, record("rotation", 0, value=0.3)])
    lines = [line.split() for line in capsys.readouterr().out.splitlines()]
    at = lines.index(["miou", "by", "class", "rotation", "linear"])
    assert lines[at + 1 : at + 4] == [
        ["sky", "0.500"],
        ["<b>road</b>"],
        ["pixel", "accuracy", "0.550"],
    ]
    print_records([detected("rotation", "ap", 0.4, "cells")])
    assert "ap by class" in capsys.readouterr().out
    print_records([record("rotation", 0, value=0.3)])
    assert "by class" not in capsys.readouterr().out


def test_names_are_as_short_as_they_tell_apart() -> None:
    assert told_apart(["/data/a/x", "/data/b/x", "/data/camvid", "digits:"]) == {
        "/data/a/x": "a/x",
        "/data/b/x": "b/x",
        "/data/camvid": "camvid",
        "digits:": "digits:",
    }
    assert told_apart(["x", "a/x"]) == {"x": "x", "a/x": "a/x"}
    assert told_apart(["/a/x/", "/a/x/y/x"]) == {"/a/x/": "a/x", "/a/x/y/x": "y/x"}

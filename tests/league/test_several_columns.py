"""Classification, segmentation and two sets of boxes in one league, from real cells."""

from __future__ import annotations

import csv
import json
from pathlib import Path
from typing import Any

import pytest

from hotstart.downstream import pixel_probe
from hotstart.downstream.classifier import FinetuneSettings
from hotstart.downstream.detector import DetectorSettings
from hotstart.downstream.detector_training import DetectSettings
from hotstart.downstream.segmenter import SegmentSettings
from hotstart.league.compare import Comparison, run_league
from hotstart.league.settings import check
from hotstart.report.page import write_report
from tests.boxed import write_coco
from tests.data.scenes import write_scenes
from tests.league.test_detect_column import Here

pytestmark = pytest.mark.slow

QUICK: dict[str, Any] = {
    "classify.FinetuneSettings": FinetuneSettings(steps=1, learning_rates=(1e-3,)),
    "segment.SegmentSettings": SegmentSettings(steps=1, batch_size=2, view_px=16, width=8),
    "detect.DetectSettings": DetectSettings(
        steps=1, batch_size=2, detector=DetectorSettings(size_px=64)
    ),
}


@pytest.fixture(scope="module")
def found(
    class_folder: Path, tmp_path_factory: pytest.TempPathFactory
) -> tuple[Comparison, list[dict[str, Any]]]:
    """The league and the events that it told; one label map and one box are broken."""
    root = tmp_path_factory.mktemp("several")
    write_scenes(root / "scenes", range(12))
    (root / "scenes" / "masks" / "003.png").write_bytes(b"")
    for seed, name in enumerate(("a", "b")):
        write_coco(root / name / "squares", {"train": 6, "val": 4}, seed)
    (root / "b" / "squares" / "images" / "train-000.png").unlink()
    asked = check(
        {
            "data": str(class_folder),
            "tasks": ["rotation"],
            "on": [
                "classify",
                *(f"{on}={root / data}" for on, data in (
                    ("segment", "scenes"), ("detect", "a/squares"), ("detect", "b/squares")
                )),
            ],
            "seeds": [0],
            "steps": 1,
            "batch_size": 16,
            "protocols": ["linear", "finetune"],
            "labels": [1.0],
            "stages": False,
        }
    )  # fmt: skip
    events: list[dict[str, Any]] = []
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("XDG_CACHE_HOME", str(root / "cache"))
        patch.setattr(pixel_probe, "PIXELS", 500)
        for name, quick in QUICK.items():
            patch.setattr(f"hotstart.downstream.{name}", lambda quick=quick: quick)
        league = run_league(asked, root / "league", executor=Here(), listener=events.append)
    return league, events


def test_every_data_set_has_its_records(found: tuple[Comparison, list[dict[str, Any]]]) -> None:
    league, _ = found
    assert league.problems == {}
    measured = [r for r in league.records if r.downstream != "pretext"]
    assert len({(r.downstream, r.data) for r in measured}) == 4
    for task, protocols in (
        ("rotation", {"linear", "finetune"}),
        ("supervised", {"linear", "finetune"}),
        ("random", {"linear", "scratch"}),
    ):
        told = {(r.data, r.protocol) for r in measured if r.task == task}
        assert len(told) == 8
        assert {protocol for _, protocol in told} == protocols
    left_out = {r.downstream: r.detail.get("left_out") for r in measured if r.task == "random"}
    assert left_out["segment"] == 1


def test_the_table_tells_both_sets_of_boxes_apart(
    found: tuple[Comparison, list[dict[str, Any]]],
) -> None:
    league, _ = found
    assert league.statistics is not None
    columns = league.statistics.agreement.columns
    assert sum("a/squares" in name for name in columns) == 2
    assert sum("b/squares" in name for name in columns) == 2
    text = (league.folder / "table.md").read_text()
    for name in ("a/squares", "b/squares"):
        assert f"detect on {name}, val split: ap, chance 0.000" in text
    assert "segment on scenes, val split: miou" in text


def test_panels_and_page(found: tuple[Comparison, list[dict[str, Any]]]) -> None:
    league, _ = found
    panels = league.folder / "rotation-0" / "panels"
    for protocol in ("linear", "finetune"):
        assert len(list(panels.glob(f"detect-{protocol}-1-*.png"))) == 2
        assert len(list(panels.glob(f"segment-{protocol}-1-*.png"))) == 1
    titles = {json.loads(path.read_text())["title"] for path in panels.glob("*-1-*.json")}
    assert "Boxes in a/squares: linear, 100 % of the labels" in titles
    assert "Boxes in b/squares: finetune, 100 % of the labels" in titles
    assert any(title.endswith("/scenes: linear, 100 % of the labels") for title in titles)
    page = write_report(league.folder).read_text()
    for name in ("a/squares", "b/squares"):
        assert f"Detection on {name}, validation split, average precision at IoU 0.75" in page
    assert "Segmentation on scenes, validation split, mean IoU" in page
    assert "Each class" in page
    assert "pixel accuracy" in page
    assert page.count("1 picture or annotation of the data for <code>") == 2


def test_what_was_found_is_told_and_what_was_left_out_is_written(
    found: tuple[Comparison, list[dict[str, Any]]],
) -> None:
    league, events = found
    told = [event["sentences"] for event in events if event["kind"] == "found"]
    assert len(told) == 4
    classify, segment, first, second = told
    assert (
        "240 pictures (train 128, val 32, test 80), 2 classes: cold, warm; 40 x 40 px"
        in (classify[0])
    )
    assert any("left out: images/003.png: its label map is" in line for line in segment)
    assert not any("left out" in line for line in first)
    (where,) = (line for line in second if line.startswith("everything that was left out (1): "))
    with Path(where.partition(": ")[2]).open(newline="") as file:
        rows = list(csv.reader(file))
    assert rows == [
        ["path", "reason"],
        ["train.json: train-000.png", "its picture 'train-000.png' is missing"],
    ]
    assert len(list(league.folder.glob("quarantine-*.csv"))) == 2
    assert len(list((league.folder / "rotation-0").glob("quarantine-*.csv"))) == 2

"""Detection is a column of a league, beside classification, from real cells in this process."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any, ClassVar

import pytest

from hotstart import api
from hotstart.downstream.detector import DetectorSettings
from hotstart.downstream.detector_training import DetectSettings
from hotstart.league.compare import run_league
from hotstart.league.predictions import load_predictions
from hotstart.league.settings import check
from hotstart.report.page import write_report
from tests.boxed import write_coco
from tests.league.test_compare import Pretence


class Here(Pretence):
    """Runs every cell at once, in this process."""

    functions: ClassVar[dict[str, Callable[..., Any]]] = {
        "pretrain": api.pretrain,
        "evaluate": api.evaluate,
    }


@pytest.mark.slow
def test_a_league_on_two_downstream_tasks(
    class_folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    squares = tmp_path / "squares"
    write_coco(squares, {"train": 8, "val": 6})
    quick = DetectSettings(steps=2, batch_size=2, detector=DetectorSettings(size_px=64))
    monkeypatch.setattr("hotstart.downstream.detect.DetectSettings", lambda: quick)
    asked = check(
        {
            "data": str(class_folder),
            "tasks": ["rotation"],
            "on": ["classify", f"detect={squares}"],
            "seeds": [0],
            "steps": 2,
            "batch_size": 16,
            "protocols": ["knn", "linear"],
            "labels": [1.0],
            "stages": False,
        }
    )
    found = run_league(asked, tmp_path / "league", executor=Here())
    assert found.problems == {}
    assert found.statistics is not None
    told = {
        (a.downstream, a.metric): [c.protocol for c in a.columns] for a in found.statistics.arenas
    }
    assert told == {
        ("classify", "top1"): ["knn", "linear"],
        ("detect", "ap"): ["linear"],
        ("detect", "ap50"): ["linear"],
        ("detect", "ap75"): ["linear"],
    }
    columns = found.statistics.agreement.columns
    assert sum("detect" in name for name in columns) == 1, "ranked by one metric alone"
    (arena,) = (a for a in found.statistics.arenas if a.metric == "ap")
    assert {one.task for one in arena.columns[0].standings} == {"random", "rotation", "supervised"}
    (rotation,) = (one for one in arena.columns[0].standings if one.task == "rotation")
    assert rotation.control == "random"
    assert rotation.items == 6, "the interval resamples pictures"
    run = tmp_path / "league" / "rotation-0"
    record = next(r for r in found.records if r.task == "rotation" and r.metric == "ap")
    assert load_predictions(run, record).value("ap") == record.value
    assert list((run / "panels").glob("detect-linear-1-*.png"))
    again = Here()
    run_league(asked, tmp_path / "league", executor=again)
    assert again.ran == [], "what is finished is not done again"
    page = write_report(tmp_path / "league").read_text()
    assert "/squares: linear, 100 % of the labels" in page

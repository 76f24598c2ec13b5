"""A league of several downstream data sets: what its columns are, and what ranks the tasks."""

from __future__ import annotations

from dataclasses import asdict
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from hotstart.config import PretrainSettings
from hotstart.errors import UsageError
from hotstart.league.contenders import Contender
from hotstart.league.plan import make_plan
from hotstart.league.records import write_records
from hotstart.league.settings import League, check, read_league
from hotstart.league.summary import league_statistics
from hotstart.league.table import arenas_of, heads, markdown, overview, rows
from hotstart.report.agreement import agreement
from hotstart.report.reading import read
from hotstart.report.runs import read_runs
from hotstart.report.table import tables
from tests.report.fake_runs import record

TASKS = ("rotation", "simclr", "jigsaw", "random")
MEASURED = {
    ("classify", "linear", "top1"): (0.5, 0.7, 0.6, 0.4),
    ("action", "linear", "top1"): (0.8, 0.7, 0.6, 0.5),
    ("action", "linear", "top1_one_frame"): (0.51, 0.52, 0.53, 0.54),
    ("action", "knn", "recall1"): (0.7, 0.8, 0.6, 0.5),
    ("action", "knn", "recall5"): (0.9, 0.8, 0.99, 0.9),
}
"""Of each task, in their order."""


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    found = [
        record(
            task,
            seed,
            downstream=downstream,
            protocol=protocol,
            metric=metric,
            value=value + seed / 100,
            data="photos" if downstream == "classify" else "videos",
            data_fingerprints={"evaluate": downstream},
        )
        for (downstream, protocol, metric), values in MEASURED.items()
        for task, value in zip(TASKS, values, strict=True)
        for seed in (0, 1)
    ]
    write_records(tmp_path / "results.jsonl", found)
    return tmp_path


def test_one_metric_of_each_protocol_ranks(folder: Path) -> None:
    statistics = league_statistics(folder)
    columns = [
        "classify photos val top1 linear 1",
        "action videos val top1 linear 1",
        "action videos val recall1 knn 1",
    ]
    assert statistics.agreement.columns == columns == list(statistics.ranked)
    assert statistics.mean_rank == pytest.approx({"simclr": 4 / 3, "rotation": 2, "jigsaw": 8 / 3})
    # Orders: simclr jigsaw rotation; rotation simclr jigsaw; simclr rotation jigsaw.
    assert statistics.agreement.tau[0] == pytest.approx([1, -1 / 3, 1 / 3])
    assert [arena.metric for arena in statistics.arenas][-2:] == ["top1_one_frame", "recall5"]


def test_the_table_has_all_columns_and_one_frame_beside_its_video(folder: Path) -> None:
    statistics = asdict(league_statistics(folder))
    (_, _, reached), (_, _, taus) = overview(statistics)
    assert reached[0] == ["simclr", "1.33", "0.705", "0.705", "0.805"]
    assert [row[0] for row in reached] == ["simclr", "rotation", "jigsaw"]
    assert taus[0] == ["1 classify photos val top1 linear 1", "+1.00", "-0.33", "+0.33"]
    shown = {(arena["downstream"], arena["metric"]): arena for arena in arenas_of(statistics)}
    assert list(shown) == [
        ("classify", "top1"),
        ("action", "top1"),
        ("action", "recall1"),
        ("action", "recall5"),
    ]
    action = shown["action", "top1"]
    assert "one frame" in heads(action)
    at = heads(action).index("one frame")
    assert [row[at] for row in rows(action)] == ["0.515", "0.525", "0.535", "0.545"]
    assert "one frame" not in heads(shown["classify", "top1"])
    text = markdown(statistics)
    assert text.startswith("All columns: mean rank")
    for arena in shown.values():
        assert all(len(row) == len(heads(arena)) for row in rows(arena))


def test_one_data_set_has_no_overview(folder: Path) -> None:
    statistics = asdict(league_statistics(folder))
    statistics["arenas"] = [a for a in statistics["arenas"] if a["downstream"] == "action"]
    assert overview(statistics) == []


def test_the_report_shows_every_column(folder: Path) -> None:
    reading = read(read_runs(folder))
    found = tables(reading)
    assert len({table.title for table in found}) == len(found) == 4
    of_videos = [table for table in found if table.of_videos]
    assert [table.title for table in of_videos] == [
        "Action recognition on videos, validation split"
    ]
    assert of_videos[0].rows[0].cells[0].one_frame == "51.5"
    matrix = agreement(reading)
    assert matrix is not None
    assert len(matrix.columns) == 3
    assert [one.name for one in matrix.ranked] == ["simclr", "rotation", "jigsaw"]


def test_a_label_is_for_tables(tmp_path: Path) -> None:
    table = tmp_path / "labels.csv"
    table.touch()
    given: dict[str, Any] = {"tasks": ["rotation"], "steps": 1, "label": "verb"}
    asked = check({**given, "data": str(tmp_path), "on": ["classify", f"action={table}"]})
    assert asked.label_of(str(tmp_path)) is None
    assert asked.label_of(str(table), "action") == "verb"
    assert asked.label_of(str(table), "detect") is None
    # Whoever gives a column for folders alone is told so when they are opened.
    assert check({**given, "data": str(tmp_path)}).label_of(str(tmp_path)) == "verb"


def test_who_has_no_map_takes_no_part_where_one_is_needed(tmp_path: Path) -> None:
    on = ["classify=a", "action=b", "segment=c", "detect=d"]
    asked = check({"data": "a", "tasks": ["rotation"], "on": on, "steps": 1, "seeds": [0]})
    field = {
        name: Contender(
            name,
            PretrainSettings(
                data="a", task="random", encoder=encoder, size=32, stem="timm", batch_size=8
            ),
            1,
        )
        for name, encoder in (
            ("pictures", "resnet10_narrow"),
            ("clips", "r3d10_narrow"),
            ("pca", "pixel_components"),
        )
    }
    datasets: dict[str, Any] = {
        key: SimpleNamespace(fingerprint=key) for key in ("a", "b", "segment=c", "detect=d")
    }
    plan = make_plan(League(asked, steps=dict.fromkeys(field, 1)), tmp_path, field, datasets)
    kinds: dict[str, list[str]] = {}
    for evaluation in plan.evaluations:
        kinds.setdefault(evaluation.run.name, []).append(evaluation.arguments["on"])
    assert kinds == {
        "pictures-0": ["classify", "action", "segment", "detect"],
        "clips-0": ["classify", "action"],
        "pca-0": ["classify", "action"],
    }


def test_an_evaluation_may_name_its_own_protocols(tmp_path: Path) -> None:
    on = ["classify=a", "segment@linear,finetune=c", "detect@finetune=x@y", "classify@knn=d=e"]
    asked = check({"data": "a", "tasks": ["rotation"], "on": on, "steps": 1, "seeds": [0]})
    assert [tuple(one) for one in asked.evaluations] == [
        ("classify", "a", ("knn", "linear")),
        ("segment", "c", ("linear", "finetune")),
        ("detect", "x@y", ("finetune",)),
        ("classify", "d=e", ("knn",)),
    ]
    settings = PretrainSettings(
        data="a", task="random", encoder="resnet10_narrow", size=32, stem="timm", batch_size=8
    )
    others = {"task": "rotation"}
    field = {
        "random": Contender("random", settings, 1),
        "rotation": Contender("rotation", settings.model_copy(update=others), 1),
    }
    keys = ("a", "segment=c", "detect=x@y", "d=e")
    datasets: dict[str, Any] = {key: SimpleNamespace(fingerprint=key) for key in keys}
    league = League(asked, steps=dict.fromkeys(field, 1))
    plan = make_plan(league, tmp_path, field, datasets)
    told = {(e.run.name, e.arguments["data"]): e.arguments["protocols"] for e in plan.evaluations}
    assert told == {
        ("random-0", "a"): ["knn", "linear"],
        ("random-0", "c"): ["linear", "scratch"],
        ("random-0", "x@y"): ["scratch"],
        ("random-0", "d=e"): ["knn"],
        ("rotation-0", "a"): ["knn", "linear"],
        ("rotation-0", "c"): ["linear", "finetune"],
        ("rotation-0", "x@y"): ["finetune"],
        ("rotation-0", "d=e"): ["knn"],
    }
    for evaluation in plan.evaluations:
        asked_for = {question[2] for question in evaluation.questions}
        assert asked_for == set(evaluation.arguments["protocols"])
    league.write(tmp_path)
    assert read_league(tmp_path).asked == asked


def test_the_labels_of_the_data_itself_have_protocols_too() -> None:
    asked = check({"data": "a", "tasks": ["rotation"], "on": ["classify@finetune"], "steps": 1})
    assert [tuple(one) for one in asked.evaluations] == [("classify", "a", ("finetune",))]


@pytest.mark.parametrize(
    ("on", "told"),
    [
        (["segment@knn=c"], "segment is measured by linear, finetune; asked was knn"),
        (["segment@linear,knn=c"], "asked was linear, knn"),
        (["classify@finetun=c"], "asked was finetun"),
        (["detect@=c"], "detect is measured by linear, finetune"),
        (["detect@scratch=c"], "`scratch` comes with `finetune`"),
        (["clasify@knn=c"], "nearest: classify"),
        (["classify@knn=c", "classify@linear=c"], "name its protocols together"),
    ],
)
def test_protocols_that_an_evaluation_does_not_know_are_refused(on: list[str], told: str) -> None:
    with pytest.raises(UsageError, match=told):
        check({"data": "a", "tasks": ["rotation"], "on": on, "steps": 1})

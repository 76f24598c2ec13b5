"""Variants of a task's settings as contenders of a league, and what their records tell."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from hotstart.arguments import parse_sweep
from hotstart.config import PretrainSettings, parse
from hotstart.errors import UsageError
from hotstart.league.asked import asked_for
from hotstart.league.contenders import variants
from hotstart.league.difficulty import sweeps
from hotstart.league.records import Record, read_records
from hotstart.league.settings import check, read_league
from hotstart.league.variants import (
    changed,
    full_name,
    in_order,
    read_variant,
    value_in,
    write_variant,
)
from hotstart.training.folder import ENCODER, write_settings

from .test_compare import ASKED, Pretence, league

INPAINTING: dict[str, Any] = {"tasks": ["inpainting"], "seeds": [0]}


def test_sweeps_are_read_as_settings_are() -> None:
    words = [
        "jigsaw.permutations=2, 10,1000",
        "jigsaw.guard=true,false",
        "my.package:Task.view.crop_scale=[0.2,1.0],[0.5,1.0]",
        'inpainting.position=random,"a,b"',
        "jigsaw.permutations=5",
    ]
    assert parse_sweep(words) == {
        "jigsaw": {"permutations": [2, 10, 1000, 5], "guard": [True, False]},
        "my.package:Task": {"view.crop_scale": [[0.2, 1.0], [0.5, 1.0]]},
        "inpainting": {"position": ["random", "a,b"]},
    }


@pytest.mark.parametrize(
    "words", ["jigsaw", "jigsaw=2", "jigsaw.=2", ".p=2", "jigsaw.p=", "j.p=2,,3"]
)
def test_a_sweep_without_task_name_or_values_is_told(words: str) -> None:
    with pytest.raises(UsageError, match=r"task\.name=value,value"):
        parse_sweep([words])


@pytest.mark.parametrize(
    ("sweep", "told"),
    [
        ({"jigsaw": {"permutations": [2]}}, "the tasks here are rotation, simclr"),
        ({"random": {"permutations": [2]}}, "a control is the same for all"),
        ({"rotation+simclr": {"temperature": [2]}}, "one task by itself"),
        ({"simclr": {"temprature": [2]}}, "nearest: temperature"),
        ({"simclr": {"temperature": []}}, "no values"),
        ({"simclr": {"temperature": [0.1, 0.2, 0.1]}}, "temperature=0.1 more than once"),
        ({"simclr": {"view": [{"flip": 0}]}}, "is no value to sweep over"),
        ({"simclr": {"temperature": [None]}}, "null is no value"),
        ({"simclr": {"temperature": [{1, 2}]}}, "values are numbers, text"),
        ({"simclr": [1]}, "sweep"),
    ],
)
def test_a_wrong_sweep_is_answered_before_anything_is_opened(sweep: Any, told: str) -> None:
    with pytest.raises(UsageError, match=told):
        check({**ASKED, "data": "/nowhere", "sweep": sweep})


def test_values_that_a_variant_is_written_with_are_read_back() -> None:
    for value in (10, 0.03125, 1000, False, "centre", [0.2, 1.0], "a=b"):
        assert read_variant(write_variant("view.flip", value)) == ("view.flip", value)
    assert full_name("jigsaw", "permutations=10") == "jigsaw, permutations=10"
    assert full_name("jigsaw", None) == "jigsaw"
    assert in_order([1000, 2, 10.5, 2]) == [2, 10.5, 1000]
    assert in_order([True, False, "b"]) == ["b", False, True]
    assert changed({"a": 1, "view": {"flip": 0, "grey": 1}}, "view.flip", 0.5) == {
        "a": 1,
        "view": {"flip": 0.5, "grey": 1},
    }
    assert value_in({"view": {"flip": 0}}, "view.flip") == 0
    assert value_in({"view": 3}, "view.flip") is None


def names(task: str, sweep: dict[str, Any], own: dict[str, Any] | None = None) -> list[str]:
    values = {**ASKED, "data": "x", "tasks": [task], "sweep": {task: sweep}}
    asked = check({**values, "task_settings": {task: own} if own else {}})
    return [one.name for one in variants(asked, task)]


def test_the_value_that_a_task_has_anyway_is_no_second_contender() -> None:
    assert names("inpainting", {"hidden": [0.1, 0.25, 0.5]}) == ["hidden=0.1", "hidden=0.5"]
    own = {"hidden": 0.5}
    assert names("inpainting", {"hidden": [0.1, 0.25, 0.5]}, own) == ["hidden=0.1", "hidden=0.25"]
    assert names("inpainting", {"position": ["random", "centre"]}) == ["position=centre"]
    assert names("rotation", {"all_four": [True, False]}) == ["all_four=false"]
    assert names("rotation", {"view.crop_scale": [(0.1, 1.0)]}) == ["view.crop_scale=[0.1, 1.0]"]


def test_values_that_the_task_takes_for_one_are_one() -> None:
    assert names("inpainting", {"overlap_weight": [3, 3.0]}) == ["overlap_weight=3.0"]


def test_each_sweep_changes_one_setting_alone() -> None:
    own = {"view": {"flip": 0.0}}
    sweep = {"view.grey": [0.3], "hidden": [0.1]}
    values = {**ASKED, "data": "x", "tasks": ["inpainting"], "task_settings": {"inpainting": own}}
    found = variants(check({**values, "sweep": {"inpainting": sweep}}), "inpainting")
    assert [one.own for one in found] == [
        {"view": {"flip": 0.0, "grey": 0.3}},
        {"view": {"flip": 0.0}, "hidden": 0.1},
    ]


def test_a_league_with_a_sweep(class_folder: Path, tmp_path: Path) -> None:
    executor, sweep = Pretence(), {"inpainting": {"hidden": [0.1, 0.25, 0.5]}}
    folder = tmp_path / "league"
    found = league(class_folder, folder, executor, **INPAINTING, sweep=sweep)
    runs = ["random", "inpainting", "inpainting-hidden=0.1", "inpainting-hidden=0.5", "supervised"]
    assert executor.ran == [n for r in runs for n in (f"{r}-0", f"{r}-0-classify")]
    assert found.problems == {}
    told = {(r.task, r.variant, r.downstream) for r in found.records}
    who: list[tuple[str, str | None]] = [("random", None), ("supervised", None)]
    who += [("inpainting", one) for one in (None, "hidden=0.1", "hidden=0.5")]
    assert told == {(*one, on) for one in who for on in ("classify", "pretext")}
    assert read_league(folder).variants == {"inpainting": ["hidden=0.1", "hidden=0.5"]}
    for line in (folder / "results.jsonl").read_text().splitlines():
        assert "variant" in json.loads(line), "every key always there"

    statistics = json.loads((folder / "statistics.json").read_text())
    (swept,) = statistics["difficulty"]
    assert (swept["task"], swept["setting"], swept["metric"]) == (
        "inpainting",
        "hidden",
        "accuracy",
    )
    points = [(point["value"], point["variant"]) for point in swept["points"]]
    assert points == [(0.1, "hidden=0.1"), (0.25, None), (0.5, "hidden=0.5")]
    standings = statistics["arenas"][0]["columns"][0]["standings"]
    gains = {(one["task"], one["variant"]): one["gain"] for one in standings}
    for point in swept["points"]:
        assert (point["pretext"], point["trivial"], point["n"]) == (0.5, 0.25, 1)
        assert [one["gain"] for one in point["gains"]] == [gains["inpainting", point["variant"]]]
    text = (folder / "table.md").read_text()
    assert "| inpainting, hidden=0.1 |" in text
    assert "| 0.25 (plain) | 0.5 | 0.25 |" in text
    assert statistics["mean_rank"] == {"inpainting": 1.0}

    again = Pretence()
    league(class_folder, folder, again, **INPAINTING, sweep=sweep)
    assert again.ran == []
    with pytest.raises(UsageError, match="sweep is"):
        league(class_folder, folder, Pretence(), **INPAINTING)


def test_difficulty_is_told_by_the_headline_and_not_by_what_stands_beside_it() -> None:
    """Of `deep_cluster` by its accuracy, whatever its clusterings agree on."""
    records = [
        Record(
            *("deep_cluster", "resnet10_narrow", "x", "pretext", None, None, None, "heldout", seed),
            *(metric, value, 0.0, f"clusters={clusters}"),
        )
        for clusters in (10, 20)
        for seed in (0, 1)
        for metric, value in (("accuracy", clusters / 100), ("nmi", 0.7))
        if metric == "accuracy" or clusters == 20
    ]
    (swept,) = sweeps(records, [])
    assert swept.metric == "accuracy"
    assert [(one.value, one.pretext, one.n) for one in swept.points] == [(10, 0.1, 2), (20, 0.2, 2)]


def test_known_records_are_told_as_this_league_tells_them(
    class_folder: Path, tmp_path: Path
) -> None:
    """What one league asked by `--set`, another sweeps: the same runs under other names."""
    old, new = tmp_path / "old", tmp_path / "new"
    own = {"inpainting": {"hidden": 0.5}}
    league(class_folder, old, Pretence(), **INPAINTING, task_settings=own)
    lines = [json.loads(line) for line in (old / "results.jsonl").read_text().splitlines()]
    for line in lines:  # as an older version wrote them
        line.pop("variant")
        line["detail"].pop("settings", None)
    (old / "results.jsonl").write_text("".join(json.dumps(line) + "\n" for line in lines))
    executor, sweep = Pretence(), {"inpainting": {"hidden": [0.25, 0.5]}}
    known = [old / "results.jsonl"]
    found = league(class_folder, new, executor, **INPAINTING, sweep=sweep, known=known)
    assert executor.ran == ["inpainting-0", "inpainting-0-classify"]
    assert {r.variant for r in found.records if r.task == "inpainting"} == {None, "hidden=0.5"}
    assert found.statistics is not None
    (swept,) = found.statistics.difficulty
    assert [(point.value, point.n, len(point.gains)) for point in swept.points] == [
        (0.25, 1, 1),
        (0.5, 1, 1),
    ]
    (back,) = league(
        class_folder, tmp_path / "back", Pretence(), **INPAINTING, task_settings=own, known=known
    ).statistics.arenas  # type: ignore[union-attr]
    assert {one.variant for one in back.columns[0].standings} == {None}


def test_a_value_that_the_task_refuses_is_told_and_the_others_go_on(
    class_folder: Path, tmp_path: Path
) -> None:
    folder = tmp_path / "league"
    sweep = {"inpainting": {"hidden": [2, 0.5], "position": ["left"]}}
    found = league(class_folder, folder, Pretence(), **INPAINTING, sweep=sweep)
    assert set(found.problems) == {"inpainting-hidden=2", "inpainting-position=left"}
    assert "got 2" in found.problems["inpainting-hidden=2"]
    assert {r.variant for r in found.records} == {None, "hidden=0.5"}


def test_values_that_no_file_name_holds_have_folders_of_their_own(
    class_folder: Path, tmp_path: Path
) -> None:
    sweep = {"rotation": {"view.crop_scale": [[0.1, 1], [0.1, 0.9]], "view.flip": [0.25]}}
    executor = Pretence()
    asked = {**INPAINTING, "tasks": ["rotation"], "sweep": sweep}
    found = league(class_folder, tmp_path / "league", executor, **asked)
    folders = [
        name for name in executor.ran if name.startswith("rotation") and "classify" not in name
    ]
    assert folders == [
        "rotation-0",
        "rotation-view.crop_scale=_0.1__1.0_-0",
        "rotation-view.crop_scale=_0.1__0.9_-0",
        "rotation-view.flip=0.25-0",
    ]
    told = {r.variant for r in found.records if r.task == "rotation"}
    assert "view.crop_scale=[0.1, 1.0]" in told
    assert len(told) == 4


def test_older_records_have_no_variant(tmp_path: Path) -> None:
    values = dict.fromkeys(
        ("task", "encoder", "data", "downstream", "protocol", "stage", "split", "metric"), "x"
    )
    line = json.dumps({**values, "labels": 1.0, "seed": 0, "value": 0.5, "chance": None})
    (tmp_path / "results.jsonl").write_text(line + "\n")
    (record,) = read_records(tmp_path / "results.jsonl")
    assert isinstance(record, Record)
    assert record.variant is None


def test_a_gallery_takes_the_plain_contender_s_run_of_a_league(tmp_path: Path) -> None:
    told = {"data": "x", "encoder": "y", "size": 32, "stem": "small", "batch_size": 2}
    for name, variant in (("a-swept", "hidden=0.5"), ("b-plain", None), ("c-plain", None)):
        (tmp_path / name).mkdir()
        settings = {**told, "task": "inpainting", "variant": variant}
        write_settings(tmp_path / name, parse(PretrainSettings, settings, "test"))
    (tmp_path / "a-swept" / ENCODER).touch()
    assert [one.name for one in asked_for(["inpainting"], [tmp_path])] == [
        f"{tmp_path.name}/a-swept"
    ], "finished"
    (tmp_path / "c-plain" / ENCODER).touch()
    assert [one.name for one in asked_for(["inpainting"], [tmp_path])] == [
        f"{tmp_path.name}/c-plain"
    ]

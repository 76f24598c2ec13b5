"""Several tasks at once, and the controls that are asked for, in runs and in a league."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from hotstart import api
from hotstart.config import Protocol
from hotstart.errors import UsageError
from hotstart.league.kinds import DOWNSTREAM
from hotstart.league.records import read_records
from hotstart.training.folder import load_run
from tests.league.test_compare import Pretence, league

BOTH = "rotation+simclr"


@pytest.fixture(scope="module")
def run(class_folder: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    out = tmp_path_factory.mktemp("runs") / "both"
    settings: dict[str, dict[str, Any]] = {
        "rotation": {"all_four": False},
        "simclr": {"hidden": 32},
    }
    return api.pretrain(
        str(class_folder), task=BOTH, steps=3, batch_size=16, out=out, task_settings=settings
    )


def test_each_task_has_a_record(run: Path) -> None:
    records = read_records(run / "results.jsonl")
    assert [record.metric for record in records] == ["rotation.accuracy", "simclr.positive_first"]
    assert {record.task for record in records} == {BOTH}
    assert len({record.settings_hash for record in records}) == 1
    assert all(record.chance is not None for record in records)
    assert load_run(run).task_settings["simclr"] == {"hidden": 32}
    panels = {path.stem for path in (run / "panels").glob("*.png")}
    assert {"rotation", "simclr-views", "simclr-neighbours"} <= panels


def test_its_checkpoint_is_rebuilt_and_scored_alike(run: Path) -> None:
    before = {r.metric: r.value for r in read_records(run / "results.jsonl")}
    again = api.evaluate(run, on="pretext")
    assert {record.metric: record.value for record in again} == before


def test_report_and_gallery_show_all_of_them(run: Path, class_folder: Path, tmp_path: Path) -> None:
    told = api.report(run).read_text(encoding="utf-8")
    assert "accuracy of rotation" in told
    assert "positive ranked first of simclr" in told
    page = api.gallery(class_folder, tasks=[BOTH], runs=[run], out=tmp_path / "gallery.html")
    told = page.read_text(encoding="utf-8")
    assert "Which way is it turned?" in told
    assert "Two views of one picture" in told
    assert "positive ranked first of simclr" in told


def test_settings_of_another_task_are_an_error_before_anything_is_made(tmp_path: Path) -> None:
    out = tmp_path / "run"
    with pytest.raises(UsageError, match=r"--set byol\.…: this run's tasks are 'rotation', 'simcl"):
        api.pretrain("digits:", task=BOTH, out=out, task_settings={"byol": {"hidden": 3}})
    with pytest.raises(UsageError, match="simclr has no setting 'tau'"):
        api.pretrain("digits:", task=BOTH, out=out, task_settings={"simclr": {"tau": 3}})
    with pytest.raises(UsageError, match="names simclr more than once"):
        api.pretrain("digits:", task="simclr+simclr", out=out)
    assert not out.exists()


def test_a_league_of_controls_and_composites(class_folder: Path, tmp_path: Path) -> None:
    tasks = ["kmeans", "rotation", BOTH, "weakly_supervised", "pca"]
    found = league(
        class_folder,
        tmp_path / "league",
        Pretence(),
        tasks=tasks,
        seeds=[0],
        encoder="resnet10_narrow",
        task_settings={"rotation": {"all_four": False}, "weakly_supervised": {"noise": 0.2}},
    )
    assert found.problems == {}
    assert list(found.steps) == [
        *("random", "pca", "kmeans", "rotation", BOTH, "weakly_supervised", "supervised")
    ]
    assert found.steps["pca"] == 1
    folder = found.folder
    assert load_run(folder / "pca-0").encoder == "pixel_components"
    assert load_run(folder / "kmeans-0").encoder == "patch_centroids"
    assert load_run(folder / f"{BOTH}-0").task_settings == {"rotation": {"all_four": False}}
    assert (
        load_run(folder / "weakly_supervised-0").task_settings["weakly_supervised"]["noise"] == 0.2
    )
    assert found.statistics is not None
    (column,) = found.statistics.arenas[0].columns
    corrected = {one.task for one in column.standings if one.p_holm is not None}
    assert corrected == {"rotation", BOTH}
    assert next(one for one in column.standings if one.task == "pca").control is None


def test_what_cannot_learn_is_measured_frozen_in_a_league() -> None:
    asked: tuple[Protocol, ...] = ("knn", "linear", "finetune")
    kind = DOWNSTREAM["classify"]
    assert kind.protocols("pca", asked) == ("knn", "linear")
    assert kind.protocols("weakly_supervised", asked) == asked
    assert kind.protocols(BOTH, asked) == asked


@pytest.mark.slow
def test_the_floor_end_to_end(class_folder: Path, tmp_path: Path) -> None:
    """Fitted, written, read again, probed, beside random directions; in a report as a control."""
    run = api.pretrain(str(class_folder), task="kmeans", minutes=1, out=tmp_path / "kmeans")
    assert load_run(run).steps == 1
    records = api.evaluate(run, labels=(1.0,), controls=True)
    linear = {r.task: r.value for r in records if r.protocol == "linear"}
    assert set(linear) == {"kmeans", "random"}
    assert linear["kmeans"] > 0.9
    told = api.report(run).read_text(encoding="utf-8")
    assert "kmeans" in told
    with pytest.raises(UsageError, match="no weights that learn"):
        api.evaluate(run, protocols=("finetune",))

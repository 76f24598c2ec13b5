"""The commands as a user types them."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING, cast

import numpy as np
import pyarrow.parquet as pq
import pytest
import typer.main

from hotstart import api
from hotstart.arguments import parse_labels, parse_set
from hotstart.cli import app
from hotstart.errors import DataError, UsageError
from hotstart.league.records import read_records

if TYPE_CHECKING:
    import click


def hotstart(*words: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "hotstart", *words], capture_output=True, text=True, check=False
    )


@pytest.fixture(scope="module")
def run(class_folder: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    out = tmp_path_factory.mktemp("runs") / "rotation"
    return api.pretrain(str(class_folder), task="rotation", steps=6, batch_size=32, out=out)


@pytest.mark.parametrize(
    "words",
    [
        ("--help",),
        ("tasks",),
        ("tasks", "--json"),
        ("pretrain", "-x"),
        ("pretrain", "digits:", "--task", "simclr", "--set", "simclr.temprature=1"),
        ("pretrain", "digits:", "--task", "simclr+rotatoin"),
        ("pretrain", "digits:", "--task", "simclr+byol", "--set", "byol.temprature=1"),
        ("compare", "digits:", "--tasks", "simclr,simclr+byol", "--set", "rotation.view.flip=0"),
        ("compare", "--help"),
        ("compare", "digits:", "--tasks", "simclr", "--set", "simclr.temprature=1"),
        ("compare", "digits:", "--tasks", "simclr", "--sweep", "simclr.temprature=1,2"),
        ("race", "--help"),
        ("race", "digits:", "--tasks", "rotation,rotatoin"),
        ("race", "digits:", "--on", "classify=nope"),
        ("race", "digits:", "--labels", "1%,10%"),
        ("race", "nope"),
        ("gallery", "--help"),
        ("gallery", "digits:", "--tasks", "simclr,rotatoin"),
        ("gallery", "digits:", "--set", "simclr.temprature=1"),
        ("pretrain", "nope"),
        ("pretrain", "camera:nope?hz=5"),
        ("pretrain", "frames:nope"),
        ("pretrain", "digits:", "--size", "4"),
        ("compare", "nope", "--tasks", "simclr"),
        ("compare", "digits:", "--tasks", "simclr", "--on", "classify=nope"),
        ("evaluate", "runs/one", "--data", "nope"),
        ("embed", "runs/one", "nope", "-o", "features.parquet"),
        ("gallery", "nope"),
        ("export", "--help"),
        ("export", "runs/one", "--to", "pickle"),
        ("export", "runs/one", "--to", "onnx", "-o", "one.pt"),
        ("pretrain", "no-{00..03}.tar"),
    ],
)
def test_answers_without_torch(words: tuple[str, ...]) -> None:
    """What makes them fast: torch is not imported."""
    code = (
        "import sys\nfrom hotstart.cli import app\n"
        "from hotstart.errors import HotstartError\n"
        f"sys.argv = ['hotstart', *{list(words)!r}]\n"
        "try:\n    app()\nexcept (SystemExit, HotstartError):\n    pass\n"
        "assert 'torch' not in sys.modules"
    )
    subprocess.run([sys.executable, "-c", code], check=True, capture_output=True)


@pytest.mark.parametrize("command", ["pretrain", "evaluate", "compare", "gallery", "embed"])
def test_every_command_that_reads_data_can_be_told_how(command: str) -> None:
    params = cast("click.Group", typer.main.get_command(app)).commands[command].params
    options = {option for param in params for option in param.opts}
    assert {"--label", "--group", "--audio-offset-seconds"} <= options


def test_tasks_as_json() -> None:
    listed = json.loads(hotstart("tasks", "--json").stdout)
    assert {"rotation", "simclr", "random", "supervised"} <= {entry["name"] for entry in listed}
    for entry in listed:
        assert set(entry) == {"name", "family", "kind", "needs", "paper", "status"}
        assert entry["status"] in ("verified", "runs", "experimental")


@pytest.mark.parametrize(
    ("words", "told"),
    [
        (("pretrain", "digits:", "--task", "rotatoin"), "nearest: rotation"),
        (("pretrain", "/nowhere/at/all"), "/nowhere/at/all"),
        (("pretrain",), "no data"),
        (("pretrain", "digits:", "--steps", "3", "--minutes", "1"), "one budget at most"),
        (("pretrain", "digits:", "--task", "rotation", "--set", "rotation.al_four=1"), "all_four"),
        (("pretrain", "digits:", "--task", "rotation", "--set", "simclr.hidden=1"), "simclr"),
        (("pretrain", "digits:", "--set", "nonsense"), "task.name=value"),
        (("pretrain", "digits:", "--set", "simclr.temperature=-1"), "greater than 0"),
        (("pretrain", "digits:", "--encoder", "resnett18"), "resnet18"),
        (("pretrain", "digits:", "--config", "/no/such.toml"), "no such settings file"),
        (("pretrain", "--resume", "/nowhere"), "holds no run"),
        (("evaluate", "nothing", "--data", "digits:"), "nothing to evaluate"),
        (("gallery", "digits:", "--runs", "/no/such"), "is no folder"),
        (("evaluate", "random", "--data", "digits:", "--labels", "120%"), "100 %"),
        (("evaluate", "random", "--data", "digits:", "--protocol", "svm"), "knn, linear"),
        (("report", "/nowhere/at/all"), "/nowhere/at/all"),
        (("gallery", "digits:", "--tasks", "rotatoin"), "nearest: rotation"),
        (("gallery", "digits:", "--runs", "/nowhere/at/all"), "/nowhere/at/all"),
        (("gallery", "digits:", "--save", "made"), "inpainting"),
    ],
)
def test_usage_errors_are_one_sentence(words: tuple[str, ...], told: str) -> None:
    ended = hotstart(*words)
    assert ended.returncode == 2
    assert told in ended.stderr
    assert "Traceback" not in ended.stderr
    assert ended.stdout == ""


def test_run_folder_holds_what_it_should(run: Path) -> None:
    names = {path.name for path in run.iterdir()}
    assert {"encoder.safetensors", "run.toml", "results.jsonl", "log.jsonl"} <= names
    assert {"quarantine.csv", "panels", "checkpoint"} <= names
    (record,) = read_records(run / "results.jsonl")
    assert (record.task, record.downstream, record.metric) == ("rotation", "pretext", "accuracy")
    assert record.chance == 0.25
    assert record.budget["steps"] == 6
    assert record.budget["images"] == 6 * 32
    assert list((run / "panels").glob("*.png"))


def test_evaluate_prints_records_alone_and_keeps_them(run: Path) -> None:
    words = ("--protocol", "knn,linear", "--labels", "50%,100%", "--controls", "--json")
    ended = hotstart("evaluate", str(run), *words)
    assert ended.returncode == 0, ended.stderr
    records = json.loads(ended.stdout)
    assert {r["task"] for r in records} == {"rotation", "random"}
    assert {r["protocol"] for r in records} == {"knn", "linear"}
    assert {r["labels"] for r in records} == {0.5, 1.0}
    stages = {r["stage"] for r in records if r["protocol"] == "linear" and r["labels"] == 1.0}
    assert stages == {"last", 1, 2, 3, 4, 5}
    assert all(r["split"] == "val" and 0 <= r["value"] <= 1 for r in records)
    kept = [r for r in read_records(run / "results.jsonl") if r.downstream == "classify"]
    assert len(kept) == len(records)
    assert len(list((run / "predictions").glob("*.npz"))) == len(records)
    again = json.loads(hotstart("evaluate", str(run), *words).stdout)
    assert [r["value"] for r in again] == [r["value"] for r in records]
    kept = [r for r in read_records(run / "results.jsonl") if r.downstream == "classify"]
    assert len(kept) == len(records)


def test_evaluate_on_pretext_gives_the_runs_own_number(run: Path) -> None:
    own = next(r for r in read_records(run / "results.jsonl") if r.downstream == "pretext")
    (record,) = api.evaluate(run, on="pretext")
    assert record.value == pytest.approx(own.value)
    (other,) = api.evaluate(run, data="digits:", on="pretext")
    assert other.data == "digits:"
    assert other.chance == 0.25


def test_what_a_run_was_trained_on_is_never_guessed(run: Path, tmp_path: Path) -> None:
    copy = tmp_path / "copy"
    shutil.copytree(run, copy)
    (copy / "results.jsonl").unlink()
    with pytest.raises(DataError, match="not finished"):
        api.evaluate(copy, on="pretext")


def test_reading_the_test_split_is_written_down(run: Path) -> None:
    api.evaluate(run, protocols=("knn",), labels=(1.0,), split="test")
    reads = [line for line in (run / "log.jsonl").read_text().splitlines() if "test_read" in line]
    assert len(reads) == 1


def test_embed_writes_a_row_for_every_picture(
    run: Path, class_folder: Path, tmp_path: Path
) -> None:
    table = pq.read_table(api.embed(run, str(class_folder), tmp_path / "f.parquet"))
    assert table.num_rows == 240
    assert table.column_names == ["path", "split", "label", "h"]
    assert set(table["label"].to_pylist()) == {"cold", "warm"}
    features = np.stack(table["h"].to_pylist())
    assert features.shape == (240, 256)
    assert np.isfinite(features).all()


def test_report_of_a_run(run: Path) -> None:
    page = api.report(run)
    assert page.read_text(encoding="utf-8").startswith("<!doctype html>")


def test_a_run_is_never_overwritten(run: Path, class_folder: Path) -> None:
    with pytest.raises(UsageError, match="holds a run already"):
        api.pretrain(str(class_folder), task="rotation", steps=2, out=run)
    with pytest.raises(UsageError, match="no others"):
        api.pretrain(resume=run, steps=3)


def test_an_unfinished_run_says_how_to_go_on(run: Path, tmp_path: Path) -> None:
    unfinished = tmp_path / "run"
    unfinished.mkdir()
    (unfinished / "run.toml").write_text((run / "run.toml").read_text())
    with pytest.raises(DataError, match="--resume"):
        api.evaluate(unfinished)


def test_set_reaches_nested_settings_and_third_parties() -> None:
    assert parse_set(["rotation.all_four=false", "rotation.view.flip=0.0"]) == {
        "rotation": {"all_four": False, "view": {"flip": 0.0}}
    }
    assert parse_set(["my.package:Task.name=text"]) == {"my.package:Task": {"name": "text"}}
    assert parse_labels("1%,10%,1.0") == [0.01, 0.1, 1.0]


def test_nested_set_keeps_the_tasks_other_defaults(class_folder: Path, tmp_path: Path) -> None:
    from hotstart.pretext.context.rotation import RotationSettings
    from hotstart.training.folder import load_run

    change = {"rotation": {"view": {"flip": 0.0}}}
    out = tmp_path / "run"
    api.pretrain(str(class_folder), task="rotation", steps=1, out=out, task_settings=change)
    assert load_run(out).task_settings == change
    from hotstart.config import parse

    settings = parse(RotationSettings, change["rotation"], "rotation")
    assert settings.view.flip == 0.0
    assert settings.view.crop_scale == RotationSettings().view.crop_scale

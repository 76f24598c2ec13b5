"""Real pictures beside rendered ones, `--real`, in a league."""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner

from hotstart import api
from hotstart.cli import app
from hotstart.data import open_dataset
from hotstart.errors import UsageError
from hotstart.league.compare import run_league
from hotstart.league.pretraining import run_hash, settle
from hotstart.league.settings import check, read_league
from hotstart.training.folder import load_run
from tests.league.test_compare import Pretence

ADAPT = {"rendered": {"adapt": "adversarial"}}


@pytest.fixture(scope="module")
def rendered(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("world") / "rendered"
    return api.render("world:images?n=40&size=16&samples=1", folder, form="shards", processes=1)


def asked_of(rendered: Path, real: Path) -> dict[str, Any]:
    return {
        "data": str(rendered),
        "real": str(real),
        "tasks": ["rendered"],
        "sweep": {"rendered": {"adapt": ["none", "adversarial"]}},
        "on": [f"classify={real}"],
        "seeds": [0],
        "batch_size": 8,
        "minutes": 1.0,
    }


def test_with_and_without_the_adversary_meet_in_one_league(
    rendered: Path, class_folder: Path, tmp_path: Path
) -> None:
    photos, folder = tmp_path / "photos", tmp_path / "league"
    shutil.copytree(class_folder, photos)
    executor = Pretence()
    found = run_league(check(asked_of(rendered, photos)), folder, executor=executor)
    assert executor.ran[:2] == ["rendered-calibration", "rendered-adapt=adversarial-calibration"]
    own = {(r.task, r.variant): r for r in found.records if r.downstream == "pretext"}
    assert {("rendered", None), ("rendered", "adapt=adversarial"), ("random", None)} <= set(own)
    values = {
        **{name: str(one) for name, one in (("data", rendered), ("real", photos))},
        "task": "rendered",
        "task_settings": ADAPT,
        "steps": found.steps["rendered-adapt=adversarial"],
        "batch_size": 8,
    }
    pictures = open_dataset(rendered, size=None, real=photos)
    alone = settle(values, pictures)
    there = load_run(folder / "rendered-adapt=adversarial-0")
    assert there.real == str(photos)
    hashed = own["rendered", "adapt=adversarial"].settings_hash
    assert hashed == run_hash(alone, pictures.fingerprint), "as `pretrain --real` has it"
    assert hashed != run_hash(alone.model_copy(update={"real": None}), pictures.fingerprint)
    assert read_league(folder).asked.real == str(photos)
    (photos / "train" / "warm" / "000.png").unlink()
    with pytest.raises(UsageError, match=f"real={photos} changed since the league"):
        run_league(check(asked_of(rendered, photos)), folder, executor=Pretence())


def test_steps_are_timed_with_the_real_pictures(rendered: Path, class_folder: Path) -> None:
    asked = asked_of(rendered, class_folder)
    values = {name: asked[name] for name in ("data", "real", "batch_size")}
    steps = api.calibrate(task="rendered", minutes=0.001, task_settings=ADAPT, **values)
    assert steps >= 1


def test_the_command_passes_it_on(monkeypatch: pytest.MonkeyPatch) -> None:
    given: dict[str, Any] = {}

    def look(*data: str, **asked: Any) -> None:
        given.update(asked)
        raise UsageError("enough")

    monkeypatch.setattr(api, "compare", look)
    CliRunner().invoke(app, ["compare", "made/", "--tasks", "rendered", "--real", "photos/"])
    assert given["real"] == "photos/"

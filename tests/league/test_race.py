"""A race as a whole, on digits: small pictures, few steps, steps that need no timing."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest
import torch

import hotstart
from hotstart import api
from hotstart.cli import app
from hotstart.errors import TrainingError, UsageError
from hotstart.league import race as engine
from hotstart.league.halving import Plan, make_rungs
from hotstart.league.race import Finish
from hotstart.league.race_settings import read_race
from hotstart.pretext.context.rotation import Rotation
from hotstart.pretext.task import Progress, Step, Views
from hotstart.training import checkpoint
from hotstart.training.budget import Pace

STEPS = 10
TASKS = ("rotation", "autoencoder", "contours")
ASKED: dict[str, Any] = {"data": "digits:", "size": 16, "batch_size": 32, "tasks": TASKS}
HERE = "tests.league.test_race"


class Raises(Rotation):
    """Cannot go on after its second step."""

    def forward(self, views: Views, progress: Progress, player: str) -> Step:
        if progress.step == 2:
            raise ValueError("what nobody thought of")
        return super().forward(views, progress, player)


class NotFinite(Rotation):
    """Its loss is no number."""

    def forward(self, views: Views, progress: Progress, player: str) -> Step:
        step = super().forward(views, progress, player)
        return Step(step.loss * float("nan"), step.metrics, step.carry)


class Collapses(Rotation):
    """Its features are the same for every picture."""

    @torch.no_grad()
    def after_step(self, step: Step, progress: Progress) -> None:
        for weight in self.encoder.parameters():
            weight.zero_()


@pytest.fixture(autouse=True)
def few_steps(monkeypatch: pytest.MonkeyPatch) -> None:
    """Everyone's run has ten steps, and nobody is timed."""

    def plan(
        seconds: float,
        step_seconds: Mapping[str, float],
        beside_seconds: Mapping[str, float],
        finish_seconds: float,
        halving: int,
    ) -> Plan:
        return Plan(make_rungs(len(step_seconds), halving), dict.fromkeys(step_seconds, STEPS), ())

    monkeypatch.setattr(engine, "make_plan", plan)
    monkeypatch.setattr(engine, "pace_of", lambda *_: Pace(0.0, 0.1, 0.0))


@pytest.fixture(scope="module")
def ended(tmp_path_factory: pytest.TempPathFactory) -> Finish:
    """A race by rank, accuracy beside."""
    patch = pytest.MonkeyPatch()
    few_steps.__wrapped__(patch)  # type: ignore[attr-defined]
    out = tmp_path_factory.mktemp("race") / "race"
    found = hotstart.race(**ASKED, by="rank", on="classify", out=out)
    patch.undo()
    assert isinstance(found, Finish)
    return found


def test_the_best_by_rank_go_on_and_the_others_stop(ended: Finish) -> None:
    laps = {(lap.rung, lap.contender): lap for lap in ended.laps}
    assert list(laps) == [
        (0, "random"),
        *((1, task) for task in TASKS),
        *((2, lap.contender) for lap in ended.laps[-2:]),
    ]
    first = sorted(TASKS, key=lambda task: -(laps[1, task].judged.rank or 0))
    assert {lap.contender for lap in ended.laps if lap.rung == 2} == set(first[:2])
    second = sorted(first[:2], key=lambda task: -(laps[2, task].judged.rank or 0))
    assert ended.winner == second[0]
    assert {lap.steps for lap in ended.laps if lap.rung == 1} == {4}
    assert {lap.steps for lap in ended.laps if lap.rung == 2} == {STEPS}
    assert all(0 < (lap.judged.labels or 0) < 1 for lap in ended.laps)
    last = checkpoint.newest(ended.folder / first[2] / "checkpoint")
    assert last is not None
    assert checkpoint.load(last)["step"] == 4
    assert not (ended.folder / first[2] / "encoder.safetensors").exists()


def same_as_pretrained(ended: Finish, task: str, out: Path) -> bool:
    """Whether its encoder is, byte for byte, that of a run which never paused."""
    once = hotstart.pretrain(
        "digits:", task=task, size=16, batch_size=32, steps=STEPS, out=out / task
    )
    runs = (once, ended.folder / task)
    one, other = ((run / "encoder.safetensors").read_bytes() for run in runs)
    return one == other


def test_the_survivor_is_the_run_that_pretrain_gives(ended: Finish, tmp_path: Path) -> None:
    assert same_as_pretrained(ended, ended.winner, tmp_path)


@pytest.mark.slow
def test_so_is_a_loser_that_is_resumed(ended: Finish, tmp_path: Path) -> None:
    seen = {(lap.rung, lap.contender) for lap in ended.laps}
    loser = next(task for task in TASKS if (2, task) not in seen)
    assert hotstart.pretrain(resume=ended.folder / loser) == ended.folder / loser
    assert same_as_pretrained(ended, loser, tmp_path)


def test_the_winner_is_evaluated_and_shown_as_any_run(ended: Finish) -> None:
    (record,) = [
        record
        for record in hotstart.evaluate(ended.run, protocols=["knn"], labels=[0.1])
        if record.stage == "last"
    ]
    assert record.value == ended.best.judged.labels
    page = api.report(ended.folder).read_text(encoding="utf-8")
    assert all(task in page for task in TASKS)
    assert "RankMe of h, which decides" in page
    assert "Top-1 accuracy with few labels" in page
    assert "not finished" not in page


def test_given_again_it_has_nothing_left_to_do(ended: Finish) -> None:
    told: list[dict[str, Any]] = []
    again = hotstart.race(resume=ended.folder, listener=told.append)
    assert not [event for event in told if event["kind"] in ("lap_start", "finishing", "timing")]
    assert again.told() == ended.told()
    with pytest.raises(UsageError, match="holds another race: halving is 2 there, 3 here"):
        hotstart.race(**ASKED, by="rank", on="classify", halving=3, out=ended.folder)
    with pytest.raises(UsageError, match="give no others"):
        hotstart.race("digits:", resume=ended.folder)


@pytest.mark.parametrize(
    "when",
    [
        "told",
        *(pytest.param(w, marks=pytest.mark.slow) for w in ("timing", "lap_end", "finishing")),
    ],
)
def test_stopped_at_any_time_it_ends_the_same(ended: Finish, tmp_path: Path, when: str) -> None:
    """`told`: in the middle of a rung, of which a checkpoint has seen a part."""
    told: list[str] = []

    def stop(event: dict[str, Any]) -> None:
        told.append(event["kind"])
        if told.count(when) == (11 if when == "told" else 1):
            raise KeyboardInterrupt

    asked = {**ASKED, "by": "rank", "on": "classify", "out": tmp_path / "race"}
    with pytest.raises(KeyboardInterrupt):
        hotstart.race(**asked, checkpoint_seconds=1e-6, listener=stop)
    found = hotstart.race(**asked)
    own, other = ([{**lap.told(), "seconds": 0} for lap in one.laps] for one in (found, ended))
    assert own == other
    encoders = [(one.run / "encoder.safetensors").read_bytes() for one in (found, ended)]
    assert encoders[0] == encoders[1]


def test_who_fails_is_out_with_its_reason_and_the_race_goes_on(tmp_path: Path) -> None:
    broken = tuple(f"{HERE}:{name}" for name in ("Raises", "NotFinite", "Collapses"))
    asked = {**ASKED, "tasks": (*broken, "masked_autoencoder", "rotation"), "by": "labels"}
    found = hotstart.race(**asked, out=tmp_path)
    assert found.winner == "rotation"
    assert set(found.out) == {"Raises", "NotFinite", "Collapses"}
    assert "unexpected ValueError: what nobody thought of" in found.out["Raises"]
    assert "what nobody thought of" in (tmp_path / "logs" / "Raises.log").read_text()
    assert "The loss of" in found.out["NotFinite"]
    assert "has collapsed" in found.out["Collapses"]
    assert "trains a vit" in read_race(tmp_path).left_out["masked_autoencoder"]
    steps = {lap.contender: lap.steps for lap in found.laps}
    assert steps["Raises"] == 2
    assert steps["rotation"] == STEPS
    with pytest.raises(TrainingError, match=r"no contender .* is left: NotFinite: The loss"):
        hotstart.race(**{**ASKED, "tasks": broken[1:2]}, out=tmp_path / "none")


def test_json_alone_is_printed(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    words = ["race", "digits:", "--tasks", "rotation,contours", "--json"]
    own = ["--size", "16", "--batch-size", "32", "--out", str(tmp_path)]
    app([*words, *own], standalone_mode=False)
    told = json.loads(capsys.readouterr().out)
    assert told["winner"] in ("rotation", "contours")
    assert told["run"] == str(tmp_path / told["winner"])
    assert [lap["contender"] for lap in told["laps"]] == ["random", "rotation", "contours"]
    assert {type(lap["rank"]) for lap in told["laps"]} == {float}
    assert {lap["labels"] for lap in told["laps"]} == {None}


def test_people_are_told_who_won_and_whether_that_is_more_than_nothing(
    ended: Finish, capsys: pytest.CaptureFixture[str]
) -> None:
    app(["race", "--resume", str(ended.folder)], standalone_mode=False)
    said = capsys.readouterr()
    assert f"{ended.winner} wins by RankMe" in said.out
    assert ("nobody beats random" in said.out) == (not ended.beats_random)
    assert f"Run: {ended.run}" in said.out
    assert "3 tasks to 40%" in said.err

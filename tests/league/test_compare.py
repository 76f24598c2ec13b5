"""A league as a whole, its cells run by an executor that the test writes or by processes."""

from __future__ import annotations

import itertools
import json
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Any, ClassVar

import numpy as np
import pytest

from hotstart.config import PretrainSettings, parse
from hotstart.data import open_dataset
from hotstart.downstream.predictions import ClassPredictions
from hotstart.errors import UsageError
from hotstart.league.cell import Cell
from hotstart.league.compare import Comparison, run_league
from hotstart.league.evaluation import evaluation_hash
from hotstart.league.executor import Ended, Told
from hotstart.league.predictions import write_predictions
from hotstart.league.pretraining import pretext_record, run_hash
from hotstart.league.records import Record, write_records
from hotstart.league.settings import check, read_league
from hotstart.pretext.task import Score
from hotstart.training import folder as files

ASKED: dict[str, Any] = {
    "tasks": ["rotation", "simclr"],
    "seeds": [0, 1],
    "steps": 2,
    "batch_size": 32,
    "labels": [1.0],
    "protocols": ["knn"],
}


def pretend_pretrain(*, out: str, **values: Any) -> None:
    """Leave the files of a run that was not trained."""
    folder = Path(out)
    folder.mkdir()
    settings = parse(PretrainSettings, values, "test")
    files.write_settings(folder, settings)
    (folder / files.ENCODER).touch()
    record = pretext_record(
        settings,
        Score("accuracy", 0.5, 0.25, 300),
        data=settings.data,
        split="heldout",
        fingerprints={"pretrain": open_dataset(settings.data, size=None).fingerprint},
        budget={"steps": settings.steps, "seconds": 1.0},
    )
    write_records(folder / files.RESULTS, [record])


def pretend_evaluate(*, subject: str, data: str, seed: int, split: str, **asked: Any) -> None:
    """Records and predictions of 200 items, the same for the same run."""
    folder = Path(subject)
    settings = files.load_run(folder)
    pretrained, pictures = (open_dataset(d, size=None).fingerprint for d in (settings.data, data))
    rng = np.random.default_rng([seed, *f"{settings.task}{settings.variant or ''}".encode()])
    hashes, labels = np.arange(200, dtype=np.uint64), np.zeros(200, np.int64)
    for share, protocol in itertools.product(asked["labels"], asked["protocols"]):
        predicted = (rng.random(200) < 0.5).astype(np.int64)
        record = Record(
            task=settings.task,
            encoder=settings.encoder,
            data=data,
            downstream=asked["on"],
            protocol=protocol,
            stage="last",
            labels=share,
            split=split,
            seed=seed,
            metric="top1",
            value=float((predicted == labels).mean()),
            chance=0.5,
            variant=settings.variant,
            settings_hash=evaluation_hash(
                run_hash(settings, pretrained), seed, pictures, "classify", protocol
            ),
            data_fingerprints={"pretrain": pretrained, "evaluate": pictures},
        )
        write_predictions(folder, record, ClassPredictions(hashes, labels, predicted))
        write_records(folder / files.RESULTS, [record])


class Pretence:
    """An executor whose cells take no time; fail: names of those that fail.

    stop_after: Ctrl-C comes with the cell after so many
    """

    workers = 1
    functions: ClassVar[dict[str, Callable[..., Any]]] = {
        "pretrain": pretend_pretrain,
        "evaluate": pretend_evaluate,
        "calibrate": lambda **values: 40 + len(values["task"]),
    }

    def __init__(self, fail: set[str] | None = None, stop_after: int = 1000) -> None:
        self.ran: list[str] = []
        self._fail, self._stop_after = fail or set(), stop_after
        self._ended: list[Ended] = []

    def start(self, cell: Cell) -> None:
        if len(self.ran) == self._stop_after:
            raise KeyboardInterrupt
        self.ran.append(cell.name)
        failed = cell.name in self._fail
        arguments = json.loads(json.dumps(cell.arguments))  # a cell must be able to travel
        value = None if failed else self.functions[cell.function](**arguments)
        self._ended.append(Ended(cell.name, value, "planted" if failed else None))

    def wait(self) -> Told | Ended:
        return self._ended.pop()

    def stop(self) -> None:
        pass


def league(data: Path, folder: Path, executor: Pretence, **more: Any) -> Comparison:
    kept = {name: more.pop(name) for name in ("known", "listener") if name in more}
    asked = check({**ASKED, "data": str(data), **more})
    return run_league(asked, folder, executor=executor, **kept)


@pytest.fixture(scope="module")
def whole(class_folder: Path, tmp_path_factory: pytest.TempPathFactory) -> Comparison:
    """A league that nothing disturbed."""
    return league(class_folder, tmp_path_factory.mktemp("whole") / "league", Pretence())


def table(found: Comparison) -> list[tuple[Any, ...]]:
    """What the table shows, but for the time it took."""
    assert found.statistics is not None
    return [
        (column.protocol, column.labels, one.task, one.values, one.gain, one.low, one.high, one.p)
        for arena in found.statistics.arenas
        for column in arena.columns
        for one in column.standings
    ]


def test_the_whole_grid_with_its_controls(whole: Comparison) -> None:
    who = ("random", "rotation", "simclr", "supervised")
    assert whole.problems == {}
    assert whole.steps == dict.fromkeys(who, 2)
    measured = [r for r in whole.records if r.downstream == "classify"]
    assert Counter((r.task, r.seed) for r in measured) == Counter(
        (task, seed) for task in who for seed in (0, 1)
    )
    assert {r.split for r in measured} == {"val"}, "the test split is not read unasked"
    told = json.loads((whole.folder / "statistics.json").read_text())
    tasks = {one["task"]: one for one in told["arenas"][0]["columns"][0]["standings"]}
    assert tasks["simclr"]["resampled"] == "seeds and items"
    assert tasks["simclr"]["control"] == "random"
    assert (tasks["supervised"]["p_holm"], tasks["random"]["p"]) == (None, None)


def test_what_is_finished_is_never_run_again(class_folder: Path, whole: Comparison) -> None:
    again = Pretence()
    found = league(class_folder, whole.folder, again)
    assert again.ran == []
    assert table(found) == table(whole)


def test_stopped_anywhere_it_goes_on_and_gives_the_same_table(
    class_folder: Path, whole: Comparison, tmp_path: Path
) -> None:
    first, second = Pretence(stop_after=5), Pretence()
    with pytest.raises(KeyboardInterrupt):
        league(class_folder, tmp_path / "league", first)
    found = league(class_folder, tmp_path / "league", second)
    assert not set(first.ran) & set(second.ran)
    assert len(first.ran) + len(second.ran) == 16
    assert table(found) == table(whole)


def test_each_task_trains_the_first_encoder_that_it_can(class_folder: Path, tmp_path: Path) -> None:
    given = {"tasks": ["rotation", "masked_autoencoder"], "seeds": [0]}
    encoder = "resnet10_narrow,vit_narrow_depth4"
    found = league(class_folder, tmp_path / "two", Pretence(), **given, encoder=encoder)
    assert found.problems == {}
    assert {(r.task, r.encoder) for r in found.records if r.downstream == "classify"} == {
        *((task, "resnet10_narrow") for task in ("random", "rotation", "supervised")),
        *((task, "vit_narrow_depth4") for task in ("random", "masked_autoencoder", "supervised")),
    }
    one = league(class_folder, tmp_path / "one", Pretence(), **given, encoder="resnet10_narrow")
    assert "trains a vit" in one.problems["masked_autoencoder"]
    with pytest.raises(UsageError, match="vit_narow_depth4"):
        league(class_folder, tmp_path / "none", Pretence(), **given, encoder="vit_narow_depth4")


def test_a_cell_that_fails_is_told_and_the_others_go_on(
    class_folder: Path, whole: Comparison, tmp_path: Path
) -> None:
    events: list[dict[str, Any]] = []
    executor = Pretence(fail={"simclr-0", "rotation-1-classify"})
    found = league(class_folder, tmp_path / "league", executor, listener=events.append)
    assert set(found.problems) == {"simclr-0", "simclr-0-classify", "rotation-1-classify"}
    assert "not run" in found.problems["simclr-0-classify"]
    assert "planted" in found.problems["simclr-0"]
    assert "supervised-1-classify" in executor.ran
    assert [e["cell"] for e in events if e["kind"] == "cell_failed"] == [
        "simclr-0",
        "rotation-1-classify",
    ]
    mended = Pretence()
    again = league(class_folder, tmp_path / "league", mended)
    assert set(mended.ran) == set(found.problems)
    assert table(again) == table(whole)


def test_known_records_count_wherever_the_league_is(
    class_folder: Path, whole: Comparison, tmp_path: Path
) -> None:
    executor = Pretence()
    known = [whole.folder / "results.jsonl"]
    found = league(class_folder, tmp_path / "new", executor, known=known, seeds=[0, 1, 2])
    assert {name.split("-")[1] for name in executor.ran} == {"2"}
    assert len(executor.ran) == 8
    assert found.statistics is not None
    for one in found.statistics.arenas[0].columns[0].standings:
        assert sorted(one.values) == [0, 1, 2]
        assert one.resampled in (None, "seeds and items"), "predictions came along"


def test_known_records_that_answer_no_question_of_this_league_stay_out(
    class_folder: Path, whole: Comparison, tmp_path: Path
) -> None:
    known = [whole.folder / "results.jsonl"]
    found = league(class_folder, tmp_path / "new", Pretence(), known=known, protocols=["linear"])
    assert {r.protocol for r in whole.records} == {None, "knn"}
    assert {r.protocol for r in found.records} == {None, "linear"}


def test_a_rate_that_a_shorter_search_chose_is_not_known(
    class_folder: Path, whole: Comparison, tmp_path: Path
) -> None:
    lines = [json.loads(line) for line in (whole.folder / "results.jsonl").read_text().splitlines()]
    short = {"learning_rate": 1e-4, "trials": {"0.0001": 0.5, "0.0003": 0.4}}
    for line in lines:
        if line["protocol"] == "knn" and (line["task"], line["seed"]) == ("simclr", 1):
            line["detail"] = short
    told = tmp_path / "told.jsonl"
    told.write_text("".join(json.dumps(line) + "\n" for line in lines))
    executor = Pretence()
    league(class_folder, tmp_path / "new", executor, known=[told])
    assert executor.ran == ["simclr-1", "simclr-1-classify"]


def test_another_question_needs_another_folder(class_folder: Path, whole: Comparison) -> None:
    with pytest.raises(UsageError, match="steps is 2 there, 3 here"):
        league(class_folder, whole.folder, Pretence(), steps=3)


def test_minutes_are_measured_once_for_each_task(class_folder: Path, tmp_path: Path) -> None:
    folder = tmp_path / "league"
    asked = check({**ASKED, "steps": None, "minutes": 1.0, "data": str(class_folder)})
    first, second = Pretence(), Pretence()
    measured = run_league(asked, folder, calibrate_only=True, executor=first)
    assert set(first.ran) == {f"{t}-calibration" for t in ("rotation", "simclr", "supervised")}
    assert measured.records == []
    assert read_league(folder).steps == measured.steps
    run_league(asked, folder, calibrate_only=True, executor=second)
    assert second.ran == [], "written down and used again"
    assert measured.steps["rotation"] == 48
    assert measured.steps["random"] == 20, "nothing is learnt, nothing is timed"


def test_a_run_timed_before_is_not_timed_again(class_folder: Path, tmp_path: Path) -> None:
    """Its records would not count: another timing comes to another number of steps."""
    asked = {**ASKED, "data": str(class_folder), "seeds": [0], "tasks": ["rotation"]}
    old = run_league(check({**asked, "steps": 3}), tmp_path / "old", executor=Pretence())
    lines = [json.loads(line) for line in (old.folder / "results.jsonl").read_text().splitlines()]

    def known(seconds: float) -> list[Path]:
        for line in lines:
            line["budget"]["seconds"] = seconds
        file = tmp_path / f"{seconds}.jsonl"
        file.write_text("".join(json.dumps(line) + "\n" for line in lines))
        return [file]

    minute = check({**asked, "steps": None, "minutes": 1.0})
    again, other = Pretence(), Pretence()
    found = run_league(minute, tmp_path / "again", known=known(100), executor=again)
    assert again.ran == []
    assert found.steps["rotation"] == 3
    run_league(minute, tmp_path / "other", known=known(121), calibrate_only=True, executor=other)
    assert set(other.ran) == {"rotation-calibration", "supervised-calibration"}

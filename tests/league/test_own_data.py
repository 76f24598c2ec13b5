"""A run's own data are read as it was trained on them, and only what it held out is asked about."""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import Any, ClassVar

import numpy as np
import pytest
import torch
from PIL import Image

from hotstart import api
from hotstart.data import Dataset, open_dataset, pretraining_split
from hotstart.errors import DataError, UsageError
from hotstart.league.asked import asked_for
from hotstart.league.compare import run_league
from hotstart.league.gallery import Gallery, look
from hotstart.league.heldout import heldout_in
from hotstart.league.records import Record, read_records
from hotstart.league.settings import check
from hotstart.league.subject import reading_for
from hotstart.training.folder import HELDOUT, load_run
from tests.data.films import film
from tests.league.test_compare import Pretence

GROUP, OTHER_GROUP = r"^(day\d+)_", r"_(\d+)\.png$"
DAYS, HOURS, SIZE = 12, 8, 16
TASK = "tests.league.hearing:Loudness"
OFFSET = 0.2


@pytest.fixture(scope="module")
def photos(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """96 pictures of twelve days, eight of each."""
    folder = tmp_path_factory.mktemp("photos")
    rng = np.random.default_rng(0)
    for day in range(DAYS):
        for hour in range(HOURS):
            pixels = rng.integers(0, 256, (SIZE, SIZE, 3), dtype=np.uint8)
            Image.fromarray(pixels).save(folder / f"day{day:02d}_{hour}.png")
    return folder


def train(photos: Path, out: Path, **more: Any) -> Path:
    asked = {"task": "rotation", "steps": 2, "batch_size": 16, "size": SIZE, **more}
    return api.pretrain(str(photos), out=out, **asked)


@pytest.fixture(scope="module")
def run(photos: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Trained with whole days held out."""
    return train(photos, tmp_path_factory.mktemp("runs") / "days", group=GROUP)


def names(dataset: Dataset, items: Any) -> set[str]:
    return {dataset.path(int(item)) for item in items}


@pytest.fixture(scope="module")
def held(photos: Path) -> set[str]:
    """Names of what that run held out."""
    dataset = open_dataset(photos, size=SIZE, group=GROUP)
    return names(dataset, pretraining_split(dataset)[1])


def own(run: Path) -> list[Record]:
    return [r for r in read_records(run / "results.jsonl") if r.downstream == "pretext"]


def test_the_cut_depends_on_the_groups_and_the_run_tells_its_own(
    photos: Path, run: Path, held: set[str]
) -> None:
    plain = open_dataset(photos, size=SIZE)
    assert names(plain, pretraining_split(plain)[1]) != held
    items = heldout_in(run, plain)
    assert items is not None
    assert names(plain, items) == held
    assert (np.diff(plain.hashes[items].astype(float)) >= 0).all()
    lines = (run / HELDOUT).read_text().splitlines()
    assert [int(line, 16) for line in lines] == plain.hashes[items].tolist()


def test_on_pretext_gives_the_runs_own_number_without_saying_the_group_again(
    photos: Path, run: Path, tmp_path: Path
) -> None:
    (before,) = own(run)
    (record,) = api.evaluate(run, on="pretext")
    assert (record.value, record.split, record.key) == (before.value, "heldout", before.key)
    assert record.detail == before.detail
    assert len(own(run)) == 1
    moved = shutil.copytree(photos, tmp_path / "moved")
    for group in (None, OTHER_GROUP):
        (record,) = api.evaluate(run, data=str(moved), on="pretext", group=group)
        assert (record.value, record.split) == (before.value, "heldout")


def test_other_pictures_are_all_new(run: Path) -> None:
    (record,) = api.evaluate(run, data="digits:", on="pretext")
    assert record.split == "all"


def test_pictures_gone_or_added_since_leave_the_held_out_ones(
    photos: Path, run: Path, held: set[str], tmp_path: Path
) -> None:
    moved = shutil.copytree(photos, tmp_path / "moved")
    gone = min(held)
    (moved / gone).unlink()
    Image.new("RGB", (SIZE, SIZE), "red").save(moved / "new.png")
    dataset = open_dataset(moved, size=SIZE)
    items = heldout_in(run, dataset)
    assert items is not None
    assert names(dataset, items) == held - {gone}


def looked(data: Path, runs: list[Path], **told: Any) -> Gallery:
    asked = {"label": None, "group": None, "audio_offset_seconds": None, **told}
    return look(
        asked_for(["rotation", "inpainting"], runs),
        lambda side, run: open_dataset(data, size=side, **reading_for(run, str(data), **asked)),
        size=None,
        seed=0,
        device=torch.device("cpu"),
        task_settings={},
    )


def test_gallery_shows_what_every_run_held_out(
    photos: Path, run: Path, held: set[str], tmp_path: Path
) -> None:
    moved = shutil.copytree(photos, tmp_path / "moved")
    for data in (photos, moved):
        found = looked(data, [run])
        assert found.held_out
        assert found.pool == len(held)
        assert {name for _, name in found.shown} <= held
    plain = train(photos, tmp_path / "plain", task="inpainting")
    dataset = open_dataset(photos, size=SIZE)
    both = held & names(dataset, pretraining_split(dataset)[1])
    found = looked(photos, [run, plain])
    assert [scene.task for scene in found.scenes] == ["rotation", "inpainting"]
    assert found.pool == len(both)
    assert {name for _, name in found.shown} <= both
    elsewhere = next(i for i in range(len(dataset)) if dataset.path(i) not in held)
    (plain / HELDOUT).write_text(f"{dataset.hashes[elsewhere]:016x}\n")
    with pytest.raises(UsageError, match="nothing is new to all of them"):
        looked(photos, [run, plain])


def test_a_run_that_does_not_tell_is_refused_until_it_does(
    photos: Path, run: Path, tmp_path: Path
) -> None:
    old = shutil.copytree(run, tmp_path / "old")
    kept = (old / HELDOUT).read_text()
    (old / HELDOUT).unlink()
    with pytest.raises(DataError, match=f"{HELDOUT} is missing.*--resume"):
        api.evaluate(old, on="pretext")
    ((who, why),) = looked(photos, [old]).left_out
    assert who == "old"
    assert "--resume" in why
    (old / HELDOUT).write_text("nonsense\n")
    with pytest.raises(DataError, match="not one hexadecimal number a line"):
        api.evaluate(old, on="pretext")
    (old / HELDOUT).write_text("")
    with pytest.raises(DataError, match="held nothing out"):
        api.evaluate(old, on="pretext")
    api.pretrain(resume=old)
    assert (old / HELDOUT).read_text() == kept


def test_reading_is_the_runs_on_its_own_data_alone(
    photos: Path, run: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    settings = load_run(run).model_copy(update={"audio_offset_seconds": OFFSET})
    plain = {"label": None, "group": None, "audio_offset_seconds": 0.0}
    nothing = (None, None, None)
    monkeypatch.chdir(photos.parent)
    for same in (str(photos), f"{photos}/", f"./{photos.name}"):
        reading = reading_for(settings, same, *nothing)
        assert reading == {"label": None, "group": GROUP, "audio_offset_seconds": OFFSET}
    assert reading_for(settings, str(tmp_path), *nothing) == plain
    assert reading_for(settings, "digits:", *nothing) == plain
    assert reading_for(None, str(photos), *nothing) == plain
    told = reading_for(settings, str(photos), None, OTHER_GROUP, 0.0)
    assert told == {**plain, "group": OTHER_GROUP}


@pytest.fixture(scope="module")
def films(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """24 films of two classes, of half a second, whose sound goes on and grows louder."""
    root = tmp_path_factory.mktemp("films")
    sound = np.linspace(0, 30_000, 16_000).astype(np.int16)
    for i in range(24):
        film(root / "ab"[i % 2] / f"{i:02d}.mkv", seed=i, sound=sound)
    return root


def listen(films: Path, out: Path, offset: float) -> Path:
    asked: dict[str, Any] = {"task": TASK, "encoder": "resnet10_narrow", "steps": 2, "size": SIZE}
    return api.pretrain(str(films), out=out, audio_offset_seconds=offset, **asked)


@pytest.fixture
def few(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("hotstart.training.heldout.SCORED_EXAMPLES", 16)


@pytest.mark.usefixtures("few")
def test_sound_is_heard_as_late_as_in_training(films: Path, tmp_path: Path) -> None:
    run = listen(films, tmp_path / "late", OFFSET)
    (before,) = own(run)
    (again,) = api.evaluate(run, on="pretext")
    assert (again.value, again.key) == (before.value, before.key)
    assert len(own(run)) == 1
    (other,) = api.evaluate(run, on="pretext", audio_offset_seconds=0.0)
    assert other.value < before.value - 0.1, "the films grow louder"
    # Another question, whose record takes the place of none.
    assert {record.value for record in own(run)} == {before.value, other.value}
    seen: list[float] = []

    def opened(side: int | None, settings: Any) -> Dataset:
        reading = reading_for(settings, str(films), None, None, None)
        seen.append(reading["audio_offset_seconds"])
        return open_dataset(films, size=side, **reading)

    look(
        asked_for([TASK], [run]),
        opened,
        size=None,
        seed=0,
        device=torch.device("cpu"),
        task_settings={},
    )
    assert set(seen) == {OFFSET}


class Real(Pretence):
    """Cells that really run, in this process."""

    functions: ClassVar[dict[str, Any]] = {"pretrain": api.pretrain, "evaluate": api.evaluate}


@pytest.mark.usefixtures("few")
def test_compare_carries_the_offset(films: Path, tmp_path: Path) -> None:
    asked = check(
        {
            "data": str(films),
            "tasks": [TASK],
            "encoder": "resnet10_narrow",
            "size": SIZE,
            "seeds": [0],
            "steps": 2,
            "labels": [1.0],
            "protocols": ["knn"],
            "audio_offset_seconds": OFFSET,
        }
    )
    found = run_league(asked, tmp_path / "league", executor=Real())
    assert not found.problems
    run = tmp_path / "league" / "Loudness-0"
    assert load_run(run).audio_offset_seconds == OFFSET
    (alone,) = own(listen(films, tmp_path / "alone", OFFSET))
    (record,) = own(run)
    assert (record.value, record.settings_hash) == (alone.value, alone.settings_hash)
    assert asked.reading_for(str(films), "classify")["audio_offset_seconds"] == OFFSET

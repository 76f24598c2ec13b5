"""Nothing of a test split is pretrained on, in whatever data set it is found."""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from hotstart import api
from hotstart.config import PretrainSettings
from hotstart.data import open_dataset
from hotstart.data.leaks import exclude, in_test_split, write_hashes
from hotstart.data.splits import SPLITS
from hotstart.errors import DataError
from hotstart.league.heldout import heldout_in
from hotstart.league.measures import open_for
from hotstart.league.pretraining import run_hash
from hotstart.league.records import read_records
from hotstart.report.runs import read_runs
from hotstart.training.folder import TRAINED_ON, load_run
from tests.boxed import write_coco
from tests.data.scenes import write_scenes
from tests.data.test_pieces import cut, sequence
from tests.league.test_compare import Pretence, league

SHARED = 3


@pytest.fixture
def photos(class_folder: Path, tmp_path: Path) -> Path:
    """The training pictures, and copies of three that `class_folder` tests on; none to test on."""
    root = tmp_path / "photos"
    shutil.copytree(class_folder / "train", root / "train")
    for name in ("cold", "warm"):
        (root / "val" / name).mkdir(parents=True)
        for file in sorted((root / "train" / name).iterdir())[:10]:
            file.rename(root / "val" / name / file.name)
    for i in range(SHARED):
        source = class_folder / "test" / "warm" / f"{i:03d}.png"
        shutil.copy(source, root / "train" / "cold" / f"copy{i}.png")
    return root


def test_all_kinds_of_data_tell_pictures_by_the_same_bytes(tmp_path: Path) -> None:
    scenes, squares = write_scenes(tmp_path / "scenes", range(20)), tmp_path / "squares"
    write_coco(squares, {"train": 6, "val": 4, "test": 2})
    photos = tmp_path / "photos"
    for root in (scenes, squares):
        shutil.copytree(root / "images", photos, dirs_exist_ok=True)
    plain = open_dataset(photos, size=32)
    for kind, root in (("segment", scenes), ("detect", squares)):
        other = open_for(kind, str(root), size=32)
        test = other.hashes[other.indices("test")]
        assert len(test) >= 2
        assert set(in_test_split(plain, other)) == set(test)
    assert not len(in_test_split(other, other)), "its own test split is never pretrained on"


def test_of_videos_whole_ones_are_found_however_they_are_cut(tmp_path: Path) -> None:
    for k in range(3):
        sequence(tmp_path / f"drive{k}", 20, first=k)
    data, other = cut(tmp_path, "hz=10&frames=4"), cut(tmp_path, "hz=10&frames=10")
    other.split[other.groups == other.groups[-1]] = SPLITS.index("test")
    found = in_test_split(data, other)
    assert set(found) == set(data.hashes[-5:])


def test_a_league_leaves_out_what_it_tests_on(
    photos: Path, class_folder: Path, tmp_path: Path
) -> None:
    events: list[dict[str, Any]] = []
    folder, on = tmp_path / "league", [f"classify={class_folder}"]
    given: dict[str, Any] = {"seeds": [0], "tasks": ["rotation"], "on": on}
    league(photos, folder, Pretence(), **given, listener=events.append)
    told = [event for event in events if event["kind"] == "found"]
    (sentence,) = told[-1]["sentences"]
    assert sentence.startswith(
        f"{photos}: 3 pictures left out of pretraining, being in the test split of {on[0]}: "
        "train/cold/copy"
    )
    data, other = open_dataset(photos, size=None), open_dataset(class_folder, size=None)
    expected = tuple(write_hashes(in_test_split(data, other)))
    assert len(expected) == SHARED
    for name in ("random-0", "rotation-0", "supervised-0"):
        assert load_run(folder / name).exclude == expected
    settings = load_run(folder / "rotation-0")
    (record,) = (r for r in read_records(folder / "rotation-0" / "results.jsonl") if not r.protocol)
    assert record.settings_hash == run_hash(settings, data.fingerprint)
    whole = settings.model_copy(update={"exclude": None})
    assert record.settings_hash != run_hash(whole, data.fingerprint)
    assert {run.settings.get("exclude", "3 items") for run in read_runs(folder)} == {"3 items"}
    assert_resumes(photos, folder, tmp_path, given)


def assert_resumes(photos: Path, folder: Path, tmp_path: Path, given: dict[str, Any]) -> None:
    """What is finished counts here and in other leagues, but for those that leave out nothing."""
    again, other = Pretence(), Pretence()
    league(photos, folder, again, **given)
    assert again.ran == []
    known = [folder / "results.jsonl"]
    league(photos, tmp_path / "more", other, **{**given, "tasks": ["simclr"]}, known=known)
    assert other.ran == ["simclr-0", "simclr-0-classify"]
    own = Pretence()
    league(photos, tmp_path / "own", own, **{**given, "on": ["classify"]}, known=known)
    assert "rotation-0" in own.ran
    assert load_run(tmp_path / "own" / "rotation-0").exclude is None


def test_real_pictures_are_left_out_too(class_folder: Path, tmp_path: Path) -> None:
    tested = sorted((class_folder / "test" / "warm").iterdir())[:2]
    for name, files in (("made", []), ("real", tested)):
        shutil.copytree(class_folder / "train" / "cold", tmp_path / name)
        for file in files:
            shutil.copy(file, tmp_path / name / f"x{file.name}")
    data = open_dataset(tmp_path / "made", size=16, real=tmp_path / "real")
    other = open_dataset(class_folder, size=16)
    shared = in_test_split(data, other)
    assert len(shared) == 2
    exclude(data, shared)
    assert data.real is not None
    assert len(data.real.items) == 80
    batch = data.batch(np.arange(80), ("real_image",))
    assert len(batch["real_image"]) == 80
    assert not np.isin(data.real.hashes, shared).any()
    with pytest.raises(DataError, match="all 80 pictures of --real"):
        exclude(data, data.real.hashes)


@pytest.fixture
def runs(photos: Path, class_folder: Path, tmp_path: Path) -> tuple[Path, Path]:
    """Trained on everything, and with the three left out: by their hashes, as cells are."""
    data, other = open_dataset(photos, size=None), open_dataset(class_folder, size=None)
    words = write_hashes(in_test_split(data, other))
    asked: dict[str, Any] = {"task": "random", "steps": 1, "size": 16, "batch_size": 8}
    return (
        api.pretrain(str(photos), out=tmp_path / "all", **asked),
        api.pretrain(str(photos), out=tmp_path / "without", exclude=words, **asked),
    )


def test_a_run_was_not_trained_on_what_was_left_out(
    runs: tuple[Path, Path], photos: Path, class_folder: Path
) -> None:
    data, other = open_dataset(photos, size=16), open_dataset(class_folder, size=16)
    shared = in_test_split(data, other)
    for run, count in zip(runs, (SHARED, 0), strict=True):
        held = heldout_in(run, data)
        assert held is not None
        seen = np.concatenate([np.load(run / TRAINED_ON), data.hashes[held]])
        assert np.isin(shared, seen).sum() == count
        assert len(np.unique(seen)) == len(data) - SHARED + count
    first = (runs[1] / TRAINED_ON).read_bytes()
    (runs[1] / TRAINED_ON).unlink()
    api.pretrain(resume=runs[1])
    assert (runs[1] / TRAINED_ON).read_bytes() == first, "left out after it is resumed, too"
    assert "exclude" not in (runs[0] / "run.toml").read_text()


def test_evaluate_refuses_a_test_of_what_was_pretrained_on(
    runs: tuple[Path, Path], class_folder: Path
) -> None:
    whole, without = runs
    seen = np.load(whole / TRAINED_ON)
    other = open_dataset(class_folder, size=16)
    test = other.indices("test")
    count = int(np.isin(other.hashes[test], seen).sum())
    asked: dict[str, Any] = {"data": str(class_folder), "protocols": ["knn"], "labels": [1.0]}
    with pytest.raises(
        DataError, match=rf"{count} of the 80 pictures .* by {whole}.*warm.*val, or"
    ):
        api.evaluate(whole, split="test", **asked)
    told: list[str] = []
    api.evaluate(whole, split="test", allow_leak=True, telling=told.append, **asked)
    assert any(f"warning: {count} of the 80 pictures of its test split" in one for one in told)
    api.evaluate(whole, **asked)
    api.evaluate(without, split="test", **asked)
    (whole / TRAINED_ON).unlink()
    api.evaluate(whole, split="test", **asked)


def test_hashes_are_checked() -> None:
    with pytest.raises(ValueError, match="exclude"):
        PretrainSettings(
            data="x", task="rotation", encoder="x", size=16, stem="small", batch_size=2,
            exclude=("cat.png",),
        )  # fmt: skip

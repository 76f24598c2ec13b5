"""What was found in the data of an evaluation is told, by `evaluate` as by `compare`."""

from __future__ import annotations

import csv
import shutil
from pathlib import Path
from typing import Any

import pytest

from hotstart import api
from hotstart.compare_display import LeagueDisplay
from hotstart.data import open_dataset
from hotstart.data.telling import SHOWN, found_words
from hotstart.errors import DataError, UsageError
from hotstart.league.found import tell_found
from hotstart.league.measures import open_for
from hotstart.league.settings import check
from tests.data.scenes import write_scenes
from tests.league.test_compare import ASKED, Pretence, league


@pytest.fixture
def copied(class_folder: Path, tmp_path: Path) -> Path:
    """Labelled pictures, one of which is in train and in test, and one is damaged."""
    root = tmp_path / "copied"
    shutil.copytree(class_folder, root)
    shutil.copy(root / "train" / "cold" / "000.png", root / "test" / "cold" / "copy.png")
    (root / "train" / "warm" / "001.png").write_bytes(b"")
    return root


def test_labelled_pictures_are_told_with_classes_and_sizes(
    class_folder: Path, tmp_path: Path
) -> None:
    (first,) = found_words(open_dataset(class_folder, size=32))
    assert first.endswith(
        "240 pictures (train 128, val 32, test 80), 2 classes: cold, warm; "
        "40 x 40 px in 128 looked at"
    )
    root = tmp_path / "three"
    shutil.copytree(class_folder, root)
    (root / "test" / "hot").mkdir()
    shutil.move(root / "test" / "warm" / "000.png", root / "test" / "hot" / "000.png")
    _, *others = found_words(open_dataset(root, size=32))
    assert others == [
        "warning: no example in train of hot: nobody can learn what is never shown",
    ]


def test_everything_that_was_left_out_is_written(tmp_path: Path) -> None:
    root = write_scenes(tmp_path / "scenes", range(SHOWN + 8))
    for seed in range(SHOWN + 3):
        (root / "masks" / f"{seed:03d}.png").write_bytes(b"")
    dataset = open_for("segment", str(root), size=32)
    *told, last = tell_found(dataset, "segment", tmp_path)
    assert told[-1] == "left out: 3 more"
    path = tmp_path / f"quarantine-segment-{dataset.fingerprint[:8]}.csv"
    assert last == f"everything that was left out ({SHOWN + 3}): {path}"
    with path.open(newline="") as file:
        rows = list(csv.reader(file))
    assert len(rows) == SHOWN + 4
    assert rows[0] == ["path", "reason"]
    assert tell_found(dataset, "segment", None) == told
    dataset.quarantine = ()
    tell_found(dataset, "segment", tmp_path)
    assert not path.exists(), "of a time when there was something"


def test_a_league_tells_what_it_found(
    copied: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    events: list[dict[str, Any]] = []
    folder = tmp_path / "league"
    given: dict[str, Any] = {"seeds": [0], "tasks": ["rotation"], "listener": events.append}
    league(copied, folder, Pretence(), **given, allow_leak=True)
    (found,) = (event for event in events if event["kind"] == "found")
    assert found["data"] == str(copied)
    head, warning, left_out, last = found["sentences"]
    assert "2 classes: cold, warm" in head
    assert warning.startswith("warning: 1 pictures are in two splits")
    assert left_out.startswith("left out: train/warm/001.png: ")
    (path,) = folder.glob("quarantine-classify-*.csv")
    assert last.endswith(str(path))
    with LeagueDisplay() as display:
        display.league(found)
    assert left_out in capsys.readouterr().err


def test_a_labelled_picture_in_two_splits_is_an_error(copied: Path, tmp_path: Path) -> None:
    told = r"1 pictures are in two splits.*\((train|val)\) is .*\(test\).*--allow-leak"
    with pytest.raises(DataError, match=told):
        open_for("classify", str(copied), size=32)
    with pytest.raises(DataError, match=told):
        league(copied, tmp_path / "league", Pretence())
    assert open_for("pretext", str(copied), size=32).split is not None


def test_evaluate_writes_beside_the_run(copied: Path, tmp_path: Path) -> None:
    run = api.pretrain(str(copied), task="rotation", steps=1, batch_size=8, out=tmp_path / "run")
    told: list[str] = []
    asked: dict[str, Any] = {"protocols": ["knn"], "labels": [1.0], "allow_leak": True}
    api.evaluate(run, telling=told.append, **asked)
    (path,) = run.glob("quarantine-classify-*.csv")
    assert told[-1] == f"everything that was left out (1): {path}"
    assert "train/warm/001.png" in path.read_text()


@pytest.mark.parametrize(
    ("wrong", "told"),
    [
        (
            {"on": ["detect=a", "segment=a", "detect=a/"]},
            "--on names detect of a more than once: name its protocols together",
        ),
        ({"on": ["classify", "classify=/nowhere"]}, "names classify of /nowhere more than once"),
        (
            {"on": ["classify", "detect=a"], "ignore_index": [3]},
            "--on classify, detect: --ignore-index and --class-names are of label maps",
        ),
        ({"class_names": ["sky"]}, "--on classify: --ignore-index and --class-names"),
    ],
)
def test_what_is_asked_twice_or_of_nobody_is_refused(wrong: dict[str, Any], told: str) -> None:
    given = {**ASKED, "protocols": ["linear"], "data": "/nowhere", **wrong}
    with pytest.raises(UsageError) as raised:
        check(given)
    assert told in str(raised.value)

"""Segmentation from the outside: records, predictions, pictures, and what was found."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from typer.testing import CliRunner

from hotstart import evaluate
from hotstart.arguments import parse_class_names, parse_ignored
from hotstart.cli import app
from hotstart.data.telling import found_words
from hotstart.downstream import pixel_probe
from hotstart.errors import UsageError
from hotstart.league.measures import open_for
from hotstart.league.settings import check
from tests.data.scenes import write_scenes


@pytest.fixture(autouse=True)
def _few_pixels(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr(pixel_probe, "PIXELS", 2_000)
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))


def test_evaluate_from_the_command_line(tmp_path: Path) -> None:
    root = write_scenes(tmp_path / "data", range(12))
    words = "evaluate random --encoder resnet10_narrow --size 32 --on segment --labels 100% --json"
    options = ["--no-stages", "--ignore-index", "2", "--class-names", "wall,disc,square"]
    told = CliRunner().invoke(app, [*words.split(), "--data", str(root), *options])
    assert told.exit_code == 0, told.output
    (record,) = json.loads(told.stdout)
    assert (record["downstream"], record["protocol"], record["metric"]) == (
        "segment", "linear", "miou",
    )  # fmt: skip
    assert list(record["detail"]["iou"]) == ["wall", "disc"]
    assert record["chance"] < record["value"] <= 1
    assert "12 pictures (train 8, val 2, test 2), 2 classes: wall, disc" in told.stderr


def test_what_was_found_is_told(tmp_path: Path) -> None:
    root = write_scenes(tmp_path, range(6))
    (root / "masks" / "002.png").write_bytes(b"")
    dataset = open_for("segment", str(root), size=32, class_names=["a", "b", "c", "d"])
    words = found_words(dataset)
    assert "5 pictures" in words[0]
    assert "48 x 40 px" in words[0]
    assert "no example in train of d" in words[1]
    assert words[2].startswith("left out: images/002.png: its label map is")


def test_options_of_label_maps_are_for_them_alone(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="--ignore-index and --class-names are of label maps"):
        evaluate("random", data="digits:", encoder="resnet10_narrow", size=32, ignore_index=[1])
    asked = check(
        {"data": "digits:", "tasks": ("rotation",), "steps": 5, "ignore_index": (11,)}
        | {"on": ("classify", "segment=masks"), "class_names": ("a", "b")}
    )
    plain = {"label", "group", "audio_offset_seconds", "allow_leak"}
    assert asked.reading_for("digits:", "classify").keys() == plain
    masks = asked.reading_for("masks", "segment")
    assert (masks["ignore_index"], masks["class_names"]) == ([11], ["a", "b"])
    assert parse_ignored("11, #ff0000") == [11, (1 << 24) + 0xFF0000]
    with pytest.raises(UsageError, match="--ignore-index 'x': whole numbers"):
        parse_ignored("x")
    (tmp_path / "names").write_text("traffic light\n\nroad\n")
    assert parse_class_names(str(tmp_path / "names")) == ["traffic light", "road"]
    assert parse_class_names("sky,road") == ["sky", "road"]

"""`--to onnx`: what onnxruntime makes of inputs of other sizes than the graph was made by."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

import onnx
import pytest
from torch import Tensor

from hotstart import api
from hotstart.encoders import Encoder
from hotstart.errors import ExportError, UsageError
from hotstart.export import onnx_graph

from .networks import close, filed, learnt, noise, run

SLOW = pytest.mark.slow


def exported(encoder: Encoder, folder: Path) -> Any:
    return api.export(filed(encoder, folder), to="onnx", out=folder / "out.onnx").made


def check(encoder: Encoder, made: Any, name: str, *batches: Tensor) -> None:
    for batch in batches:
        close(run(made.usage, **{name: batch.numpy()}), encoder, batch)


@pytest.mark.parametrize("name", ["vit_narrow_depth4", pytest.param("resnet10_narrow", marks=SLOW)])
def test_pictures_of_any_sides(name: str, tmp_path: Path) -> None:
    encoder = learnt(name, 32)
    made = exported(encoder, tmp_path)
    check(encoder, made, "images", noise(5, 3, 32, 32), noise(2, 3, 64, 40))
    model = onnx.load(tmp_path / "out.onnx")
    told = {each.key: each.value for each in model.metadata_props}
    assert (told["architecture"], told["size"], told["stem"]) == (name, "32", "small")
    assert [each.name for each in model.graph.output] == ["features"]
    assert str(Path.cwd()).encode() not in (tmp_path / "out.onnx").read_bytes()


@pytest.mark.parametrize(
    "name",
    [
        "r3d10_narrow",
        pytest.param("tube_vit_narrow_depth4", marks=SLOW),
        pytest.param("frames:resnet10_narrow", marks=SLOW),
    ],
)
def test_clips_of_any_length(name: str, tmp_path: Path) -> None:
    encoder = learnt(name, 32)
    made = exported(encoder, tmp_path)
    check(encoder, made, "clips", noise(2, 3, 5, 32, 32), noise(3, 3, 4, 48, 32))


def test_sounds_of_any_length(tmp_path: Path) -> None:
    encoder = learnt("sound:resnet10_narrow", 40)
    made = exported(encoder, tmp_path)
    check(encoder, made, "sounds", 2 * noise(2, 16000) - 1, 2 * noise(3, 20011) - 1)


@pytest.mark.parametrize("name", ["pixel_components", pytest.param("patch_centroids", marks=SLOW)])
def test_without_layers_any_number_of_pictures(name: str, tmp_path: Path) -> None:
    encoder = learnt(name, 24)
    made = exported(encoder, tmp_path)
    assert "(B, 3, 24, 24) alone" in made.reads
    check(encoder, made, "images", noise(40, 3, 24, 24))


def test_sides_that_cannot_be_left_open_are_fixed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked: list[bool] = []

    def stubborn(*_: Any, fixed: bool) -> Any:
        asked.append(fixed)
        if not fixed:
            raise RuntimeError("Constraints violated (height)")
        return onnx_graph._notes(encoder, fixed=fixed)

    monkeypatch.setattr(onnx_graph, "_write", stubborn)
    encoder = learnt("resnet10_narrow", 32)
    notes: Any = onnx_graph.write_onnx(encoder, {}, tmp_path / "place", tmp_path / "out")
    assert asked == [False, True]
    assert "cannot be exported for sides (or frames) of any length" in notes[0]


def test_what_fails_is_told_and_not_kept(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def broken(*_: Any, **__: Any) -> Any:
        raise RuntimeError("no such operator\nand many pages") from KeyError("aten.thing")

    monkeypatch.setattr(onnx_graph, "_write", broken)
    with pytest.raises(ExportError, match=r"resnet10_narrow cannot be exported .*aten.thing"):
        exported(learnt("resnet10_narrow", 32), tmp_path)
    assert [path.name for path in tmp_path.iterdir()] == ["learnt.safetensors"]


def test_the_extra_that_is_missing_is_named(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "onnxruntime", None)
    told = r"needs onnxruntime, not installed here; pip install 'hotstart\[onnx\]'"
    with pytest.raises(UsageError, match=told):
        api.export("random", to="onnx", encoder="resnet10_narrow", size=32)

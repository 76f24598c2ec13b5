"""The command and its function: runs, files, what is told, and what is refused."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
import torch
from safetensors import safe_open
from typer.testing import CliRunner

import hotstart
import hotstart.report.page
from hotstart import api
from hotstart.cli import app
from hotstart.encoders import load_encoder
from hotstart.errors import DataError, ExportError, UsageError
from hotstart.export.parity import compare, example
from hotstart.league.records import read_records
from hotstart.league.subject import open_subject

from .networks import close, filed, learnt, noise


@pytest.fixture(scope="module")
def trained(class_folder: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A run, with a further encoder as tasks that hear write it."""
    out = tmp_path_factory.mktemp("runs") / "seen"
    api.pretrain(str(class_folder), task="rotation", steps=4, batch_size=16, size=32, out=out)
    filed(learnt("sound:resnet10_narrow", 40), out).rename(out / "encoder-sound.safetensors")
    return out


def test_a_room_does_not_hide_the_function_of_its_name() -> None:
    for name in ("export", "report"):
        assert getattr(hotstart, name) is getattr(api, name)


def test_a_run_by_the_command(
    trained: Path, tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    out = tmp_path / "new" / "run.onnx"
    words = ["export", str(trained), "--to", "onnx", "-o", str(out), "--json"]
    app(words, standalone_mode=False)
    told = json.loads(capfd.readouterr().out)
    assert told["path"] == str(out)
    assert (told["task"], told["size"], told["stem"]) == ("rotation", 32, "small")
    assert told["run"] == read_records(trained / "results.jsonl")[0].settings_hash
    assert 0 < told["largest_difference"] <= told["tolerance"] < 1e-3 * told["largest_feature"]
    assert [path.name for path in out.parent.iterdir()] == ["run.onnx"]


def test_what_the_command_says(trained: Path, tmp_path: Path) -> None:
    out = tmp_path / "for-timm"
    ended = CliRunner().invoke(app, ["export", str(trained), "--to", "timm", "-o", str(out)])
    assert ended.exit_code == 0, ended.output
    assert f"Export: {out}\n" in ended.stdout
    assert "Parity: largest difference" in ended.stdout
    assert f'load_file("{out}/model.safetensors")' in ended.stdout
    with pytest.raises(UsageError, match="is there already"):
        api.export(trained, to="timm", out=out)


def test_a_further_encoder_of_a_run(trained: Path, tmp_path: Path) -> None:
    heard = trained / "encoder-sound.safetensors"
    made = api.export(heard, to="safetensors", out=tmp_path / "sound.safetensors")
    assert made.about["part"] == "sound"
    assert made.about["kind"] == "audio"
    sounds = 2 * noise(2, 9000) - 1
    with torch.no_grad():
        found = load_encoder(tmp_path / "sound.safetensors").eval()(sounds)
    close(found, load_encoder(heard).eval(), sounds)


@pytest.mark.parametrize("encoder", [None, "resnet10_narrow"])
def test_weights_are_read_again(trained: Path, tmp_path: Path, encoder: str | None) -> None:
    path = tmp_path / "weights.safetensors"
    made = api.export(trained, to="safetensors", out=path)
    size = 32 if encoder else None
    found = open_subject(str(path), encoder, size, "auto", 0).encoder.eval()
    pictures = noise(2, 3, 32, 32)
    with torch.no_grad():
        close(found(pictures), load_encoder(trained / "encoder.safetensors").eval(), pictures)
    with safe_open(path, "pt") as file:
        header = file.metadata()
    assert header["architecture"] == "resnet10_narrow"
    assert header["digest"] == made.about["digest"]
    assert json.loads(header["spec"])["stem"] == "small"


def test_names_by_default(trained: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    assert api.export(trained, to="safetensors").path == Path("seen-encoder.safetensors")
    made = api.export("random", to="safetensors", encoder="frames:resnet10_narrow", size=32)
    assert made.path == Path("frames-resnet10_narrow-encoder.safetensors")


def test_what_is_refused(trained: Path, tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="'pickle': valid are timm, torchvision, onnx, safetens"):
        api.export(trained, to="pickle")  # type: ignore[arg-type]
    with pytest.raises(UsageError, match=r"makes a file, NAME\.onnx"):
        api.export(trained, to="onnx", out=tmp_path / "x.pt")
    with pytest.raises(UsageError, match="--size N"):
        api.export("random", to="timm", out=tmp_path / "x", encoder="resnet18")
    with pytest.raises(UsageError, match="a run, which knows its own encoder"):
        api.export(trained, to="timm", out=tmp_path / "x", size=32)
    weights = filed(learnt("resnet10_narrow", 32), tmp_path)
    with pytest.raises(UsageError, match="is what is to be exported"):
        api.export(weights, to="safetensors", out=weights)
    (tmp_path / "file").write_text("in the way")
    with pytest.raises(DataError, match="cannot be written"):
        api.export(weights, to="safetensors", out=tmp_path / "file" / "x.safetensors")
    assert sorted(path.name for path in tmp_path.iterdir()) == ["file", "learnt.safetensors"]


def test_what_is_compared_is_the_same_each_time_and_seen() -> None:
    encoder = learnt("resnet10_narrow", 32)
    one = example(encoder)
    assert one.shape == (3, 3, 32, 32)
    assert torch.equal(one, example(encoder))
    assert 0 <= float(one.min()) < 0.2 < 0.8 < float(one.max()) <= 1


def test_parity_is_of_the_largest_feature() -> None:
    batch, wanted = noise(2, 3, 8, 8), torch.tensor([[1.0, -2.0], [0.5, 0.0]])
    found = wanted + torch.tensor([[0.0, 1.5e-4], [0.0, 0.0]])
    parity = compare([wanted], [found], [batch])
    assert parity.largest_difference == pytest.approx(1.5e-4, rel=1e-2)
    assert parity.tolerance == pytest.approx(2e-4)
    for wrong in (wanted + 3e-4, wanted * float("nan")):
        with pytest.raises(ExportError, match="differ from the encoder's"):
            compare([wanted], [wrong], [batch])
    with pytest.raises(ExportError, match=r"features \(1, 2\), the encoder \(2, 2\)"):
        compare([wanted], [wanted[:1]], [batch])

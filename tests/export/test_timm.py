"""`--to timm`: the folder is loaded by the lines that stand in it, and by timm alone."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

import pytest
import timm
import torch
from safetensors.torch import load_file
from timm.data.config import resolve_model_data_config
from torchvision.transforms.v2.functional import normalize

from hotstart import api
from hotstart.encoders import Encoder
from hotstart.errors import ExportError, UsageError
from hotstart.export import timm_folder

from .networks import close, filed, learnt, noise, run

IMAGENET = [0.485, 0.456, 0.406], [0.229, 0.224, 0.225]


def exported(encoder: Encoder, folder: Path) -> Any:
    return api.export(filed(encoder, folder), to="timm", out=folder / "out")


@pytest.mark.parametrize(
    ("name", "size", "stem"),
    [
        ("resnet10_narrow", 32, "timm"),
        ("resnet10_narrow", 32, "small"),
        ("resnet10t", 32, "small"),
        ("mobilenetv3_small_050", 64, "timm"),
        ("vit_narrow_depth4", 32, "small"),
        ("vit_tiny_depth6", 32, "timm"),
        ("deit_tiny_distilled_patch16_224", 48, "small"),
    ],
)
def test_the_lines_beside_it_give_the_features(
    name: str, size: int, stem: str, tmp_path: Path
) -> None:
    encoder = learnt(name, size, stem)
    made = exported(encoder, tmp_path).made
    assert made.parity.largest_difference <= made.parity.tolerance
    page = (tmp_path / "out" / "README.md").read_text("utf-8")
    assert made.usage in page
    pictures = noise(2, 3, 2 * size, 2 * size)
    close(run(made.usage, normalised=normalize(pictures, *IMAGENET)), encoder, pictures)
    small = stem == "small" and "resnet" in name
    assert (tmp_path / "out" / "config.json").exists() != small
    assert ("two lines exchange it" in page) == small


def test_the_small_stem_cannot_be_had_by_name_alone(tmp_path: Path) -> None:
    exported(learnt("resnet18", 32), tmp_path)
    with pytest.raises(FileNotFoundError, match="config"):
        timm.create_model(f"local-dir:{tmp_path / 'out'}", pretrained=True)
    own = timm.create_model("resnet18", num_classes=0)
    with pytest.raises(RuntimeError, match=r"size mismatch for conv1\.weight"):
        own.load_state_dict(load_file(tmp_path / "out" / "model.safetensors"))


def test_timm_takes_it_for_its_own(tmp_path: Path) -> None:
    """Preprocessing, a new head, and the weights alone under timm's own names."""
    encoder = learnt("resnet18", 64, "timm")
    exported(encoder, tmp_path)
    folder = tmp_path / "out"
    network: Any = timm.create_model(f"local-dir:{folder}", pretrained=True, num_classes=5)
    network.eval()
    told = resolve_model_data_config(network)  # type: ignore[no-untyped-call]
    assert list(told["input_size"]) == [3, 64, 64]
    assert (list(told["mean"]), list(told["std"])) == IMAGENET
    assert told["crop_pct"] == 1.0
    pictures = noise(2, 3, 64, 64)
    with torch.no_grad():
        maps = network.forward_features(normalize(pictures, *IMAGENET))
        close(network.forward_head(maps, pre_logits=True), encoder, pictures)
    assert network.fc.weight.shape == (5, 512)
    own = timm.create_model("resnet18", num_classes=0)
    own.load_state_dict(load_file(folder / "model.safetensors"), strict=True)
    config = json.loads((folder / "config.json").read_text("utf-8"))
    assert config["num_features"] == 512
    assert config["hotstart"]["architecture"] == "resnet18"


def test_frames_of_a_clip_are_averaged(tmp_path: Path) -> None:
    encoder = learnt("frames:resnet10_narrow", 32)
    made = exported(encoder, tmp_path).made
    clips = noise(2, 3, 4, 32, 32)
    frames = normalize(clips.transpose(1, 2), *IMAGENET).flatten(0, 1)
    each = run(made.usage, normalised=frames)
    close(each.unflatten(0, (2, 4)).mean(1), encoder, clips)
    assert any("mean of those of its frames" in note for note in made.notes)


def test_sound_is_heard_by_what_the_readme_says(tmp_path: Path) -> None:
    encoder = learnt("sound:resnet10_narrow", 40)
    made = exported(encoder, tmp_path).made
    page = (tmp_path / "out" / "README.md").read_text("utf-8")
    ear: dict[str, Any] = {}
    exec(re.findall(r"```python\n(.*?)```", page, re.DOTALL)[1], ear)
    sounds = 2 * noise(2, 12000) - 1
    heard = (ear["log_mel"](sounds) - encoder.mean) / encoder.std
    assert heard.shape[:3] == (2, 1, 40)
    close(run(made.usage, normalised=heard), encoder, sounds)


@pytest.mark.parametrize("name", ["r3d10_narrow", "tube_vit_narrow_depth4", "pixel_components"])
def test_what_timm_has_not_is_refused(name: str, tmp_path: Path) -> None:
    with pytest.raises(UsageError, match=f"{name} is no network of timm's.* give --to onnx"):
        api.export("random", to="timm", out=tmp_path / "out", encoder=name, size=32)
    assert not list(tmp_path.iterdir())


def test_other_features_are_not_kept(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Statistics of BatchNorm that are a hundredth off are found out, and leave nothing behind."""
    real = timm_folder.load_timm

    def wrong(folder: Path) -> Any:
        network: Any = real(folder)
        network.layer4[0].bn1.running_mean += 0.01
        return network

    monkeypatch.setattr(timm_folder, "load_timm", wrong)
    with pytest.raises(ExportError, match=r"differ from the encoder's by up to .* is allowed"):
        exported(learnt("resnet10_narrow", 32), tmp_path)
    assert [path.name for path in tmp_path.iterdir()] == ["learnt.safetensors"]

"""`--to torchvision`: torchvision's own networks load it and give the same features."""

from __future__ import annotations

from pathlib import Path

import pytest
from torchvision.transforms.v2.functional import normalize

from hotstart import api
from hotstart.errors import UsageError

from .networks import close, filed, learnt, noise, run

SLOW = pytest.mark.slow
IMAGENET = [0.485, 0.456, 0.406], [0.229, 0.224, 0.225]


@pytest.mark.parametrize(
    ("name", "stem"),
    [
        ("resnet18", "timm"),
        ("resnet18", "small"),
        pytest.param("resnet50", "timm", marks=SLOW),
        pytest.param("densenet121", "timm", marks=SLOW),
    ],
)
def test_pictures(name: str, stem: str, tmp_path: Path) -> None:
    encoder = learnt(name, 64, stem)
    path = filed(encoder, tmp_path)
    made = api.export(path, to="torchvision", out=tmp_path / "out.safetensors").made
    pictures = noise(2, 3, 48, 64)
    close(run(made.usage, normalised=normalize(pictures, *IMAGENET)), encoder, pictures)
    assert len(made.notes) == (stem == "small")


@pytest.mark.parametrize("name", ["s3d", pytest.param("r3d_18", marks=SLOW)])
def test_clips(name: str, tmp_path: Path) -> None:
    encoder = learnt(name, 32)
    path = filed(encoder, tmp_path)
    made = api.export(path, to="torchvision", out=tmp_path / "out.safetensors").made
    clips = noise(2, 3, 6, 32, 32)
    normalised = normalize(clips.transpose(1, 2), *IMAGENET).transpose(1, 2)
    close(run(made.usage, normalised=normalised), encoder, clips)


@pytest.mark.parametrize("name", ["vit_narrow_depth4", "sound:resnet18", "resnet10_narrow"])
def test_what_torchvision_has_not_is_refused(name: str, tmp_path: Path) -> None:
    told = f"{name} is no network of torchvision's; these are: resnet18, .*, mvit_v2_s. Give --to"
    with pytest.raises(UsageError, match=told):
        api.export(
            "random", to="torchvision", out=tmp_path / "out.safetensors", encoder=name, size=32
        )
    assert not list(tmp_path.iterdir())

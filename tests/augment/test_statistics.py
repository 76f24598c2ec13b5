"""Views as a whole are distributed like torchvision's, the clamping on the way left out."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
import torchvision.transforms.v2 as reference
from PIL import Image
from torch import Tensor

from hotstart.augment import ViewSettings, centre_view, random_view
from hotstart.data.draws import Draws
from hotstart.data.sample import Pictures
from tests.augment.pictures import make_picture

SIZE, ROUNDS = 32, 5
BARE = {"crop_scale": (1.0, 1.0), "crop_ratio": (1.0, 1.0)} | dict.fromkeys(
    ("flip", "jitter", "brightness", "contrast", "saturation", "hue", "grey", "blur"), 0.0
)


@pytest.fixture(scope="module", params=["generated", pytest.param("real", marks=pytest.mark.slow)])
def squares(request: pytest.FixtureRequest) -> Pictures:
    if request.param == "generated":
        arrays = [make_picture(72, 72, seed) for seed in range(200)]
    else:
        folder: Path = request.getfixturevalue("imagenette")
        files = sorted(folder.rglob("*.jpg"))
        chosen = np.random.default_rng(0).choice(len(files), 200, replace=False)
        arrays = [np.asarray(Image.open(files[i]).convert("RGB")) for i in chosen]
    return Pictures.from_arrays(arrays)


def compare(pictures: Pictures, settings: ViewSettings, transform: Any) -> None:
    """Mean and deviation of each channel, their spread over views, and colourfulness."""
    rows = len(pictures)
    ours = torch.cat(
        [random_view(pictures, settings, SIZE, Draws(0, k, total=rows)) for k in range(ROUNDS)]
    )
    images = [pictures[i].permute(2, 0, 1).float() / 255 for i in range(rows)]
    torch.manual_seed(0)
    theirs = torch.stack([transform(image) for _ in range(ROUNDS) for image in images])
    mean, deviation, colour = summary(ours)
    mean_there, deviation_there, colour_there = summary(theirs)
    grey_level = 1 / 255
    assert (mean.mean(0) - mean_there.mean(0)).abs().max() < 4 * grey_level
    assert (mean.std(0) / mean_there.std(0) - 1).abs().max() < 0.08
    assert (deviation.mean(0) - deviation_there.mean(0)).abs().max() < 2 * grey_level
    assert (deviation.std(0) / deviation_there.std(0) - 1).abs().max() < 0.15
    assert (colour.mean() - colour_there.mean()).abs() < 3 * grey_level


def summary(views: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    colour = (views.amax(1) - views.amin(1)).mean((1, 2))
    return views.mean((2, 3)), views.std((2, 3)), colour


@pytest.mark.slow
@pytest.mark.parametrize(
    "strengths",
    [
        {"brightness": 0.8},
        {"contrast": 0.8},
        {"saturation": 0.8},
        {"hue": 0.2},
        {"brightness": 0.8, "contrast": 0.8, "saturation": 0.8, "hue": 0.2},
        {"brightness": 0.4, "contrast": 0.4, "saturation": 0.4, "hue": 0.1},
    ],
)
def test_colour_jitter(squares: Pictures, strengths: dict[str, float]) -> None:
    settings = ViewSettings.model_validate(BARE | {"jitter": 1.0} | strengths)
    small = (centre_view(squares, SIZE) * 255).round().byte().permute(0, 2, 3, 1)
    compare(Pictures.from_arrays(list(small.numpy())), settings, reference.ColorJitter(**strengths))


def test_crops(squares: Pictures) -> None:
    settings = ViewSettings.model_validate(
        BARE | {"crop_scale": (0.08, 1), "crop_ratio": (0.75, 4 / 3)}
    )
    compare(squares, settings, reference.RandomResizedCrop(SIZE, antialias=True))


def test_simclr(squares: Pictures) -> None:
    jitter = reference.ColorJitter(0.8, 0.8, 0.8, 0.2)
    transform = reference.Compose(
        [
            reference.RandomResizedCrop(SIZE, antialias=True),
            reference.RandomHorizontalFlip(),
            reference.RandomApply([jitter], p=0.8),
            reference.RandomGrayscale(0.2),
            reference.RandomApply([reference.GaussianBlur(3, (0.1, 2.0))], p=0.5),
        ]
    )
    compare(squares, ViewSettings(), transform)

"""The controls read clips where the encoder does, and pictures where it does not."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch

from hotstart.data import Dataset, open_dataset
from hotstart.data.draws import Draws
from hotstart.encoders import build_encoder, resolve_spec
from hotstart.pretext.controls import RandomInit, RandomSettings, Supervised, SupervisedSettings
from hotstart.pretext.task import Info, PretextTask, Progress
from tests.downstream.moving import write_actions

INFO = Info(items=8, size=32, batch_size=8, total_steps=10, classes=2, class_names=("a", "b"))


@pytest.fixture(scope="module")
def videos(tmp_path_factory: pytest.TempPathFactory) -> Dataset:
    return open_dataset(write_actions(tmp_path_factory.mktemp("actions"), each=4), size=32)


def control(name: str, encoder: str) -> PretextTask:
    built = build_encoder(resolve_spec(encoder, 32), seed=0)
    if name == "random":
        return RandomInit(built, RandomSettings(), INFO)
    return Supervised(built, SupervisedSettings(), INFO)


@pytest.mark.parametrize("encoder", ["r3d10_narrow", "frames:resnet10_narrow", "resnet10_narrow"])
@pytest.mark.parametrize("name", ["random", "supervised"])
def test_a_step(videos: Dataset, name: str, encoder: str) -> None:
    task = control(name, encoder)
    key = "image" if encoder == "resnet10_narrow" else "clip"
    assert set(task.needs) == {key} | ({"label"} if name == "supervised" else set())
    batch = videos.batch(np.arange(8), task.needs)
    views = task.views(batch, Draws(0, 0, total=8))
    assert views["image"].shape == (8, 3, *((8,) if key == "clip" else ()), 32, 32)
    step = task(views, Progress(0, 10), "task")
    torch.autograd.backward(step.loss)
    moved = any(p.grad is not None and p.grad.any() for p in task.encoder.parameters())
    assert moved == (name == "supervised")
    assert float(step.loss.detach()) == pytest.approx(
        math.log(2) if name == "supervised" else 0, abs=0.5
    )


def test_the_class_itself_is_left_alone() -> None:
    control("supervised", "r3d10_narrow")
    assert set(Supervised.needs) == {"image", "label"}

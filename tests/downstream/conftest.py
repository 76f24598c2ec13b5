"""Small labelled pictures for the tests of the downstream room."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from hotstart.data import Dataset, open_dataset
from hotstart.encoders import Encoder, build_encoder, resolve_spec
from tests.downstream.moving import write_actions


@pytest.fixture
def digits() -> Dataset:
    """1,797 handwritten digits, cut into train, val and test."""
    return open_dataset("digits:", size=32)


@pytest.fixture
def colours(class_folder: Path) -> Dataset:
    """240 pictures of two classes, 128 of them for training: for what needs no good answer."""
    return open_dataset(class_folder, size=32)


@pytest.fixture
def encoder() -> Encoder:
    """A narrow ResNet at random, in training mode, as a careless caller would leave it."""
    return build_encoder(resolve_spec("resnet10_narrow", 32), seed=0).train()


@pytest.fixture
def rng() -> np.random.Generator:
    return np.random.default_rng(0)


@pytest.fixture(scope="session")
def action_folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """80 videos of two classes that motion alone tells apart."""
    return write_actions(tmp_path_factory.mktemp("actions"), each=40)


@pytest.fixture
def actions(action_folder: Path) -> Dataset:
    """48 of them for training."""
    return open_dataset(action_folder, size=32)


@pytest.fixture
def clip_encoder() -> Encoder:
    """A narrow 3-D ResNet at random, in training mode."""
    return build_encoder(resolve_spec("r3d10_narrow", 32), seed=0).train()

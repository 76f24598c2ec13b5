"""Small labelled pictures for the tests of the downstream room."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from hotstart.data import Dataset, open_dataset
from hotstart.encoders import Encoder, build_encoder, resolve_spec


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

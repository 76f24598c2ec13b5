"""Data sets with a name; nothing is downloaded here."""

from __future__ import annotations

import struct
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from hotstart.data import open_dataset
from hotstart.errors import DataError, UsageError


def test_digits() -> None:
    dataset = open_dataset("digits:", size=None)
    assert (len(dataset), len(dataset.classes), dataset.size) == (1797, 10, 32)
    shares = np.bincount(dataset.split) / len(dataset)
    np.testing.assert_allclose(shares, (0.6, 0.2, 0.2), atol=0.01)
    first = dataset.batch(np.array([0]), {"image"})["image"][0]
    assert first.shape == (8, 8, 3)
    assert int(first.max()) == 239  # 15 of 16
    assert dataset.path(5) == "digits/000005"


def write_idx(path: Path, values: np.ndarray[Any, Any]) -> None:
    header = struct.pack(">BBBB", 0, 0, 8, values.ndim) + struct.pack(
        f">{values.ndim}I", *values.shape
    )
    path.write_bytes(header + values.astype(np.uint8).tobytes())


@pytest.fixture
def mnist(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A small set in MNIST's own files."""
    raw = tmp_path / "MNIST" / "raw"
    raw.mkdir(parents=True)
    rng = np.random.default_rng(0)
    for part, count in (("train", 30), ("t10k", 10)):
        write_idx(raw / f"{part}-images-idx3-ubyte", rng.integers(0, 256, (count, 28, 28)))
        write_idx(raw / f"{part}-labels-idx1-ubyte", np.arange(count) % 10)
    monkeypatch.setenv("HOTSTART_TORCHVISION", str(tmp_path))
    return raw


def test_torchvision_name(mnist: Path) -> None:
    dataset = open_dataset("MNIST", size=32)
    assert len(dataset) == 40
    assert len(dataset.classes) == 10
    assert dataset.labelled_splits() == ("train", "val", "test")
    assert len(dataset.indices("test")) == 10
    assert len(dataset.indices("val")) == 6
    raw = (mnist / "train-images-idx3-ubyte").read_bytes()[16:]
    pixels = dataset.batch(np.array([7]), {"image"})["image"][0].numpy()
    expected = np.frombuffer(raw, np.uint8).reshape(30, 28, 28)[7]
    np.testing.assert_array_equal(pixels, np.repeat(expected[..., None], 3, axis=2))
    assert open_dataset("mnist", size=32).fingerprint == dataset.fingerprint


def test_missing_set_is_one_sentence(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    import torchvision

    def refuse(root: str, train: bool, download: bool) -> None:
        raise RuntimeError("no network" if download else "Dataset not found")

    monkeypatch.setenv("HOTSTART_TORCHVISION", str(tmp_path))
    monkeypatch.setattr(torchvision.datasets, "CIFAR10", refuse)
    with pytest.raises(DataError, match=r"cifar10 is not in .* \(no network\); put torchvision's"):
        open_dataset("cifar10", size=32)
    with pytest.raises(UsageError, match="have no paths to group by"):
        open_dataset("cifar10", size=32, group="x")

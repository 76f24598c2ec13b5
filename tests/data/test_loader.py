"""Batches: order, slices, errors, and a thread that ends when asked to."""

from __future__ import annotations

import threading
from pathlib import Path

import numpy as np
import pytest
import torch

from hotstart.data import Dataset, Loader, open_dataset
from hotstart.errors import DataError
from tests.data.conftest import Make


@pytest.fixture
def dataset(tmp_path: Path, picture: Make) -> Dataset:
    """Twenty pictures of different sizes in two classes."""
    for i in range(20):
        picture(tmp_path / "ab"[i % 2] / f"{i:02d}.png", i, 20 + i, 16)
    return open_dataset(tmp_path, size=32)


def loader_threads() -> list[threading.Thread]:
    return [thread for thread in threading.enumerate() if thread.name == "hotstart-loader"]


def test_order_keys_and_pixels(dataset: Dataset) -> None:
    order = np.random.default_rng(0).permutation(20)
    batches = list(Loader(dataset, {"image", "index", "label"}, order, 6))
    assert len(batches) == 3
    assert set(batches[0]) == {"image", "index", "label"}
    seen = torch.cat([batch["index"] for batch in batches])
    assert seen.tolist() == order[:18].tolist()
    for batch in batches:
        for row, index in enumerate(batch["index"].tolist()):
            alone = dataset.batch(np.array([index]), {"image", "label"})
            assert torch.equal(batch["image"][row], alone["image"][0])
            assert batch["label"][row] == dataset.labels[index]


def test_last_batch_and_start_batch(dataset: Dataset) -> None:
    order = np.arange(20)
    whole = list(Loader(dataset, ("index",), order, 6, drop_last=False))
    assert [len(batch["index"]) for batch in whole] == [6, 6, 6, 2]
    late = Loader(dataset, ("index",), order, 6, start_batch=2)
    assert len(late) == 1
    assert [batch["index"].tolist() for batch in late] == [[12, 13, 14, 15, 16, 17]]


@pytest.mark.parametrize("drop_last", [True, False])
def test_slices_of_the_ranks_are_the_batch(dataset: Dataset, drop_last: bool) -> None:
    order = np.random.default_rng(1).permutation(20)
    keys = {"index", "image"}
    one = list(Loader(dataset, keys, order, 7, drop_last=drop_last))
    two = [
        list(Loader(dataset, keys, order, 7, rank=rank, world=2, drop_last=drop_last))
        for rank in range(2)
    ]
    for whole, first, second in zip(one, *two, strict=True):
        assert torch.equal(whole["index"], torch.cat([first["index"], second["index"]]))
        assert torch.equal(
            whole["image"].pixels, torch.cat([first["image"].pixels, second["image"].pixels])
        )


@pytest.mark.parametrize("at_hand", [True, False])
def test_error_reaches_the_consumer(
    dataset: Dataset, at_hand: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    get = dataset.pictures.get

    def fail(indices: np.ndarray[tuple[int], np.dtype[np.int64]]) -> object:
        if 12 in indices:
            raise OSError("the disk went away")
        return get(indices)

    monkeypatch.setattr(dataset.pictures, "get", fail)
    monkeypatch.setattr(dataset.pictures, "at_hand", at_hand)
    seen: list[torch.Tensor] = []
    with pytest.raises(OSError, match="went away"):
        seen.extend(
            batch["index"] for batch in Loader(dataset, {"index", "image"}, np.arange(20), 6)
        )
    assert len(seen) == 2
    assert not loader_threads()


def test_what_is_cached_needs_no_thread(dataset: Dataset, monkeypatch: pytest.MonkeyPatch) -> None:
    def pixels() -> list[torch.Tensor]:
        loader = Loader(dataset, {"image"}, np.arange(20), 6)
        threads: list[threading.Thread] = []
        found = []
        for batch in loader:
            threads += loader_threads()
            found.append(batch["image"].pixels)
        assert bool(threads) == (not dataset.pictures.at_hand)
        return found

    assert dataset.pictures.at_hand
    copied = pixels()
    monkeypatch.setattr(dataset.pictures, "at_hand", False)
    assert all(map(torch.equal, copied, pixels()))


def test_closing_early_stops_the_thread(dataset: Dataset, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(dataset.pictures, "at_hand", False)
    with Loader(dataset, {"image"}, np.tile(np.arange(20), 50), 4) as loader:
        batches = iter(loader)
        next(batches)
        assert loader_threads()
    assert not loader_threads()
    for _ in Loader(dataset, {"image"}, np.tile(np.arange(20), 50), 4):
        break
    assert not loader_threads()


def test_missing_key_is_named(dataset: Dataset, tmp_path: Path, picture: Make) -> None:
    with pytest.raises(DataError, match=r"has no 'clip'; it has 'group', 'image'"):
        Loader(dataset, {"clip", "image"}, np.arange(20), 4)
    picture(tmp_path / "plain" / "1.png")
    unlabelled = open_dataset(tmp_path / "plain", size=32)
    with pytest.raises(DataError, match="has no 'label'"):
        unlabelled.batch(np.array([0]), {"label"})

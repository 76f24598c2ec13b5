"""Worlds on disk: the same bytes, whoever writes them and however often they are stopped."""

from __future__ import annotations

import gc
import hashlib
import json
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest

from hotstart import api
from hotstart.errors import UsageError
from hotstart.world import generate, item, shards
from hotstart.world.asked import WorldSettings
from hotstart.world.item import Item, make
from hotstart.world.shards import Shards

WORLD = "world:images?n=7&size=16&samples=1"


def digests(folder: Path) -> dict[str, str]:
    return {
        path.relative_to(folder).as_posix(): hashlib.sha256(path.read_bytes()).hexdigest()
        for path in sorted(folder.rglob("*"))
        if path.is_file()
    }


@pytest.fixture(scope="module", autouse=True)
def small_shards() -> Any:
    with pytest.MonkeyPatch.context() as patch:
        patch.setitem(generate.IN_SHARD, "images", 3)
        yield


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return api.render(WORLD, tmp_path_factory.mktemp("world") / "whole", processes=1)


def test_shards_hold_what_the_folder_shows(whole: Path) -> None:
    tars = sorted((whole / "shards").iterdir())
    assert [path.name for path in tars] == [f"world-{i:06d}.tar" for i in range(3)]
    keys = set()
    for path in tars:
        for key, ending, position, size in shards.members(path):
            name = {"image.png": f"images/{key}.png", "json": f"labels/{key}.json"}
            kind, _, suffix = ending.partition(".")
            shown = whole / name.get(ending, f"{kind}/{key}.{suffix}")
            assert path.read_bytes()[position : position + size] == shown.read_bytes()
            keys.add(key)
    assert keys == {f"{i:06d}" for i in range(7)}
    depth = np.load(whole / "depth" / "000000.npy")
    assert depth.shape == (16, 16)
    assert depth.dtype == np.float32
    picture = cv2.imread(str(whole / "images" / "000000.png"))
    assert picture is not None
    assert picture.shape == (16, 16, 3)
    assert json.loads((whole / "labels" / "000003.json").read_text())["index"] == 3


@pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning")
def test_webdataset_reads_the_shards(whole: Path) -> None:
    webdataset = pytest.importorskip("webdataset")
    pattern = str(whole / "shards" / "world-{000000..000002}.tar")
    samples = list(webdataset.WebDataset(pattern, shardshuffle=False).decode("rgb8"))
    gc.collect()  # it leaves files open
    assert [sample["__key__"] for sample in samples] == [f"{i:06d}" for i in range(7)]
    assert samples[0]["image.png"].shape == (16, 16, 3)
    assert samples[0]["depth.npy"].shape == (16, 16)
    assert samples[0]["normals.npy"].shape == (16, 16, 3)
    assert samples[0]["json"]["world"].startswith("world:images?n=7&size=16")


def test_a_second_run_writes_the_same_bytes(whole: Path, tmp_path: Path) -> None:
    again = api.render(WORLD, tmp_path / "again", processes=1)
    assert digests(again) == digests(whole)


class StoppedError(Exception):
    """As if the process had ended."""


@pytest.mark.parametrize("items", [1, 3, 4])
def test_a_stopped_one_goes_on_and_equals_the_uninterrupted(
    items: int, whole: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def stop(what: str, done: int, total: int) -> None:
        if done == items:
            raise StoppedError

    with pytest.raises(StoppedError):
        api.render(WORLD, tmp_path / "half", processes=1, progress=stop)
    made: list[int] = []

    def counted(settings: WorldSettings, index: int) -> Item:
        made.append(index)
        return make(settings, index)

    monkeypatch.setattr(item, "make", counted)
    api.render(WORLD, tmp_path / "half", processes=1)
    assert made == list(range(items, 7))
    assert digests(tmp_path / "half") == digests(whole)
    api.render(WORLD, tmp_path / "half", processes=1)
    assert len(made) == 7 - items


def test_half_a_sample_and_an_archive_without_an_end_are_mended(tmp_path: Path) -> None:
    files = {"a.png": b"x" * 700, "json": b"{}"}
    straight = Shards(tmp_path / "straight", 2, 2)
    for i in range(2):
        straight.write(i, files)
    want = (tmp_path / "straight" / "world-000000.tar").read_bytes()
    for cut in (0, 100, 600, 1024, 2600, 3000, len(want) - 1024):
        folder = tmp_path / str(cut)
        folder.mkdir()
        (folder / "world-000000.tar.part").write_bytes(want[:cut])
        mended = Shards(folder, 2, 2)
        for i in mended.missing():
            mended.write(i, files)
        assert (folder / "world-000000.tar").read_bytes() == want, cut


def test_a_folder_with_something_else_is_left_alone(whole: Path, tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="another world"):
        api.render("world:images?n=8&size=16", whole, processes=1)
    (tmp_path / "mine.txt").write_text("mine")
    with pytest.raises(UsageError, match=r"mine\.txt"):
        api.render(WORLD, tmp_path, processes=1)
    assert [path.name for path in tmp_path.iterdir() if path.suffix] == ["mine.txt"]


@pytest.mark.slow
def test_all_cores_write_what_one_does(whole: Path, tmp_path: Path) -> None:
    other = api.render(WORLD, tmp_path / "two", processes=2)
    assert digests(other) == digests(whole)

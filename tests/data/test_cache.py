"""The decoded cache: reused, rebuilt, shared, bounded; and its quarantine."""

from __future__ import annotations

import csv
import errno
import multiprocessing
import os
from concurrent.futures import ProcessPoolExecutor
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from hotstart.data import cache, open_dataset
from hotstart.data.decode import decode
from hotstart.data.store import CachedStore, DecodingStore
from hotstart.errors import DataError
from tests.data.conftest import Make
from tests.data.test_decode import COLOUR, GOOD, encoded, huge_header, plain


@pytest.fixture
def photos(tmp_path: Path, picture: Make) -> Path:
    """Thirty pictures of different sizes."""
    for i in range(30):
        picture(tmp_path / "photos" / f"{i:02d}.png", i, 20 + 5 * i, 30 + i)
    return tmp_path / "photos"


def count_builds(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    builds: list[int] = []
    build = cache._build

    def counted(*arguments: Any) -> None:
        builds.append(1)
        build(*arguments)

    monkeypatch.setattr(cache, "_build", counted)
    return builds


def entries(folder: Path) -> list[Path]:
    return sorted(folder.glob("pictures/*/*/"))


def test_cache_holds_the_pictures(photos: Path, tmp_path: Path) -> None:
    seen: list[tuple[str, int, int]] = []
    dataset = open_dataset(
        photos, size=32, cache_dir=tmp_path / "c", progress=lambda *step: seen.append(step)
    )
    assert isinstance(dataset.pictures, CachedStore)
    assert seen[-1] == ("decode", 30, 30)
    order = np.array([29, 0, 7, 7])
    pictures = dataset.pictures.get(order)
    assert len(pictures) == 4
    for row, i in enumerate(order):
        expected = decode((photos / f"{i:02d}.png").read_bytes(), 48)
        np.testing.assert_array_equal(pictures[row].numpy(), expected)
    assert tuple(pictures[0].shape) == (48, 134, 3)
    assert dataset.describe()["pictures"] == 30


def test_reused_until_a_file_changes(
    photos: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    builds = count_builds(monkeypatch)
    folder = tmp_path / "c"
    first = open_dataset(photos, size=32, cache_dir=folder)
    again = open_dataset(photos, size=32, cache_dir=folder)
    assert len(builds) == 1
    assert again.fingerprint == first.fingerprint
    open_dataset(photos, size=64, cache_dir=folder)
    assert len(builds) == 2
    os.utime(photos / "03.png", ns=(1, 1))
    touched = open_dataset(photos, size=32, cache_dir=folder)
    assert len(builds) == 3
    assert touched.fingerprint == first.fingerprint
    Image.new("RGB", (9, 9), COLOUR).save(photos / "03.png")
    changed = open_dataset(photos, size=32, cache_dir=folder)
    assert changed.fingerprint != first.fingerprint
    (photos / "04.png").unlink()
    assert len(open_dataset(photos, size=32, cache_dir=folder)) == 29
    assert len(entries(folder)) == 2  # one for each size: what is out of date is gone


def test_damaged_cache_is_built_again(
    photos: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    builds = count_builds(monkeypatch)
    first = open_dataset(photos, size=32, cache_dir=tmp_path / "c")
    (entry,) = entries(tmp_path / "c")
    with (entry / "pixels.bin").open("r+b") as file:
        file.truncate(100)
    again = open_dataset(photos, size=32, cache_dir=tmp_path / "c")
    assert len(builds) == 2
    assert again.fingerprint == first.fingerprint


def open_elsewhere(photos: Path, folder: Path) -> str:
    return open_dataset(photos, size=32, cache_dir=folder).fingerprint


def test_two_processes_at_once(photos: Path, tmp_path: Path) -> None:
    folder = tmp_path / "c"
    with ProcessPoolExecutor(2, multiprocessing.get_context("spawn")) as pool:
        both = [pool.submit(open_elsewhere, photos, folder) for _ in range(2)]
        prints = {future.result() for future in both}
    assert len(prints) == 1
    assert len(entries(folder)) == 1


def test_no_room_decodes_on_demand(photos: Path, tmp_path: Path) -> None:
    """Same face, same pictures; a file that vanishes later is one sentence."""
    cached = open_dataset(photos, size=32, cache_dir=tmp_path / "a")
    dataset = open_dataset(photos, size=32, cache_dir=tmp_path / "b", cache_bytes=1000)
    assert isinstance(dataset.pictures, DecodingStore)
    assert dataset.fingerprint == cached.fingerprint
    indices = np.array([5, 29, 0])
    one, other = cached.pictures.get(indices), dataset.pictures.get(indices)
    np.testing.assert_array_equal(one.pixels.numpy(), other.pixels.numpy())
    assert not list((tmp_path / "b").rglob("pixels.bin"))
    (photos / "05.png").unlink()
    with pytest.raises(DataError, match=r"05.png could be read when the run began"):
        dataset.pictures.get(indices)


def test_full_disk_is_told_from_a_broken_one(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A disk that takes 1000 bytes at a time, and 5000 in all."""
    write = os.write
    taken: list[int] = []

    def slow(file: int, parts: list[memoryview]) -> int:
        if sum(taken) >= 5000:
            raise OSError(errno.ENOSPC, "no space")
        taken.append(write(file, b"".join(parts)[:1000]))
        return taken[-1]

    monkeypatch.setattr(os, "writev", slow)
    pictures = list(np.random.default_rng(0).integers(0, 256, (4, 20, 20, 3), dtype=np.uint8))
    with (tmp_path / "disk").open("wb") as file:
        assert cache._write(file.fileno(), pictures)
        assert (tmp_path / "disk").read_bytes() == b"".join(map(bytes, pictures))
        assert not cache._write(file.fileno(), pictures)
        assert not (tmp_path / "disk").read_bytes()


def test_disk_fills_while_building(
    photos: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Pictures are decoded on demand then; any other failure is one sentence and leaves nothing."""
    monkeypatch.setattr(cache, "_write", lambda *_: False)
    dataset = open_dataset(photos, size=32, cache_dir=tmp_path / "c", cache_bytes=10**6)
    assert isinstance(dataset.pictures, DecodingStore)
    assert len(dataset) == 30
    monkeypatch.undo()
    roomier = open_dataset(photos, size=32, cache_dir=tmp_path / "c", cache_bytes=10**7)
    assert isinstance(roomier.pictures, CachedStore)

    def broken(*_: object) -> bool:
        raise OSError(errno.EIO, "the disk is broken")

    monkeypatch.setattr(cache, "_write", broken)
    with pytest.raises(DataError, match="the disk is broken; make room there or set XDG_CACHE"):
        open_dataset(photos, size=32, cache_dir=tmp_path / "d")
    assert entries(tmp_path / "d") == []


def test_cache_folder_that_cannot_be_made(photos: Path, tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(DataError, match="cannot be used"):
        open_dataset(photos, size=32, cache_dir=tmp_path / "file")


def test_corrupt_corpus(tmp_path: Path, picture: Make, capfd: pytest.CaptureFixture[str]) -> None:
    """Bad files among good ones: named exactly, with the reason, also when the cache is warm."""
    root = tmp_path / "corpus"
    for i in range(200):
        picture(root / f"good_{i:03d}.png", i)
    noise = np.random.default_rng(0).integers(0, 256, (64, 64, 3), dtype=np.uint8)
    jpeg = encoded(Image.fromarray(noise), "JPEG")
    bad = {
        "zero.jpg": (b"", "empty"),
        "cut.jpg": (jpeg[: len(jpeg) // 2], "truncated"),
        "cut.png": (encoded(Image.fromarray(noise), "PNG")[:500], "truncated"),
        "huge.png": (huge_header("png"), "too large"),
        "text.jpg": (b"not a picture at all\n" * 20, "not a picture"),
    }
    for name, (data, _) in bad.items():
        (root / name).write_bytes(data)
    fine = {name: make() for name, (make, _, _) in GOOD.items()}
    for name, data in fine.items():
        (root / f"fine {name}.jpg").write_bytes(data)  # mislabelled, most of them
    (root / "notes.txt").write_text("nothing to do with it")
    (root / "rotated.jpg").write_bytes(
        encoded(
            plain(size=(30, 20)),
            "JPEG",
            exif=b"Exif\0\0MM\0*\0\0\0\x08\0\x01\x01\x12\0\x03\0\0\0\x01\0\x06\0\0\0\0\0\0",
        )
    )
    for run in range(2):
        dataset = open_dataset(root, size=32, cache_dir=tmp_path / "c")
        assert len(dataset) == 200 + len(fine) + 1
        dataset.write_quarantine(tmp_path / f"{run}.csv")
        with (tmp_path / f"{run}.csv").open(encoding="utf-8", newline="") as file:
            found = {row["path"]: row["reason"] for row in csv.DictReader(file)}
        assert set(found) == set(bad)
        for name, (_, reason) in bad.items():
            assert found[name].startswith(reason)
        rotated = [i for i in range(len(dataset)) if dataset.path(i) == "rotated.jpg"]
        assert tuple(dataset.pictures.get(np.array(rotated))[0].shape) == (30, 20, 3)
    assert capfd.readouterr().err == ""


def test_suggested_size(tmp_path: Path, picture: Make) -> None:
    for width, expected in ((20, 32), (47, 32), (50, 48), (300, 64)):
        picture(tmp_path / str(width) / "a.png", 0, width, width + 10)
        assert open_dataset(tmp_path / str(width), size=None).size == expected

"""The index is small, ordered and complete."""

from __future__ import annotations

import gc
import tracemalloc
from pathlib import Path

from hotstart.data import index
from hotstart.data.index import is_picture_name, walk


def test_order_is_by_folder_then_name(tmp_path: Path, monkeypatch: object) -> None:
    names = ["b/2.png", "b/10.png", "a/x.jpg", "z.gif", "a/b/c.JPEG", "b/10.pngx"]
    for name in names:
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_bytes(b"x" * len(name))
    found = walk(tmp_path)
    assert list(found.relatives()) == ["z.gif", "a/x.jpg", "a/b/c.JPEG", "b/10.png", "b/2.png"]
    assert found.sizes.tolist() == [5, 7, 10, 8, 7]
    assert (found.others, found.other_example) == (1, "10.pngx")
    assert [Path(found.file(i).decode()).stat().st_mtime_ns for i in range(5)] == list(
        found.changed
    )


def test_names_are_packed_in_stretches(tmp_path: Path) -> None:
    """A folder larger than one stretch is ordered as a whole."""
    expected = sorted(f"{i:x}_{i % 7}.png" for i in range(300))
    for name in expected:
        (tmp_path / name).touch()
    before, index.FLUSH = index.FLUSH, 64
    try:
        found = walk(tmp_path)
    finally:
        index.FLUSH = before
    assert list(found.relatives()) == expected
    assert found.fingerprint == walk(tmp_path).fingerprint


def test_endings() -> None:
    assert all(map(is_picture_name, ("a.jpg", "a.JPG", "a.b.Tiff", ".x.png")))
    assert not any(map(is_picture_name, ("jpg", "a.jpg.txt", "a", "a.")))


def test_memory_per_file(tmp_path: Path) -> None:
    """Under 60 bytes a file, and no Python object for each."""
    count = 4000
    for i in range(count):
        (tmp_path / f"picture_{i:06d}.jpg").touch()
    walk(tmp_path)
    gc.collect()
    objects = len(gc.get_objects())
    tracemalloc.start()
    found = walk(tmp_path)
    resident = tracemalloc.get_traced_memory()[0]
    tracemalloc.stop()
    assert len(found) == count
    assert resident / count < 60
    gc.collect()
    assert len(gc.get_objects()) - objects < 100

"""`world:` where any other DATA may stand."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest

from hotstart import api
from hotstart.data import open_dataset
from hotstart.errors import DataError, UsageError
from hotstart.world.scene import SHAPES

WORLD = "world:images?n=12&size=32&samples=1"


def test_a_world_is_rendered_once_and_read_like_any_other_data() -> None:
    heard: list[tuple[str, int, int]] = []
    data = open_dataset(WORLD, size=32, progress=lambda *said: heard.append(said))
    assert ("render", 12, 12) in heard
    assert len(data) == 12
    assert data.classes == SHAPES
    assert set(data.labels.tolist()) <= set(range(-1, len(SHAPES)))
    assert data.batch(np.arange(3), ("image",))["image"][2].shape == (32, 32, 3)
    heard.clear()
    again = open_dataset(WORLD, size=32, progress=lambda *said: heard.append(said))
    assert not heard
    assert again.fingerprint == data.fingerprint


def test_a_rendered_folder_is_the_same_data(tmp_path: Path) -> None:
    folder = api.render(WORLD, tmp_path / "made", processes=1)
    data = open_dataset(str(folder), size=32)
    assert data.fingerprint == open_dataset(WORLD, size=32).fingerprint
    # Its picture folder alone is a folder of pictures, masks and all else left aside.
    assert len(open_dataset(str(folder / "images"), size=32)) == 12


@pytest.mark.slow
def test_a_run_trains_on_it(tmp_path: Path) -> None:
    run = api.pretrain(WORLD, task="rotation", steps=2, batch_size=4, size=32, out=tmp_path / "run")
    records = [json.loads(line) for line in (run / "results.jsonl").read_text().splitlines()]
    assert records[0]["data"] == WORLD


def test_what_does_not_fit_a_world_is_told(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="rendered world, which has its own"):
        open_dataset(WORLD, size=32, label="shape")
    with pytest.raises(UsageError, match="nearest: images"):
        open_dataset("world:imags", size=32)
    folder = api.render("world:images?n=1&size=16&samples=1", tmp_path, form="folder", processes=1)
    with pytest.raises(DataError, match="no shards/"):
        open_dataset(str(folder), size=32)
    (folder / "done").unlink()
    with pytest.raises(DataError, match="not finished"):
        open_dataset(str(folder), size=32)

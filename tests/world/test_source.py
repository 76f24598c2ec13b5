"""`world:` where any other DATA may stand."""

from __future__ import annotations

import json
import os
from pathlib import Path

import cv2
import numpy as np
import pytest
import torch

from hotstart import api
from hotstart.data import open_dataset
from hotstart.data.sample import RENDERED, TRUTHS, Spec
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
    assert data.fingerprint.startswith(RENDERED), "no evidence, wherever it lies"
    assert open_dataset(f"camera:{folder}", size=32).fingerprint.startswith(RENDERED)
    # Its picture folder alone is a folder of pictures, masks and all else left aside.
    alone = open_dataset(str(folder / "images"), size=32)
    assert len(alone) == 12
    assert not alone.fingerprint.startswith(RENDERED)


CLIPS = "world:videos?n=2&frames=4&size=24&samples=1&hz=8"


def test_of_clips_it_knows_the_frame_that_is_shown(tmp_path: Path) -> None:
    """Every key is that of one frame, the last one aside where motion is asked."""
    folder = api.render(CLIPS, tmp_path / "made", processes=1)
    data, rows = open_dataset(str(folder), size=24), np.array([0, 0, 1])
    assert {"clip", "pose", "audio", *TRUTHS} <= data.keys
    places = torch.tensor([0.0, 1.0, 1.0])
    batch = data.batch(rows, ("image", *TRUTHS), places)
    for row, (item, frame) in enumerate([(0, 0), (0, 2), (1, 2)]):
        place = f"{item:06d}/{frame:02d}"
        picture = cv2.imread(str(folder / f"images/{place}.png"))[..., ::-1]  # type: ignore[index]
        assert np.array_equal(batch["image"][row].numpy(), picture)
        flow, depth = (np.load(folder / f"{key}/{place}.npy") for key in ("flow", "depth"))
        assert np.array_equal(batch["exact_flow"][row].numpy(), flow.transpose(2, 0, 1))
        assert np.array_equal(batch["depth"][row, 0].numpy(), depth)
        for key in ("instances", "occlusion"):
            mask = cv2.imread(str(folder / f"{key}/{place}.png"), cv2.IMREAD_GRAYSCALE)
            assert np.array_equal(batch[key][row, 0].numpy() > 0, np.asarray(mask) > 0)
    last = data.batch(rows, ("image",), places)["image"][1]
    assert np.array_equal(last.numpy(), cv2.imread(str(folder / "images/000000/03.png"))[..., ::-1])  # type: ignore[index]


def test_a_clip_s_poses_are_those_of_its_cameras(tmp_path: Path) -> None:
    folder = api.render(CLIPS, tmp_path / "made", processes=1)
    data = open_dataset(str(folder), size=24)
    poses = data.batch(np.array([1]), {"pose": Spec(4, 3 / 8)})["pose"][0].numpy()
    frames = json.loads((folder / "labels/000001.json").read_text())["frames"]
    for pose, frame in zip(poses, frames, strict=True):
        assert np.allclose(pose[:3, :3], frame["camera"]["rotation"])
        assert np.allclose(pose[:3, 3], frame["camera"]["position_metres"])
        assert np.allclose(pose[:3, :3] @ pose[:3, :3].T, np.eye(3), atol=1e-6)


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


def test_a_damaged_shard_is_rendered_anew(tmp_path: Path) -> None:
    text = "world:images?n=2&size=16&samples=1"
    folder = api.render(text, tmp_path / "made", form="shards", processes=1)
    (shard,) = folder.rglob("*.tar")
    assert len(open_dataset(str(folder), size=16)) == 2
    os.truncate(shard, shard.stat().st_size // 2)
    with pytest.raises(DataError, match=r"world-000000\.tar: truncated: .*; render it anew"):
        open_dataset(str(folder), size=16)

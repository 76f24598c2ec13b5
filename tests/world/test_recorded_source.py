"""Recordings of CARLA and AirSim as data to train on."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from hotstart import api
from hotstart.data import open_dataset
from hotstart.data.sample import RENDERED
from hotstart.errors import DataError, UsageError
from hotstart.league.records import read_records
from hotstart.world.asked import parse_world
from hotstart.world.item import make
from hotstart.world.recorded_source import MAP_PX, normals_of, thinned
from tests.world.test_recorded import carla_pixels, pfm, save

FRAMES, HEIGHT, WIDTH = 24, 36, 48


def metres_of(frame: int) -> np.ndarray:
    """A floor one metre below a level camera of 90 degrees, and a wall."""
    y = ((np.arange(HEIGHT) + 0.5) / HEIGHT * 2 - 1) * HEIGHT / WIDTH
    floor = np.where(y > 0, 1 / np.maximum(y, 1e-9), np.inf)
    return np.minimum(floor, 3.0 + frame / 4)[:, None].repeat(WIDTH, 1)


@pytest.fixture(scope="module")
def carla(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder, rng = tmp_path_factory.mktemp("carla"), np.random.default_rng(0)
    for i in range(FRAMES):
        name, metres = f"{i:06d}.png", metres_of(i)
        image = rng.integers(0, 256, (HEIGHT, WIDTH, 3), dtype=np.uint8)
        save(folder / "rgb" / name, image)
        save(folder / "depth" / name, carla_pixels(metres))
        tags = np.zeros((HEIGHT, WIDTH, 3), np.uint8)
        tags[metres < metres.max(), 0] = 7
        save(folder / "segmentation" / name, tags)
    return folder


def test_normals_of_planes_are_exact() -> None:
    normals = normals_of(metres_of(0).astype(np.float32), 90.0)
    wall, floor = normals[2:16], normals[-8:]
    assert np.allclose(wall, [0, 0, -1], atol=1e-4)
    assert np.allclose(floor, [0, -1, 0], atol=1e-3)
    sky = np.full((4, 4), np.inf, np.float32)
    assert not normals_of(sky, 90.0).any()


def test_normals_of_depth_are_those_that_the_renderer_knows() -> None:
    right = pixels = 0.0
    for i in range(4):
        item = make(parse_world("world:objects?n=4&size=48&samples=1"), i)
        seen = item.frames[0]
        said = normals_of(seen.depth, item.scene.cameras[0].fov_degrees)
        known = np.isfinite(seen.depth)
        cosine = (said * seen.normals).sum(-1)[known]
        right, pixels = right + float((cosine > np.cos(np.radians(15))).sum()), pixels + known.sum()
    assert right > 0.9 * pixels


def test_a_carla_folder_is_data_that_knows_its_pixels(carla: Path) -> None:
    data = open_dataset(f"recorded:{carla}", size=32)
    assert len(data) == FRAMES
    assert data.fingerprint.startswith(RENDERED)
    batch = data.batch(np.array([0, 5]), ("image", "depth", "normals", "contours"))
    assert np.allclose(batch["depth"][1, 0].numpy(), metres_of(5), atol=1e-3)
    assert batch["normals"].shape == (2, 3, HEIGHT, WIDTH)
    # One line across the picture, where the floor meets the wall.
    assert batch["contours"][0, 0].sum(0).tolist() == [1] * WIDTH
    wide = open_dataset(f"recorded:{carla}?fov_degrees=60", size=32)
    other = wide.batch(np.array([0]), ("normals",))["normals"]
    assert abs(float((other[0] - batch["normals"][0]).abs().max())) > 0.1


def test_rendered_trains_on_it(carla: Path, tmp_path: Path) -> None:
    run = api.pretrain(
        f"recorded:{carla}", task="rendered", steps=2, batch_size=8, size=32, out=tmp_path / "run"
    )
    assert "depth_close" in {record.metric for record in read_records(run / "results.jsonl")}


def test_an_airsim_recording_without_classes_has_no_contours(tmp_path: Path) -> None:
    columns = ["POS_X", "POS_Y", "POS_Z", "Q_W", "Q_X", "Q_Y", "Q_Z", "ImageFile"]
    lines = ["\t".join(columns)]
    for i in range(8):
        image = np.full((HEIGHT, WIDTH, 3), 20 * i, np.uint8)
        save(tmp_path / "images" / f"img_{i}.png", image)
        pfm(tmp_path / "images" / f"img_{i}.pfm", metres_of(i))
        lines.append("\t".join(["0", "0", "0", "1", "0", "0", "0", f"img_{i}.png;img_{i}.pfm"]))
    (tmp_path / "airsim_rec.txt").write_text("\n".join(lines) + "\n")
    data = open_dataset(f"recorded:{tmp_path}", size=32)
    depth = data.batch(np.array([3]), ("depth",))["depth"]
    assert np.allclose(depth[0, 0].numpy(), metres_of(3), atol=1e-4)
    with pytest.raises(DataError, match="'contours'"):
        data.require(("image", "contours"))


def test_large_maps_are_thinned_and_not_averaged() -> None:
    values = np.arange(300 * 400, dtype=np.float32).reshape(300, 400)
    small = thinned(values)
    assert min(small.shape) == MAP_PX
    assert np.isin(small, values).all()


def test_what_is_no_recording_is_told(tmp_path: Path, carla: Path) -> None:
    with pytest.raises(UsageError, match="no folder"):
        open_dataset("recorded:/nowhere/at/all", size=32)
    with pytest.raises(DataError, match="no recording of CARLA"):
        open_dataset(f"recorded:{tmp_path}", size=32)
    with pytest.raises(UsageError, match="no setting 'fov'"):
        open_dataset(f"recorded:{carla}?fov=90", size=32)
    save(tmp_path / "rgb" / "a.png", np.zeros((8, 8, 3), np.uint8))
    save(tmp_path / "rgb" / "b.png", np.zeros((8, 9, 3), np.uint8))
    for name, width in (("a", 8), ("b", 9)):
        save(tmp_path / "depth" / f"{name}.png", np.ones((8, width, 3), np.uint8))
    data = open_dataset(f"recorded:{tmp_path}", size=32)
    with pytest.raises(DataError, match="of one size"):
        data.batch(np.arange(2), ("depth",))

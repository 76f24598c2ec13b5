"""Recordings of CARLA and AirSim, written here byte by byte as those engines write them."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from hotstart.errors import DataError
from hotstart.world.recorded import (
    airsim_pose,
    carla_depth,
    carla_pose,
    read_airsim,
    read_carla,
    read_pfm,
)

RIGHT, DOWN, FORWARD = np.eye(3)


def save(path: Path, pixels: np.ndarray) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(pixels).save(path)


def carla_pixels(metres: np.ndarray) -> np.ndarray:
    """As CARLA encodes depth: red is the lowest byte."""
    number = np.round(metres / 1000 * (2**24 - 1)).astype(np.int64)
    return np.stack([number % 256, number // 256 % 256, number // 65536], -1).astype(np.uint8)


def pfm(path: Path, metres: np.ndarray) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    height, width = metres.shape
    head = f"Pf\n{width} {height}\n-1.0\n".encode()
    path.write_bytes(head + metres[::-1].astype("<f4").tobytes())


def test_carla_depth_is_metres_and_the_sky_is_far() -> None:
    metres = np.array([[0.5, 12.25], [333.0, 999.0]])
    assert np.allclose(carla_depth(carla_pixels(metres)), metres, atol=1e-3)
    assert np.isinf(carla_depth(np.full((1, 1, 3), 255, np.uint8))).all()


def test_a_carla_camera_looks_where_unreal_says() -> None:
    still = carla_pose(1, 2, 3, 0, 0, 0)
    assert np.allclose(still[:3, :3], np.eye(3))
    assert np.allclose(still[:3, 3], [2, -3, 1])  # right, down, forward
    assert np.allclose(carla_pose(0, 0, 0, 0, 90, 0)[:3, :3] @ FORWARD, RIGHT)
    assert np.allclose(carla_pose(0, 0, 0, 90, 0, 0)[:3, :3] @ FORWARD, -DOWN)
    assert np.allclose(carla_pose(0, 0, 0, 0, 0, 90)[:3, :3] @ RIGHT, DOWN)


def test_an_airsim_camera_looks_where_its_quaternion_says() -> None:
    half = np.sqrt(0.5)
    to_east = airsim_pose(np.array([1.0, 2, 3]), np.array([half, 0, 0, half]))
    assert np.allclose(to_east[:3, :3] @ FORWARD, RIGHT)
    assert np.allclose(to_east[:3, 3], [2, 3, 1])
    nose_up = airsim_pose(np.zeros(3), np.array([half, 0, half, 0]))
    assert np.allclose(nose_up[:3, :3] @ FORWARD, -DOWN)


def test_a_carla_folder_is_read(tmp_path: Path) -> None:
    rng = np.random.default_rng(0)
    metres = rng.uniform(1, 90, (6, 8))
    for name in ("000001", "000002"):
        image = rng.integers(0, 256, (6, 8, 3), dtype=np.uint8)
        save(tmp_path / "rgb" / f"{name}.png", image)
        save(tmp_path / "depth" / f"{name}.png", carla_pixels(metres))
        tags = np.zeros((6, 8, 3), np.uint8)
        tags[:3, :, 0] = 7
        save(tmp_path / "segmentation" / f"{name}.png", tags)
    (tmp_path / "poses.csv").write_text("frame,x,y,z,pitch,yaw,roll\n000002,1,0,0,0,0,0\n")
    first, second = read_carla(tmp_path)
    assert (first.name, second.name) == ("000001", "000002")
    assert (second.image == image).all()
    assert second.depth is not None
    assert np.allclose(second.depth, metres, atol=1e-3)
    assert second.tags is not None
    assert second.tags[:, 0].tolist() == [7, 7, 7, 0, 0, 0]
    assert first.pose is None
    assert second.pose is not None
    assert np.allclose(second.pose[:3, 3], [0, 0, 1])


def test_an_airsim_recording_is_read(tmp_path: Path) -> None:
    rng = np.random.default_rng(0)
    image = rng.integers(0, 256, (4, 5, 3), dtype=np.uint8)
    metres = rng.uniform(1, 50, (4, 5)).astype(np.float32)
    images = tmp_path / "images"
    save(images / "img_SimpleFlight__0_1.png", image)
    save(images / "img_SimpleFlight__5_1.png", np.full((4, 5, 3), (9, 1, 1), np.uint8))
    pfm(images / "img_SimpleFlight__1_1.pfm", metres)
    names = ["img_SimpleFlight__0_1.png", "img_SimpleFlight__1_1.pfm", "img_SimpleFlight__5_1.png"]
    columns = ["VehicleName", "TimeStamp", "POS_X", "POS_Y", "POS_Z", "Q_W", "Q_X", "Q_Y", "Q_Z"]
    row = ["SimpleFlight", "1", "2", "3", "-1", "1", "0", "0", "0", ";".join(names)]
    table = "\t".join([*columns, "ImageFile"]) + "\n" + "\t".join(row) + "\n"
    (tmp_path / "airsim_rec.txt").write_text(table)
    (frame,) = read_airsim(tmp_path)
    assert (frame.image == image).all()
    assert frame.depth is not None
    assert np.array_equal(frame.depth, metres)
    assert frame.tags is not None
    assert (frame.tags == 9).all()
    assert frame.pose is not None
    assert frame.pose[:3, 3].tolist() == [3, -1, 2]


def test_broken_recordings_are_named(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="no recording of CARLA"):
        read_carla(tmp_path)
    with pytest.raises(DataError, match="no recording of AirSim"):
        read_airsim(tmp_path)
    save(tmp_path / "rgb" / "1.png", np.zeros((4, 4, 3), np.uint8))
    save(tmp_path / "depth" / "1.png", np.zeros((4, 5, 3), np.uint8))
    with pytest.raises(DataError, match="its depth is 5 x 4 px, the picture 4 x 4"):
        read_carla(tmp_path)
    (tmp_path / "a.pfm").write_bytes(b"Pf\n4 4\n-1.0\nshort")
    with pytest.raises(DataError, match="damaged"):
        read_pfm(tmp_path / "a.pfm")
    (tmp_path / "airsim_rec.txt").write_text("POS_X\tPOS_Y\n1\t2\n")
    with pytest.raises(DataError, match="no column 'POS_Z'"):
        read_airsim(tmp_path)

"""Generated camera motion: what each frame shows is what its pose says, to the pixel."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest
from PIL import Image

from hotstart.data import open_dataset
from hotstart.data.camera import WIDE
from hotstart.data.sample import Spec
from hotstart.errors import UsageError

SPECS = {"clip": Spec(frames=6, seconds=2.0), "pose": Spec(frames=6, seconds=2.0)}
SIDE = 96
Numbers = npt.NDArray[Any]


@pytest.fixture
def spots(tmp_path: Path) -> Path:
    """Dark pictures with a red, a green and a blue spot, the middles of which are known."""
    for name, places in (("a", ((60, 60), (120, 70), (80, 130))), ("b", ((100, 50),) * 3)):
        pixels = np.full((180, 180, 3), 20.0)
        y, x = np.mgrid[0:180, 0:180]
        for channel, (across, down) in enumerate(places):
            bump = np.exp(-((x - across) ** 2 + (y - down) ** 2) / (2 * 4.0**2))
            pixels[..., channel] += 200 * bump
        (tmp_path / name).mkdir()
        Image.fromarray(pixels.round().astype(np.uint8)).save(tmp_path / name / f"{name}.png")
    return tmp_path


def centre(values: Numbers) -> Numbers:
    """Centre of what is bright, x and y in pixels."""
    weight = np.clip(values.astype(float) - 40, 0, None)
    y, x = np.mgrid[0 : len(values), 0 : len(values)]
    found: Numbers = np.array([(weight * x).sum(), (weight * y).sum()]) / weight.sum()
    return found


def test_spots_are_where_the_pose_says(spots: Path) -> None:
    """By hand: a point of the plane z = 1, seen from the pose, through a lens of focal length 1."""
    dataset = open_dataset(f"camera:{spots}?degrees=6&shift=0.15", size=64)
    assert dataset.kind.startswith("camera over")
    assert dataset.classes == ("a", "b")
    row = dataset.labels.tolist().index(0)
    batch = dataset.batch(np.array([row]), SPECS)
    moved = []
    for frame, pose in zip(batch["clip"][0].numpy(), batch["pose"][0].numpy(), strict=True):
        assert frame.shape == (SIDE, SIDE, 3)
        for channel, place in enumerate(((60, 60), (120, 70), (80, 130))):
            point = np.append((np.array(place) - 89.5) * WIDE / 180, 1)
            seen = np.linalg.inv(pose) @ np.append(point, 1)
            expected = seen[:2] / seen[2] * SIDE + (SIDE - 1) / 2
            if not ((expected > 14) & (expected < SIDE - 15)).all():
                continue
            found = centre(frame[..., channel])
            np.testing.assert_allclose(found, expected, atol=0.35)
            moved.append(found)
    assert len(moved) > 8
    assert np.ptp(np.array(moved), axis=0).min() > 5


def test_motion_is_a_function_of_picture_and_seed(spots: Path) -> None:
    def poses(query: str) -> Numbers:
        dataset = open_dataset(f"camera:{spots}?{query}", size=32)
        return dataset.batch(np.arange(2), {"pose": SPECS["pose"]})["pose"].numpy()

    first = poses("")
    assert np.array_equal(first, poses("seed=0"))
    assert not np.allclose(first, poses("seed=1"))
    assert not np.allclose(first[0], first[1])
    turns_alone = poses("shift=0")
    assert np.allclose(turns_alone[..., :3, 3], 0)
    assert not np.allclose(turns_alone[..., :3, :3], np.eye(3))


@pytest.mark.parametrize(
    ("query", "said"),
    [
        ("speed=2", "valid are frames, hz, degrees, shift, seed"),
        ("frames=2.5", "is not a whole number"),
        ("degrees=80", "it must be 0 to 30"),
        ("frames=1", "it must be 2 to 10000"),
    ],
)
def test_what_is_no_motion_is_refused(query: str, said: str, spots: Path) -> None:
    with pytest.raises(UsageError) as error:
        open_dataset(f"camera:{spots}?{query}", size=32)
    assert said in str(error.value)


def test_frames_decoded_on_demand_are_those_of_the_cache(spots: Path, tmp_path: Path) -> None:
    kept = open_dataset(f"camera:{spots}", size=32, cache_dir=tmp_path / "one")
    asked = open_dataset(f"camera:{spots}", size=32, cache_dir=tmp_path / "two", cache_bytes=0)
    for one, other in zip(
        kept.batch(np.array([1]), SPECS)["clip"][0],
        asked.batch(np.array([1]), SPECS)["clip"][0],
        strict=True,
    ):
        assert np.array_equal(one, other)

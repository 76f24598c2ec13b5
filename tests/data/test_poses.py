"""Camera poses beside videos and frames: every form says the same, and what is wrong is told."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import numpy.typing as npt
import pytest
import torch
from PIL import Image
from scipy.spatial.transform import Rotation

from hotstart.data import open_dataset
from hotstart.data.headers import Unreadable
from hotstart.data.pose_files import read_track
from hotstart.data.sample import Spec
from hotstart.errors import DataError
from tests.data.films import EVEN, HZ, film, number, picture

FRAMES = len(EVEN)
Floats = npt.NDArray[np.float64]
SPECS = {"clip": Spec(frames=4, seconds=0.2), "pose": Spec(frames=4, seconds=0.2)}


def trajectory(frames: int = FRAMES) -> Floats:
    """A camera that turns by 3 degrees a frame; for frame t it is at (t, -2 t, 0.5)."""
    matrices = np.tile(np.eye(4), (frames, 1, 1))
    axis = np.array([1.0, 2.0, -1.0]) / np.sqrt(6)
    t = np.arange(frames)
    matrices[:, :3, :3] = Rotation.from_rotvec(np.radians(3 * t)[:, None] * axis).as_matrix()
    matrices[:, 0, 3], matrices[:, 1, 3], matrices[:, 2, 3] = t, -2 * t, 0.5
    return matrices


def lines(table: Floats, separator: str = " ") -> str:
    return "\n".join(separator.join(repr(float(value)) for value in row) for row in table)


def quaternions(matrices: Floats) -> Floats:
    turns = Rotation.from_matrix(matrices[:, :3, :3]).as_quat()
    return np.concatenate([matrices[:, :3, 3], turns], 1)


def written(form: str, matrices: Floats) -> tuple[str, str]:
    """Ending of a pose file of this form, and what stands in it."""
    rows, t = quaternions(matrices), np.arange(len(matrices))[:, None]
    whole = matrices.reshape(len(matrices), 16)
    if form == "csv by frame":
        return "csv", "frame,tx,ty,tz,qx,qy,qz,qw\n" + lines(np.hstack([t, rows]), ",")
    if form == "csv by time":
        return "csv", "qx,qy,qz,qw,x,y,z,seconds\n" + lines(
            np.hstack([rows[:, 3:], rows[:, :3], t / HZ]), ","
        )
    tables = {
        "tum": np.hstack([t / HZ, rows]),
        "kitti": whole[:, :12],
        "rows of sixteen": whole,
        "numbered, backwards": np.hstack([t, whole])[::-1],
    }
    return "txt", "# a comment\n" + lines(tables[form])


FORMS = ("csv by frame", "csv by time", "tum", "kitti", "rows of sixteen", "numbered, backwards")


@pytest.mark.parametrize("form", FORMS)
def test_every_form_gives_each_frame_its_pose(form: str, tmp_path: Path) -> None:
    film(tmp_path / "a.mp4")
    ending, text = written(form, trajectory())
    (tmp_path / f"a.poses.{ending}").write_text(text)
    dataset = open_dataset(tmp_path, size=32)
    assert "pose" in dataset.keys
    batch = dataset.batch(np.array([0, 0]), SPECS, torch.tensor([0.1, 0.8]))
    assert batch["pose"].shape == (2, 4, 4, 4)
    for row in range(2):
        shown = [number(frame.numpy()) for frame in batch["clip"][row]]
        np.testing.assert_allclose(batch["pose"][row], trajectory()[shown], atol=1e-9)


@pytest.mark.parametrize("above", [False, True])
def test_frames_of_a_folder_have_poses_by_their_numbers(above: bool, tmp_path: Path) -> None:
    folder = tmp_path / "drive" / "color"
    folder.mkdir(parents=True)
    for i in range(FRAMES):
        Image.fromarray(picture(i)).save(folder / f"frame-{2 * i:06d}.color.png")
    _, text = written("numbered, backwards", trajectory(2 * FRAMES))
    (folder.parent if above else folder).joinpath("poses.txt").write_text(text)
    dataset = open_dataset(f"frames:{tmp_path}", size=32)
    batch = dataset.batch(np.array([0]), SPECS)
    shown = [2 * number(frame.numpy()) for frame in batch["clip"][0]]
    np.testing.assert_allclose(batch["pose"][0], trajectory(2 * FRAMES)[shown], atol=1e-9)


def test_a_matrix_beside_each_frame(tmp_path: Path) -> None:
    for i, matrix in enumerate(trajectory()):
        Image.fromarray(picture(i)).save(tmp_path / f"frame-{i:06d}.color.png")
        (tmp_path / f"frame-{i:06d}.pose.txt").write_text(lines(matrix))
    batch = open_dataset(f"frames:{tmp_path}", size=32).batch(np.array([0]), SPECS)
    shown = [number(frame.numpy()) for frame in batch["clip"][0]]
    np.testing.assert_allclose(batch["pose"][0], trajectory()[shown], atol=1e-9)


def test_between_two_poses_the_camera_is_on_its_way(tmp_path: Path) -> None:
    path = tmp_path / "groundtruth.txt"
    path.write_text(lines(np.hstack([[[0.0], [0.2]], quaternions(trajectory(2))])))
    found = read_track(bytes(path)).at(np.zeros(3), np.array([0.05, 0.1, 0.5]))
    np.testing.assert_allclose(found[:2, :3, 3], [[0.25, -0.5, 0.5], [0.5, -1.0, 0.5]], atol=1e-9)
    turned = np.degrees(Rotation.from_matrix(found[:2, :3, :3]).magnitude())
    np.testing.assert_allclose(turned, [0.75, 1.5], atol=1e-6)
    assert np.isnan(found[2]).all(), "long after the last pose"


def test_what_has_no_pose_is_passed_over(tmp_path: Path) -> None:
    """One video has all poses, one lacks the last, one has none."""
    for seed, name in enumerate("abc"):
        film(tmp_path / f"{name}.mp4", seed=seed)
    for name, count in (("a", FRAMES), ("b", FRAMES - 1)):
        (tmp_path / f"{name}.poses.txt").write_text(written("kitti", trajectory(count))[1])
    dataset = open_dataset(tmp_path, size=32)
    having = dataset.having(("clip", "pose"))
    assert [dataset.path(int(i)) for i in np.flatnonzero(having)] == ["a.mp4"]
    assert dataset.having(("clip",)).all()


BROKEN = {
    "1 2 3": "line 1: 3 numbers; a line holds 8 numbers",
    "": "no poses in it",
    "0 1 2 3 0 0 0 1\n0.1 1 2 3 0 0 0.5 0.5": "line 2: the quaternion's length is not 1",
    "0 1 2 3 0 0 0 1\n0.1 1 2": "line 2: 3 numbers, those before have 8",
    "0 1 2 3 0 0 0 1\n0 1 2 3 0 0 0 1": "two poses for seconds 0",
    "2 0 0 0 0 1 0 0 0 0 1 0": "line 1: its first three columns are no rotation",
    "nan 0 0 0 0 1 0 0 0 0 1 0": "line 1: its first three columns are no rotation",
    "1 0 0 0 0 1 0 0 0 0 1 0\n1 0 0 0 0 1 0 0 0 0 x 0": "line 2: 'x' is no number",
    "1 0 0 0 0 1 0 0 0 0 1 0 0 0 0 2": "line 1: the last row is not 0 0 0 1",
    "seconds,tx,ty\n0,1,2": "needed are tx, ty, tz",
}


@pytest.mark.parametrize("text", BROKEN)
def test_a_broken_file_says_what_is_wrong_and_where(text: str, tmp_path: Path) -> None:
    path = tmp_path / "a.poses.txt"
    path.write_text(text)
    with pytest.raises(Unreadable) as error:
        read_track(bytes(path))
    assert BROKEN[text] in str(error.value)


def test_a_video_with_a_broken_pose_file_is_used_without(tmp_path: Path) -> None:
    film(tmp_path / "a.mp4")
    (tmp_path / "a.poses.txt").write_text("1 2 3")
    dataset = open_dataset(tmp_path, size=32)
    assert len(dataset) == 1
    (problem,) = dataset.quarantine
    assert problem.path == "a.mp4"
    assert problem.reason.startswith("used without its poses: a.poses.txt, line 1")
    with pytest.raises(DataError, match="no 'pose'"):
        dataset.batch(np.array([0]), SPECS)


def test_other_poses_are_other_data(tmp_path: Path) -> None:
    film(tmp_path / "a.mp4")
    states = {open_dataset(tmp_path, size=32).fingerprint}
    for frames in (FRAMES, FRAMES - 1):
        (tmp_path / "a.poses.txt").write_text(written("kitti", trajectory(frames))[1])
        states.add(open_dataset(tmp_path, size=32).fingerprint)
    assert len(states) == 3

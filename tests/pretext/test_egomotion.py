"""Egomotion: the six numbers, their bins and errors, and what is learned from known motion."""

from __future__ import annotations

import itertools
import math
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from scipy.spatial.transform import Rotation
from torch import Tensor

from hotstart.augment import centre_clip
from hotstart.config import parse
from hotstart.data import Subset, open_dataset
from hotstart.data.draws import Draws
from hotstart.data.sample import Batch
from hotstart.encoders import build_encoder, resolve_spec
from hotstart.errors import UsageError
from hotstart.pretext.camera_motion import (
    chained,
    direction_error,
    in_a_mirror,
    motion_between,
    moved_by,
    shift_error,
    turn_error,
)
from hotstart.pretext.cross_modal.egomotion import Egomotion, EgomotionSettings
from hotstart.pretext.motion_reader import alikeness
from hotstart.pretext.task import Info
from hotstart.pretext.trajectories import axis_names, drawn, two_axes
from tests.conformance.material import fit, play, settle
from tests.pretext.moving import Moving, moving
from tests.pretext.pictures import SIZE, draws

PLAIN = {
    "view": {
        "crop_scale": (1.0, 1.0),
        "crop_ratio": (1.0, 1.0),
        "flip": 0,
        "jitter": 0,
        "grey": 0,
        "blur": 0,
    }
}


def make(**own: Any) -> Egomotion:
    with torch.random.fork_rng():
        torch.manual_seed(0)
        encoder = build_encoder(resolve_spec("resnet10_narrow", SIZE), 0)
        settings = parse(EgomotionSettings, own, "egomotion")
        return Egomotion(encoder, settings, Info(9, SIZE, 32, 9))


def poses_of(made: Moving) -> Tensor:
    """A pixel of the ground is a metre for a camera that looks straight at it: (N, T, 4, 4)."""
    poses = torch.eye(4, dtype=torch.float64).repeat(*made.order.shape, 1, 1)
    way = -made.order[:, :, None] * made.ground_px[:, None]
    poses[:, :, :2, 3] = torch.from_numpy(way)
    return poses


def batch_of(made: Moving) -> Batch:
    return {"clip": made.clips(), "pose": poses_of(made)}


def random_poses(rows: int, seed: int) -> Tensor:
    rng = np.random.default_rng(seed)
    poses = np.tile(np.eye(4), (rows, 1, 1))
    poses[:, :3, :3] = Rotation.random(rows, random_state=seed).as_matrix()
    poses[:, :3, 3] = rng.normal(size=(rows, 3))
    return torch.from_numpy(poses)


def test_six_numbers_are_shift_and_turn_as_the_first_camera_sees_them() -> None:
    """Against SciPy's rotation vectors; and back."""
    first, second = random_poses(50, 0), random_poses(50, 1)
    numbers = motion_between(first, second)
    seen = np.linalg.inv(first.numpy()) @ second.numpy()
    turns = Rotation.from_matrix(seen[:, :3, :3]).as_rotvec(degrees=True)
    np.testing.assert_allclose(numbers.numpy(), np.hstack([seen[:, :3, 3], turns]), atol=1e-6)
    torch.testing.assert_close(first @ moved_by(numbers), second)
    tiny = torch.tensor([[0, 0, 0, 1e-7, 0, -2e-7]], dtype=torch.float64)
    start = torch.eye(4, dtype=torch.float64)[None]
    torch.testing.assert_close(motion_between(start, moved_by(tiny)), tiny, atol=1e-12, rtol=1e-4)


def test_errors_are_angles_and_ways() -> None:
    truth = torch.tensor([[1.0, 0, 0, 0, 10, 0], [0, 0, 2, 0, 0, 0]])
    said = torch.tensor([[0.0, 1, 0, 0, 40, 0], [0, 0, 1, 3, 4, 0]])
    torch.testing.assert_close(turn_error(said, truth).float(), torch.tensor([30.0, 5.0]))
    torch.testing.assert_close(shift_error(said, truth).float(), torch.tensor([2**0.5, 1.0]))
    torch.testing.assert_close(direction_error(said, truth).float(), torch.tensor([90.0, 0.0]))
    assert float(direction_error(torch.zeros(1, 6), truth[:1])) == pytest.approx(90)


def test_chained_motions_lead_where_the_camera_went() -> None:
    poses = torch.stack([random_poses(3, seed) for seed in range(5)], 1)
    steps = motion_between(poses[:, :-1].flatten(0, 1), poses[:, 1:].flatten(0, 1))
    way = chained(steps.view(3, 4, 6))
    torch.testing.assert_close(poses[:, :1] @ way, poses, atol=1e-8, rtol=1e-6)


def test_views_show_the_frames_whose_motion_is_asked() -> None:
    """Each pair is found again among the frames, mirrored where its motion is."""
    made = moving(40, frames=9, ground_px=1.0)
    task = make(**PLAIN)
    views = task.views(batch_of(made), draws(40))
    whole = centre_clip(made.clips(), SIZE)
    numbers = motion_between(*views["poses"].unflatten(2, (4, 4)).unbind(1))
    apart, mirrored = [], 0
    for row in range(40):
        places = []
        for name in ("first", "second"):
            for flipped in (False, True):
                view = views[name][row].flip(2) if flipped else views[name][row]
                places += [(t, flipped) for t in range(9) if torch.allclose(whole[row, :, t], view)]
        (one, flip), (other, same) = places
        assert flip == same
        truth = torch.zeros(1, 6, dtype=torch.float64)
        truth[0, :2] = -(other - one) * torch.from_numpy(made.ground_px[row])
        truth = in_a_mirror(truth) if flip else truth
        torch.testing.assert_close(numbers[row : row + 1], truth, atol=1e-9, rtol=0)
        apart.append(other - one)
        mirrored += flip
    assert set(apart) == {1, 2, 3, 4}
    assert 8 < mirrored < 32


@pytest.mark.parametrize("objective", ["binned", "regressed"])
def test_the_loss_is_that_of_each_number_by_itself(objective: str) -> None:
    """Agrawal 2015, section 3: a classifier for each number; what never varies is not asked."""
    task = make(objective=objective, bins=5).eval()
    task.deviation[2] = 0.0
    task.low.fill_(-4.0)
    task.high.fill_(6.0)
    views = task.views(batch_of(moving(3, frames=9, ground_px=1.0)), draws(3))
    truth = motion_between(*views["poses"].unflatten(2, (4, 4)).unbind(1))
    said = task._said(views["first"], views["second"])
    parts, answers = [], torch.zeros_like(truth)
    for row in range(3):
        for k in range(6):
            if objective == "binned":
                place = min(max(math.floor((float(truth[row, k]) + 4) / 2), 0), 4)
                part = F.cross_entropy(said[row, k], torch.tensor(place))
                share = said[row, k].double().softmax(0)
                answers[row, k] = (share * torch.tensor([-3.0, -1, 1, 3, 5])).sum()
            else:
                part = 0.5 * (said[row, k, 0] - truth[row, k].float()) ** 2
                answers[row, k] = said[row, k, 0].double()
            if k != 2:
                parts.append(part)
    step = play(task, views, "task")
    torch.testing.assert_close(step.loss, torch.stack(parts).mean(), atol=1e-5, rtol=1e-4)
    rest = [0, 1, 3, 4, 5]
    wrong = (answers - truth)[:, rest].square().mean().sqrt()
    torch.testing.assert_close(step.metrics["motion_error"], wrong.detach(), atol=1e-5, rtol=1e-4)


def test_the_trivial_answer_is_the_mean_motion(monkeypatch: pytest.MonkeyPatch) -> None:
    task = make(objective="regressed").eval()
    task.mean.copy_(torch.tensor([1.0, 0, 0, 0, 0, 0]))
    batch = batch_of(moving(16, frames=9, ground_px=1.0))
    monkeypatch.setattr(task, "_said", lambda first, second: torch.zeros(len(first), 6, 1))
    score = task.score([batch] * 2, draws(1))
    assert score.examples == 32
    assert score.value == pytest.approx(score.trivial)
    truths = []
    for i in range(2):
        views = task.views(batch, draws(1).batch(i, 16))
        truths.append(motion_between(*views["poses"].unflatten(2, (4, 4)).unbind(1)))
    away = (torch.cat(truths)[:, :3] - torch.tensor([1.0, 0, 0])).norm(dim=1).mean()
    shift = next(other for other in score.others if other.metric == "shift_metres")
    assert shift.value == shift.trivial == pytest.approx(float(away))
    assert {other.metric for other in score.others} == {
        "turn_degrees",
        "shift_metres",
        "direction_degrees",
    }
    task.deviation[3:] = 0
    still = task.score([batch] * 2, draws(1))
    assert {other.metric for other in still.others} == {"shift_metres", "direction_degrees"}


def test_a_flip_without_its_motion_is_refused() -> None:
    with pytest.raises(UsageError, match=r"egomotion\.mirror"):
        make(view={"flip": 0.5})


def test_places_are_compared_with_those_around_them() -> None:
    """Fischer 2015, eq. 1, offset by offset; beyond the rim there is nothing."""
    first, second = torch.randn(2, 5, 4, 6), torch.randn(2, 5, 4, 6)
    found = alikeness(first, second, 1)
    assert found.shape == (2, 9, 4, 6)
    for b, y, x in itertools.product(range(2), range(4), range(6)):
        for k, (down, right) in enumerate(itertools.product((-1, 0, 1), repeat=2)):
            there = 0 <= y + down < 4 and 0 <= x + right < 6
            expected = torch.zeros(())
            if there:
                one, other = first[b, :, y, x], second[b, :, y + down, x + right]
                expected = one @ other / (one.norm() * other.norm())
            torch.testing.assert_close(found[b, k, y, x], expected, atol=1e-5, rtol=1e-4)


def test_a_way_is_drawn_from_its_ring() -> None:
    way = np.zeros((5, 3))
    way[:, 2] = np.arange(5)  # straight ahead
    axes = two_axes(way)
    assert axes[1] == 2
    assert axis_names(axes) == "right and forward"
    picture = drawn([way, way * 0.5], axes)
    assert picture.shape == (160, 160, 3)
    dark = np.argwhere((picture < 100).all(2))
    assert np.ptp(dark[:, 0]) > 120, "the whole height"
    orange = np.argwhere((picture[..., 0] > 200) & (picture[..., 2] < 80))
    assert dark[:, 0].min() < 25, "forward is up"
    assert len(orange) == 0 or orange[:, 0].min() > 60


def prepared(made: Moving, folder: Path, **own: Any) -> Egomotion:
    """A task that has seen the poses of the clips in `folder`."""
    dataset = open_dataset(made.write(folder), size=SIZE)
    task = make(**own)
    task.prepare(Subset(dataset, np.arange(len(dataset))), folder, draws(len(dataset)))
    return task


def test_prepare_learns_what_motion_is_like(tmp_path: Path) -> None:
    """Pairs up to 0.8 s apart, of ground that moves by a pixel each eighth of a second."""
    task = prepared(moving(30, frames=17, ground_px=1.0), tmp_path)
    assert task.mean[0].abs() < 1e-6, "to the left as often as to the right, in a mirror"
    assert 1 < task.deviation[:2].min() < task.deviation[:2].max() < 5
    assert (task.deviation[2:] == 0).all()
    assert (task.high > task.low).all()
    assert 4 < task.high[0] < 8


def learned(train: Moving, test: Moving, folder: Path, **own: Any) -> tuple[float, float]:
    """Error on clips that it was not trained on, and that of the mean motion."""
    task, rows = prepared(train, folder, **own), 32
    every = batch_of(train)

    def views(step: int) -> dict[str, Tensor]:
        chosen = np.random.default_rng(step).choice(len(train), rows, replace=False)
        batch: Batch = {
            "clip": every["clip"].select(chosen.tolist()),
            "pose": every["pose"][chosen],
        }
        return task.views(batch, draws(rows, step))

    fit(task, views, 60, 4e-3, batch_size=256, decay=True)
    settle(task, [views(60 + i) for i in range(8)])
    score = task.score([batch_of(test)] * 4, Draws(0, 0, total=1))
    assert score.trivial is not None
    return score.value, score.trivial


@pytest.mark.slow
def test_learns_known_motion_and_of_shuffled_poses_nothing(tmp_path: Path) -> None:
    train = moving(256, 0, frames=9, ground_px=1.2, disc_px=(0.0, 0.5))
    test = moving(128, 1, frames=9, ground_px=1.2, disc_px=(0.0, 0.5))
    value, trivial = learned(train, test, tmp_path / "true")
    assert value < 0.85 * trivial
    # Frames shuffled, poses left as they were: what is seen has nothing to do with the truth.
    train, test = (
        replace(each, pixels=each.shuffled(seed).pixels) for seed, each in enumerate((train, test))
    )
    value, trivial = learned(train, test, tmp_path / "wrong")
    assert value > 0.9 * trivial

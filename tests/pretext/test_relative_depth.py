"""Relative depth: the camera found from flow, labels against true depth, and one frame."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image
from torch import Tensor

from hotstart.config import parse
from hotstart.data import open_dataset
from hotstart.data.sample import Batch, Pictures
from hotstart.encoders import build_encoder, resolve_spec
from hotstart.pretext.free_labels.parallax import nearness
from hotstart.pretext.free_labels.relative_depth import RelativeDepth, RelativeDepthSettings
from hotstart.pretext.task import Info
from tests.conformance.material import fit, play
from tests.pretext.flows import SIZE, batch_of, fields_of
from tests.pretext.moving import moving
from tests.pretext.pictures import draws

WHOLE = {"crop_scale": (1.0, 1.0), "crop_ratio": (1.0, 1.0), "flip": 0.0, "jitter": 0.0}


def make(size: int = SIZE, **own: Any) -> RelativeDepth:
    settings = parse(RelativeDepthSettings, own, "relative_depth")
    with torch.random.fork_rng():
        torch.manual_seed(0)
        built = build_encoder(resolve_spec("resnet10_narrow", size), 0)
        return RelativeDepth(built, settings, Info(100, size, 8, 100))


def seen_by(
    camera: tuple[float, float, float],
    turn: tuple[float, float, float],
    depth: Tensor,
    aspect: float = 1.0,
    focal: float = 0.9,
) -> Tensor:
    """Flow (2, W, W) in shares of the sides, place by place after Longuet-Higgins & Prazdny 1980.

    depth: (W, W), of places seen by a pinhole camera that moves and turns a little.
    """
    side = len(depth)
    wide, high = min(aspect, 1.0), min(1 / aspect, 1.0)
    flow = torch.zeros(2, side, side)
    (tx, ty, tz), (wx, wy, wz) = camera, turn
    for i in range(side):
        for j in range(side):
            x = ((j + 0.5) / side - 0.5) * wide / focal
            y = ((i + 0.5) / side - 0.5) * high / focal
            z = float(depth[i, j])
            u = (-tx + x * tz) / z + x * y * wx - (1 + x * x) * wy + y * wz
            v = (-ty + y * tz) / z + (1 + y * y) * wx - x * y * wy - x * wz
            flow[0, i, j], flow[1, i, j] = u * focal / wide, v * focal / high
    return flow


CAMERAS = [
    ((0.1, 0.0, 0.0), (0.0, 0.0, 0.0), 1.0),
    ((0.02, -0.01, 0.15), (0.01, -0.02, 0.03), 1.0),
    ((0.05, 0.08, -0.1), (-0.02, 0.03, 0.0), 4 / 3),
    ((-0.1, 0.03, 0.02), (0.02, 0.04, -0.03), 3 / 4),
]


@pytest.mark.parametrize(("camera", "turn", "aspect"), CAMERAS)
def test_nearness_is_that_of_the_scene_whatever_the_camera_does(
    camera: tuple[float, float, float], turn: tuple[float, float, float], aspect: float
) -> None:
    depth = 1 + 3 * torch.rand(24, 24, generator=torch.Generator().manual_seed(0))
    vectors = seen_by(camera, turn, depth, aspect)[None]
    vectors[0, :, 3:8, 3:9] += 0.05  # something that moves by itself
    known = torch.ones(1, 24, 24, dtype=torch.bool)
    known[0, 3:8, 3:9] = torch.rand(5, 6) < 0.8
    near, told = nearness(vectors, known, torch.tensor([aspect]), 0.9)
    fixed = torch.ones(24, 24, dtype=torch.bool)
    fixed[3:8, 3:9] = False
    ours, theirs = near[0][fixed], 1 / depth[fixed]
    agree = np.corrcoef(ours.numpy(), theirs.numpy())[0, 1]
    assert agree > 0.95
    assert told[0, 1] > 5
    assert told[0, 2] > 0.9


def test_a_turning_camera_tells_nothing() -> None:
    depth = 1 + 3 * torch.rand(24, 24, generator=torch.Generator().manual_seed(1))
    vectors = seen_by((0.0, 0.0, 0.0), (0.02, 0.05, 0.03), depth)[None]
    batch = one_batch(vectors)
    assert not make().views(batch, draws(1))["asked"].any()


def test_a_camera_at_rest_tells_nothing() -> None:
    clips = moving(4, size=SIZE)  # the disc moves, the ground does not
    task = make().train()
    views = task.views(batch_of(clips), draws(4))
    assert not views["asked"].any()
    step = play(task, views, "task")
    assert float(step.loss.detach()) == 0
    step.loss.backward()
    assert task.eval().score([batch_of(clips)], draws(1)).examples == 0


def one_batch(vectors: Tensor, pictures: list[np.ndarray] | None = None) -> Batch:
    made = pictures or [np.zeros((SIZE, SIZE, 3), np.uint8)] * len(vectors)
    return {"image": Pictures.from_arrays(made), "flow": fields_of(vectors)}


def halves(count: int, seed: int) -> tuple[Tensor, list[np.ndarray]]:
    """Flow and pictures of scenes of two depths: what is red is near, at any side."""
    rng = np.random.default_rng(seed)
    fields, pictures = [], []
    for _ in range(count):
        along = np.mgrid[:SIZE, :SIZE][rng.integers(0, 2)] >= rng.integers(10, SIZE - 10)
        near = along if rng.random() < 0.5 else ~along
        depth = torch.from_numpy(np.where(near, 1.0, 3.0))[::2, ::2]
        camera = (rng.choice([-0.1, 0.1]), rng.uniform(-0.05, 0.05), rng.uniform(-0.02, 0.02))
        fields.append(seen_by(camera, (0.0, 0.0, 0.0), depth))
        picture = rng.integers(60, 120, (SIZE, SIZE, 3))
        picture[near, 0] += 100
        pictures.append(picture.astype(np.uint8))
    return torch.stack(fields), pictures


def test_pairs_are_asked_where_their_order_is_clear() -> None:
    vectors, pictures = halves(6, 0)
    task = make(view=WHOLE)
    views = task.views(one_batch(vectors, pictures), draws(6))
    red = torch.from_numpy(np.stack(pictures)[..., 0].astype(np.float32))
    red = torch.nn.functional.avg_pool2d(red[:, None], 4).flatten(1) > 140
    first, second = (red.gather(1, views["pairs"][..., k]) for k in (0, 1))
    asked = views["asked"]
    assert 0.2 < asked.float().mean() < 0.6  # half of all pairs are of one depth
    sure = asked & (first != second)
    assert sure.sum() > 0.8 * asked.sum()  # else both straddle the edge
    assert (views["pseudo_label"] == first)[sure].float().mean() > 0.97


def test_the_loss_is_that_of_a_loop() -> None:
    """Chen 2016, equation 1, pair by pair."""
    vectors, pictures = halves(3, 1)
    task = make(pairs=20).eval()
    views = task.views(one_batch(vectors, pictures), draws(3))
    said = task._said(views["image"]).flatten(1).detach()
    total = 0.0
    for row in range(3):
        costs = []
        for k in range(20):
            if views["asked"][row, k]:
                a, b = views["pairs"][row, k].tolist()
                apart = float(said[row, a] - said[row, b])
                sign = 1 if views["pseudo_label"][row, k] else -1
                costs.append(np.log1p(np.exp(-sign * apart)))
        total += sum(costs) / max(len(costs), 1)
    assert play(task, views, "task").loss.item() == pytest.approx(total / 3, rel=1e-4)


@pytest.fixture(scope="module")
def rooms(geometry: Path, tmp_path_factory: pytest.TempPathFactory) -> tuple[Batch, Tensor]:
    """40 real frames of a moving camera with their flow, and true depth (40, 24, 24) in metres."""
    folder = geometry / "sevenscenes"
    dataset = open_dataset(
        f"frames:{folder / 'color'}?hz=30", size=48, cache_dir=tmp_path_factory.mktemp("cache")
    )
    items = np.repeat(np.arange(len(dataset)), 40 // len(dataset))
    places = torch.linspace(0, 1, 40 // len(dataset)).repeat(len(dataset))
    needs = RelativeDepth.needs
    batch = dataset.batch(items, needs, places)
    rows, columns = (((np.arange(24) + 0.5) * extent / 24).astype(int) for extent in (240, 320))
    maps = []
    for second in batch["flow"].times[:, 0].tolist():
        path = folder / "depth" / f"{round(second * 30):06d}.png"
        depth = np.asarray(Image.open(path))[np.ix_(rows, columns)] / 1000
        maps.append(np.where((depth == 0) | (depth > 20), np.nan, depth))
    return batch, torch.from_numpy(np.stack(maps))


def test_labels_against_true_depth(rooms: tuple[Batch, Tensor]) -> None:
    batch, depth = rooms
    task = make(pairs=512)
    near, sure = task.find(batch)
    rng = np.random.default_rng(0)
    right, lower, usable, asked = [], [], 0, 0
    for one, known, true in zip(near.flatten(1), sure.flatten(1), depth.flatten(1), strict=True):
        pairs = torch.from_numpy(rng.integers(0, 24 * 24, (2, 1000)))
        first, second = one[pairs]
        clear = (first - second).abs() >= (0.2 * torch.maximum(first, second)).clamp_min(0.002)
        told = clear & known[pairs].all(0) & ~true[pairs].isnan().any(0)
        if told.sum() < 10:
            continue
        truth = true[pairs[0]] < true[pairs[1]]
        usable += 1
        asked += int(told.sum())
        right.append(float(((first > second) == truth)[told].float().mean()))
        lower.append(float(((pairs[0] // 24 > pairs[1] // 24) == truth)[told].float().mean()))
    print(
        f"order of {np.mean(right):.3f} of pairs right, by height {np.mean(lower):.3f}, "
        f"{usable} of 40 frames, {asked / 40000:.0%} of pairs"
    )
    assert usable > 30
    assert np.mean(right) > 0.82
    assert np.mean(right) > np.mean(lower)


@pytest.mark.slow
@pytest.mark.parametrize("shuffled", [False, True])
def test_one_frame_tells_what_is_near(shuffled: bool) -> None:
    """Red is near; shuffled: the flow of other frames."""
    task = make(view=WHOLE)
    whole, pictures = halves(64, 2)
    if shuffled:
        whole = whole.roll(1, 0)
    fresh = halves(32, 3)
    held = fresh[0].roll(1, 0) if shuffled else fresh[0]

    def views(step: int) -> dict[str, Tensor]:
        rows = slice(16 * (step % 4), 16 * (step % 4) + 16)
        return task.views(one_batch(whole[rows], pictures[rows]), draws(16, step))

    fit(task, views, 30, rate=4e-3)
    score = task.eval().score([one_batch(held, fresh[1])], draws(1))
    if shuffled:
        assert 0.3 < score.value < 0.7
    else:
        assert score.value > 0.85

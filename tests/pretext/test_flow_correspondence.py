"""Flow correspondence: motion under views, Sayed's loss, and learning what belongs together."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor

from hotstart.augment.settings import plain
from hotstart.config import parse
from hotstart.data import open_dataset
from hotstart.data.sample import Batch, Clips, Pictures
from hotstart.encoders import build_encoder, resolve_spec
from hotstart.pretext.cross_modal.flow_correspondence import (
    FlowCorrespondence,
    FlowCorrespondenceSettings,
    alikeness,
)
from hotstart.pretext.task import Info
from tests.conformance.material import fit, play
from tests.pretext.flows import SIZE, batch_of
from tests.pretext.moving import moving
from tests.pretext.pictures import draws

WHOLE = {"crop_scale": (1.0, 1.0), "crop_ratio": (1.0, 1.0), "flip": 0.0}
PLAIN = {**WHOLE, "jitter": 0.0, "grey": 0.0, "blur": 0.0}


def make(**own: Any) -> FlowCorrespondence:
    settings = parse(FlowCorrespondenceSettings, {"fields": 1, **own}, "flow_correspondence")
    with torch.random.fork_rng():
        torch.manual_seed(0)
        built = build_encoder(resolve_spec("resnet10_narrow", SIZE), 0)
        return FlowCorrespondence(built, settings, Info(100, SIZE, 8, 100))


def sided(count: int, seed: int, *, shuffled: bool = False) -> Batch:
    """Red pictures go right, blue ones left, each a video of its own; shuffled: any motion."""
    clips = moving(count, seed, size=SIZE)
    pixels = clips.pixels.copy()
    way = np.where(np.arange(count) % 2 == 0, 1.0, -1.0)
    pixels[way > 0, ..., 2] //= 3
    pixels[way < 0, ..., 0] //= 3
    flow = np.zeros_like(clips.flow)
    flow[:, :, 0] = 0.3 * way[:, None, None, None]
    batch = batch_of(replace(clips, pixels=pixels, flow=flow))
    if shuffled:
        order = torch.from_numpy(np.random.default_rng(seed).permutation(count))
        batch["flow"] = batch["flow"].select(order)
    batch["group"] = torch.arange(count)
    return batch


def test_motion_is_x_y_and_length_and_turns_with_the_mirror() -> None:
    task = make(scale=0.3 / SIZE)
    batch = sided(4, 0)
    whole = torch.tensor([[0, 0, SIZE, SIZE]]).expand(4, 4)
    motion = task._motion(batch, plain(whole))
    assert motion.shape == (4, 1, 3, SIZE, SIZE)
    inside = motion[:, 0, :, 8, 8]  # as long as the scale: half as strong as can be
    expected = torch.tensor([[0.75, 0.5, 0.75], [0.25, 0.5, 0.75]]).repeat(2, 1)
    assert torch.allclose(inside, expected, atol=1e-2)
    mirrored = task._motion(batch, plain(whole, torch.ones(4, dtype=torch.bool)))
    assert torch.allclose(mirrored[:, 0, 0], 1 - motion[:, 0, 0].flip(2), atol=1e-3)


def test_difference_is_that_of_the_frames() -> None:
    task = make(motion="difference", fields=2)
    assert set(task.needs) == {"image", "clip", "group"}
    frames = [np.full((SIZE, SIZE, 3), value, np.uint8) for value in (10, 61, 0)]
    clips = Clips(Pictures.from_arrays(frames), torch.tensor([[0.0, 0.125, 0.25]]).double())
    batch: Batch = {"image": clips.frame(1), "clip": clips, "group": torch.zeros(1).long()}
    motion = task._motion(batch, plain(torch.tensor([[0, 0, SIZE, SIZE]])))
    assert motion.shape == (1, 2, 3, SIZE, SIZE)
    assert motion[0, :, 0, 5, 5].tolist() == pytest.approx([0.5 + 0.1, 0.5 - 61 / 510], abs=1e-4)


def test_contrastive_equals_a_loop() -> None:
    """The docstring's equation, row by row."""
    task = make(objective="contrastive", diversity=0.7)
    rng = torch.Generator().manual_seed(0)
    seen, moved = torch.randn(5, 6, generator=rng), torch.randn(5, 6, generator=rng)
    groups = torch.tensor([0, 0, 1, 2, 2])
    views = {"group": groups, "wrong": torch.arange(5)}

    def cosine(a: Tensor, b: Tensor) -> float:
        return float(a @ b / (a.norm() * b.norm()))

    total = 0.0
    for i in range(5):
        others = [j for j in range(5) if groups[j] != groups[i]]
        within = sum(
            max(0.0, cosine(z[i], z[j])) / len(others) for z in (seen, moved) for j in others
        )
        total += (1 - cosine(seen[i], moved[i])) / 2 + 0.7 * within / 2
    assert task._answer(seen, moved, views).loss.item() == pytest.approx(total / 5, rel=1e-5)
    assert not alikeness(seen, torch.zeros(5).long()).any()


def test_one_group_alone_teaches_nothing() -> None:
    task = make().train()
    batch = sided(4, 0)
    batch["group"] = torch.zeros(4, dtype=torch.int64)
    step = play(task, task.views(batch, draws(4)), "task")
    assert step.loss.item() == 0
    assert float(step.metrics["accuracy"]) == 0.5


def test_difference_needs_no_flow(tmp_path: Path) -> None:
    folder = moving(8, size=SIZE).write(tmp_path / "clips")
    dataset = open_dataset(folder, size=SIZE, cache_dir=tmp_path / "c")
    task = make(motion="difference").eval()
    batch = dataset.batch(np.arange(8), task.needs)
    score = task.score([batch], draws(1))
    assert [other.metric for other in score.others][:1] == ["motion_recall1"]
    assert score.others[0].trivial == pytest.approx(1 / 8)
    assert not [*(tmp_path / "c").rglob("vectors.bin")]
    (panel,) = task.panels(batch, draws(8))
    assert len(panel.columns) == 4


@pytest.mark.slow
@pytest.mark.parametrize("objective", ["binary", "contrastive"])
@pytest.mark.parametrize("shuffled", [False, True])
def test_frames_find_their_motion(objective: str, shuffled: bool) -> None:
    """Half of the strangers go the other way: of the others nobody knows. 3/4 can be known."""
    task = make(objective=objective, view=PLAIN, scale=0.3 / SIZE)

    def views(step: int) -> dict[str, Tensor]:
        return task.views(sided(16, step, shuffled=shuffled), draws(16, step))

    fit(task, views, 40, rate=2e-3)
    batches = [sided(32, 1000 + i, shuffled=shuffled) for i in range(4)]
    value = task.eval().score(batches, draws(1)).value
    if shuffled:
        assert value < 0.6
    else:
        assert value > 0.65

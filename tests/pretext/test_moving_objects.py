"""Moving objects: the programme on clips whose truth is known, and learning from one frame."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor

from hotstart.augment import ViewSettings
from hotstart.config import parse
from hotstart.data.sample import Batch
from hotstart.encoders import build_encoder, resolve_spec
from hotstart.pretext.free_labels.dominant_motion import dominant_motion
from hotstart.pretext.free_labels.mask_task import intersection_over_union
from hotstart.pretext.free_labels.moving_objects import MovingObjects, MovingObjectsSettings
from hotstart.pretext.task import Info
from tests.conformance.material import fit, play
from tests.pretext.flows import SIZE, batch_of
from tests.pretext.moving import Moving, moving
from tests.pretext.pictures import draws

WHOLE = ViewSettings(
    crop_scale=(1.0, 1.0), crop_ratio=(1.0, 1.0), flip=0.0, jitter=0.0, grey=0.0, blur=0.0
)


def make(**own: Any) -> MovingObjects:
    settings = parse(MovingObjectsSettings, own, "moving_objects")
    with torch.random.fork_rng():
        torch.manual_seed(0)
        built = build_encoder(resolve_spec("resnet10_narrow", SIZE), 0)
        return MovingObjects(built, settings, Info(100, SIZE, 8, 100))


def truth_of(clips: Moving) -> Tensor:
    return torch.from_numpy(clips.mask[:, 0])[:, None]


def test_the_dominant_motion_is_found_behind_what_does_not_follow_it() -> None:
    """Turn, zoom and shift of the ground, a fifth of the picture on its own way."""
    side = 40
    along = (torch.arange(side) + 0.5) / side - 0.5
    y, x = torch.meshgrid(along, along, indexing="ij")
    truth = torch.stack([0.02 + 0.05 * x - 0.03 * y, -0.01 + 0.03 * x + 0.05 * y])[None]
    vectors = truth.clone()
    vectors[..., 5:23, 5:23] += torch.tensor([0.1, -0.06])[:, None, None]
    known = torch.ones(1, side, side, dtype=torch.bool)
    found = dominant_motion(vectors, known)
    assert (found - truth).abs().max() < 1e-3
    vectors[..., :4] = 7.0  # nonsense that is known to be such
    known[..., :4] = False
    assert (dominant_motion(vectors, known) - truth).abs().max() < 1e-3
    still = dominant_motion(torch.zeros(2, 2, 9, 9), torch.zeros(2, 9, 9, dtype=torch.bool))
    assert not still.any()


def test_masks_are_those_of_the_disc_whatever_the_camera_does() -> None:
    for ground in (0.0, 1.5):
        clips = moving(16, size=SIZE, ground_px=ground)
        views = make(view=WHOLE).views(batch_of(clips), draws(16))
        shares = intersection_over_union(views["pseudo_label"], truth_of(clips))
        assert views["asked"].flatten(1).any(1).float().mean() > 0.8
        assert shares[views["asked"].flatten(1).any(1)].mean() > 0.75


def test_frames_without_objects_are_not_asked_about() -> None:
    clips = moving(4, size=SIZE, ground_px=1.5)
    batch = batch_of(clips)
    still = replace(batch["flow"], vectors=torch.zeros_like(batch["flow"].vectors))
    camera = replace(still, vectors=still.vectors + torch.tensor([0.05, -0.02]).half())
    unknown = replace(batch["flow"], known=torch.zeros_like(batch["flow"].known))
    task = make().train()
    for flows in (still, camera, unknown):
        views = task.views({"image": batch["image"], "flow": flows}, draws(4))
        assert not views["asked"].any()
        step = play(task, views, "task")
        assert float(step.loss.detach()) == 0
        step.loss.backward()
        score = task.eval().score([{"image": batch["image"], "flow": flows}], draws(1))
        assert score.examples == 0
    few = make(most_area=0.05).views(batch, draws(4))
    assert not few["asked"].any()


def test_rows_that_are_not_asked_about_change_nothing() -> None:
    clips = moving(8, size=SIZE)
    task = make(view=WHOLE).eval()
    views = task.views(batch_of(clips), draws(8))
    asked = views["asked"].clone()
    asked[4:] = False
    half = task(views | {"asked": asked}, None, "task")
    first = {key: view[:4] for key, view in views.items()}
    alone = task(first, None, "task")
    torch.testing.assert_close(half.loss * 2, alone.loss)
    torch.testing.assert_close(half.metrics["iou"], alone.metrics["iou"])


def test_overlap_equals_the_paper() -> None:
    """Rahman & Wang 2016, equations 3 and 4, pixel by pixel, beside binary cross-entropy."""
    rng = torch.Generator().manual_seed(0)
    logits = torch.randn(3, 1, 5, 6, generator=rng)
    truth = torch.rand(3, 1, 5, 6, generator=rng) < 0.3
    asked = torch.rand(3, 1, 5, 6, generator=rng) < 0.7
    for i, found in enumerate(make().losses(logits, truth, asked).tolist()):
        inside, union, entropy, count = 0.0, 0.0, 0.0, 0
        for p, t, a in zip(
            logits[i].sigmoid().flatten().tolist(),
            truth[i].flatten().tolist(),
            asked[i].flatten().tolist(),
            strict=True,
        ):
            if a:
                inside += p * t
                union += p + t - p * t
                entropy -= np.log(p if t else 1 - p)
                count += 1
        assert found == pytest.approx(entropy / count + 1 - inside / union, abs=1e-5)


@pytest.mark.slow
@pytest.mark.parametrize("shuffled", [False, True])
def test_one_frame_tells_what_would_move(shuffled: bool) -> None:
    """Discs of one kind of texture over grounds of another; shuffled: other clips' masks."""
    task = make(view={"crop_scale": (0.6, 1.0)})

    def batch(count: int, seed: int) -> Batch:
        clips = moving(count, seed, size=SIZE, ground_px=0.5)
        pixels = clips.pixels.copy()
        pixels[..., 0] //= 2  # what moves is red
        pixels[clips.mask, 0] = 128 + clips.pixels[clips.mask, 0] // 2
        made = batch_of(replace(clips, pixels=pixels))
        if shuffled:
            made["flow"] = made["flow"].select(torch.arange(count).roll(1))
        return made

    fit(task, lambda step: task.views(batch(16, step), draws(16, step)), 60, rate=4e-3)
    score = task.eval().score([batch(64, 1000)], draws(1))
    assert score.trivial is not None
    if shuffled:
        assert score.value < score.trivial + 0.05
    else:
        assert score.trivial < 0.4
        assert score.value > score.trivial + 0.2

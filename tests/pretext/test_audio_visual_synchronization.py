"""Audio-visual synchronization: what is in time is found; nothing else tells the answer."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from pydantic import ValidationError

from hotstart.data import open_dataset
from hotstart.data.sample import SOUND_HZ, Batch, Clips, Pictures
from hotstart.data.subset import Subset
from hotstart.encoders import build_encoder, resolve_spec
from hotstart.errors import UsageError
from hotstart.pretext.cross_modal.audio_visual_synchronization import (
    AudioVisualSynchronization,
    AudioVisualSynchronizationSettings,
)
from hotstart.pretext.task import Info, Progress
from tests.conformance.material import draws, fit, play

SIZE, ROWS, HZ = 12, 24, 8
PLAIN = {
    "view": {
        "flip": 0,
        "jitter": 0,
        "grey": 0,
        "blur": 0,
        "crop_scale": (1, 1),
        "crop_ratio": (1, 1),
    },
    **{"gain_db": 0, "mels": 8, "hop_seconds": 0.04, "projection": 16, "hidden": 64, "frames": 4},
}


def make(**own: Any) -> AudioVisualSynchronization:
    """A task in the size of a test; twelve frames of a video are loaded."""
    settings = AudioVisualSynchronizationSettings.model_validate({**PLAIN, **own})
    encoder = build_encoder(resolve_spec("resnet10_narrow", SIZE), 0)
    return AudioVisualSynchronization(encoder, settings, Info(ROWS, SIZE, ROWS, 100))


def batch_of(levels: np.ndarray, waves: np.ndarray) -> Batch:
    """Grey frames of levels (B, T) in 0..255, sound of waves (B, n)."""
    rows, frames = levels.shape
    pixels = np.broadcast_to(levels[:, :, None, None, None], (rows, frames, SIZE, SIZE, 3))
    times = torch.arange(frames, dtype=torch.float64) / HZ
    return {
        "clip": Clips(
            Pictures.from_arrays(list(pixels.astype(np.uint8).reshape(-1, SIZE, SIZE, 3))),
            times.repeat(rows, 1),
        ),
        "audio": torch.from_numpy(waves.astype(np.int16)),
        "group": torch.arange(rows),
    }


def flashes(seed: int, rows: int = ROWS) -> Batch:
    """Light that goes up and down at random moments, and noise that is as loud as it is bright."""
    rng = np.random.default_rng(seed)
    levels = rng.random((rows, 12))
    loud = levels.repeat(SOUND_HZ // HZ, 1)
    return batch_of(30 + 200 * levels, 9000 * loud * rng.standard_normal(loud.shape) / 3)


def test_sound_is_of_the_frames_that_are_seen_and_the_other_moment_is_a_shift_away() -> None:
    task = make()
    frame = np.tile(np.arange(12), (ROWS, 1))
    batch = batch_of(20 * frame, 1000 * frame.repeat(SOUND_HZ // HZ, 1))
    distances, firsts = set(), set()
    for step in range(20):
        views = task.views(batch, draws(step, ROWS))
        assert views["clip"].shape == (ROWS, 2, 3, 4, SIZE, SIZE)
        assert views["sound"].shape == (ROWS, 2, 4 * SOUND_HZ // HZ)
        seen = (views["clip"][:, :, 0, :, 0, 0] * 255 / 20).round().long()
        heard = (views["sound"].unflatten(2, (4, -1)) * 2**15 / 1000).round().long()
        assert torch.equal(heard.amin(3), seen)
        assert torch.equal(heard.amax(3), seen)
        distances |= set((seen[:, 1] - seen[:, 0])[:, 0].tolist())
        firsts |= set(seen[:, :, 0].flatten().tolist())
    assert distances == {*range(-8, -2), *range(3, 9)}  # 0.3 to 1 s at 8 frames a second
    assert firsts == set(range(9))


@pytest.mark.parametrize(
    "objective", ["contrastive", pytest.param("binary", marks=pytest.mark.slow)]
)
def test_learns_what_is_in_time_and_is_at_chance_with_sound_of_another(objective: str) -> None:
    torch.manual_seed(0)
    task = make(objective=objective)
    fit(task, lambda step: task.views(flashes(step), draws(step, ROWS)), 60, 3e-3, decay=True)
    task.eval()
    unseen = [flashes(1000 + i) for i in range(4)]
    mixed: list[Batch] = [{**batch, "audio": batch["audio"].roll(1, 0)} for batch in unseen]
    assert task.score(unseen, draws(0, 1)).value > 0.85
    assert task.score(mixed, draws(0, 1)).value == pytest.approx(0.5, abs=0.12)


def test_easy_sounds_come_first() -> None:
    """Before `hard_from`, the shifted sound of the same video has no part in the loss."""
    task = make(hard_from=0.5, temperature=1.0).eval()
    views = task.views(flashes(0), draws(0, ROWS))
    views["group"] = torch.zeros(ROWS, dtype=torch.int64)
    with torch.no_grad():
        easy, hard = (task(views, Progress(step, 100), "task").loss for step in (0, 50))
    assert float(easy) == 0.0  # all are of one group: nothing to be told apart
    assert float(hard) > 1.0


def test_videos_that_cannot_be_shown_as_asked_have_no_part() -> None:
    task = make()
    batch = flashes(0)
    clips = batch["clip"]
    times = clips.times.clone()
    times[1:] *= 2
    batch["clip"] = Clips(clips.pictures, times)
    views = task.views(batch, draws(0, ROWS))
    assert views["whole"].tolist() == [True] + [False] * (ROWS - 1)
    assert float(play(task, views, "task").metrics["accuracy"]) in (0.0, 0.5, 1.0)
    batch["clip"] = Clips(clips.pictures, clips.times * 2)
    nothing = play(task, task.views(batch, draws(0, ROWS)), "task")
    assert float(nothing.metrics["accuracy"]) == 0.5
    assert float(nothing.loss.detach()) == 0.0


def test_videos_that_are_all_too_short_are_refused_before_training(film_folder: Path) -> None:
    dataset = open_dataset(film_folder, size=SIZE)
    train = Subset(dataset, np.arange(20))
    make().prepare(train, film_folder, draws(0, 20))
    long = make(most_shift_seconds=3.0)
    with pytest.raises(UsageError, match=r"looks at 3\.38 s of a video at 8 frames .* these 20"):
        long.prepare(train, film_folder, draws(0, 20))


def test_where_both_moments_are_silent_nothing_is_asked() -> None:
    task = make()
    batch = flashes(0)
    batch["audio"][:3] = 0
    batch["audio"][3, : 6 * SOUND_HZ // HZ] = 0  # something is heard later
    asked = [task.views(batch, draws(step, ROWS))["whole"] for step in range(20)]
    assert not torch.stack(asked)[:, :3].any()
    assert torch.stack(asked)[:, 3].any()
    assert all(whole[4:].all() for whole in asked)
    batch["audio"][:] = 0
    result = play(task, task.views(batch, draws(0, ROWS)), "task")
    assert float(result.metrics["accuracy"]) == 0.5
    assert result.loss.isfinite()


def test_shifts_without_a_whole_frame_are_refused() -> None:
    with pytest.raises(ValidationError, match=r"0.3 to 0.35 s hold no whole frame"):
        AudioVisualSynchronizationSettings(most_shift_seconds=0.35)

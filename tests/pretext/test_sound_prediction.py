"""Sound prediction: statistics by hand; the kind of sound is seen in the picture, or it is not."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch

from hotstart.augment import log_mel
from hotstart.data import Subset, open_dataset
from hotstart.data.sample import Batch, Pictures
from hotstart.encoders import build_encoder, resolve_spec
from hotstart.errors import UsageError
from hotstart.pretext.cross_modal.sound_prediction import SoundPrediction, SoundPredictionSettings
from hotstart.pretext.sound_statistics import BANDS, LENGTH, sound_statistics
from hotstart.pretext.task import Info
from tests.conformance.material import draws, fit

SIZE, ROWS, HZ = 16, 32, 16_000


def test_statistics_by_hand() -> None:
    rng = np.random.default_rng(0)
    swell = 1 + np.sin(2 * np.pi * 4 * np.arange(2 * HZ) / HZ)
    sound = torch.from_numpy((4000 * swell * rng.standard_normal(2 * HZ)).clip(-32000, 32000))
    found = sound_statistics(sound[None].to(torch.int16))[0].double()
    assert found.shape == (LENGTH,)
    mel = log_mel(sound[None].to(torch.int16), BANDS)[0, 0].double()
    envelope = (mel.exp() - 0.01).clamp(min=0).numpy() ** 0.3
    torch.testing.assert_close(
        found[: 2 * BANDS].numpy(),
        np.concatenate([envelope.mean(1), envelope.std(1)]),
        atol=1e-3,
        rtol=1e-3,
    )
    modulation = found[2 * BANDS : 9 * BANDS].view(BANDS, 7)
    # 4 Hz lies in the octave of 4 to 8 Hz, the fourth; all bands swell together.
    assert bool((modulation.argmax(1) == 3).all())
    correlation = found[9 * BANDS :].view(BANDS, 4)
    by_hand = np.corrcoef(envelope[3], envelope[7])[0, 1]
    assert float(correlation[3, 2]) == pytest.approx(by_hand, abs=1e-3)
    assert float(correlation[BANDS - 1].abs().max()) == 0


def test_louder_noise_in_all_precisions_and_silence_are_finite() -> None:
    for audio in (torch.zeros(1, HZ), torch.zeros(1, HZ, dtype=torch.int16)):
        assert bool(sound_statistics(audio).isfinite().all())


def scenes(seed: int, truth: bool = True) -> Batch:
    """Pictures red, green or blue, with a low, a middle or a high tone; or, untrue, any of them."""
    rng = np.random.default_rng(seed)
    kind = rng.integers(0, 3, ROWS)
    shown = kind if truth else rng.integers(0, 3, ROWS)
    pixels = rng.integers(0, 90, (ROWS, SIZE, SIZE, 3)).astype(np.uint8)
    pixels[np.arange(ROWS), :, :, shown] += 120
    time = np.arange(HZ // 2) / HZ
    pitch = np.array([300.0, 1000, 3000])[kind][:, None] * rng.uniform(0.95, 1.05, (ROWS, 1))
    audio = 8000 * np.sin(2 * np.pi * pitch * time) + rng.normal(0, 30, (ROWS, len(time)))
    return {
        "image": Pictures.from_arrays(list(pixels)),
        "audio": torch.from_numpy(audio.astype(np.int16)),
    }


def made() -> SoundPrediction:
    """A task that knows the three kinds of sound."""
    settings = SoundPredictionSettings(clusters=3, seconds=0.5)
    encoder = build_encoder(resolve_spec("resnet10_narrow", SIZE), 0)
    task = SoundPrediction(encoder, settings, Info(100, SIZE, ROWS, 30))
    known = sound_statistics(scenes(99)["audio"])
    task.middle.copy_(known.mean(0))
    task.scale.copy_(1 / known.std(0).clamp_min(0.1))
    kinds = np.random.default_rng(99).integers(0, 3, ROWS)
    points = (known - task.middle) * task.scale
    task.centroids.copy_(torch.stack([points[kinds == k].mean(0) for k in range(3)]))
    return task


def test_the_kind_of_sound_is_learnt_from_pictures_that_tell_it_alone() -> None:
    task = made()
    labels = task.pseudo_labels(scenes(5)["audio"])
    assert labels.tolist() == np.random.default_rng(5).integers(0, 3, ROWS).tolist()
    fit(task, lambda step: task.views(scenes(step), draws(step, ROWS)), 25, 3e-3, decay=True)
    task.eval()
    true, untrue = (
        task.score([scenes(1000 + i, truth) for i in range(6)], draws(0, 1))
        for truth in (True, False)
    )
    assert true.trivial == pytest.approx(1 / 3)
    assert true.value > 0.9
    assert untrue.value == pytest.approx(1 / 3, abs=0.15)


def test_sounds_of_a_set_are_clustered_once_and_kept(film_folder: Path, tmp_path: Path) -> None:
    dataset = open_dataset(film_folder, size=SIZE)
    subset = Subset(dataset, np.arange(24))
    encoder = build_encoder(resolve_spec("resnet10_narrow", SIZE), 0)
    tasks = []
    for _ in range(2):
        task = SoundPrediction(
            encoder, SoundPredictionSettings(clusters=6, moments=2), Info(24, SIZE, 8, 3)
        )
        task.prepare(subset, tmp_path, draws(0, 24))
        tasks.append(task)
    assert len(list(tmp_path.rglob("*.npz"))) == 1
    assert torch.equal(tasks[0].centroids, tasks[1].centroids)
    audio = subset.batch(np.arange(24), tasks[0].needs)["audio"]
    assert len(tasks[0].pseudo_labels(audio).unique()) > 3
    assert 0 < float(tasks[0].balance) <= 1
    few = SoundPrediction(encoder, SoundPredictionSettings(clusters=99), Info(24, SIZE, 8, 3))
    with pytest.raises(UsageError, match="there are 96 sounds"):
        few.prepare(subset, tmp_path, draws(0, 24))

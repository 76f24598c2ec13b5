"""What an encoder that hears is worth: how it listens, and every protocol on folders of tones."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch

from hotstart import api
from hotstart.data import open_dataset
from hotstart.data.sample import Spec
from hotstart.downstream.classifier import FinetuneSettings
from hotstart.downstream.classify import classify
from hotstart.downstream.features import extract
from hotstart.downstream.reading import SOUND_WINDOWS, SoundWindows, reading_of
from hotstart.encoders import Encoder, SoundSpec, build_encoder, resolve_spec
from hotstart.errors import UsageError
from tests.data.test_sounds import pitch, tone, write

CPU = torch.device("cpu")
QUICK = FinetuneSettings(steps=6, batch_size=8, learning_rates=(1e-3,), trial_folds=1)


@pytest.fixture
def listener() -> Encoder:
    """Hears half a second, by random weights."""
    spec = resolve_spec("sound:resnet10_narrow", 16)
    hearing = SoundSpec(seconds=0.5, hop_seconds=0.02)
    return build_encoder(spec.model_copy(update={"sound": hearing}), 0).eval()


@pytest.fixture(scope="module")
def tones(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Low, middling and high tones of one to two seconds, 20 of each."""
    root = tmp_path_factory.mktemp("tones")
    rng = np.random.default_rng(0)
    for name, low, high in (("low", 200, 400), ("middle", 800, 1200), ("high", 2400, 4000)):
        for i in range(20):
            samples = tone(rng.uniform(low, high), rng.uniform(1, 2))
            write(root / name / f"{i:02d}.wav", samples)
    return root


def test_windows_are_spread_over_the_sound(tmp_path: Path, listener: Encoder) -> None:
    for i in range(2):
        parts = [tone(hertz + 100 * i, 0.7) for hertz in (400, 1200, 2800)]
        write(tmp_path / "a" / f"{i}.wav", np.concatenate(parts))
    dataset = open_dataset(tmp_path, size=16)
    reading = reading_of(listener, dataset)
    assert reading == SoundWindows(0.5, SOUND_WINDOWS) == SoundWindows(0.5, 3)
    heard = torch.cat(list(reading.views(dataset, np.array([1, 0]), 16, CPU)))
    assert heard.shape == (6, 8000)
    expected = [500, 1300, 2900, 400, 1200, 2800]
    assert [pitch(one) for one in heard.numpy()] == pytest.approx(expected, abs=3)
    features = extract(listener, dataset, np.array([1, 0]), device=CPU)
    with torch.no_grad():
        each = listener(heard).view(2, 3, -1)
    torch.testing.assert_close(features.last, each.mean(1), rtol=1e-4, atol=1e-5)
    middle = dataset.batch(np.array([1]), {"audio": Spec(seconds=0.5)})["audio"]
    one = extract(listener, dataset, np.array([1]), device=CPU, reading=SoundWindows(0.5, 1))
    with torch.no_grad():
        torch.testing.assert_close(one.last, listener(middle), rtol=1e-4, atol=1e-5)


def test_how_many_is_a_setting_and_told(tones: Path, listener: Encoder) -> None:
    dataset = open_dataset(tones, size=16)
    (usual,) = classify(listener, dataset, protocols=("knn",))
    (fewer,) = classify(listener, dataset, protocols=("knn",), sound_windows=2)
    assert usual.detail["sound_windows"] == SOUND_WINDOWS
    assert fewer.detail["sound_windows"] == 2
    with pytest.raises(UsageError, match="1 or more, got 0"):
        classify(listener, dataset, sound_windows=0)


def test_the_encoder_that_a_task_exports_is_evaluated(
    film_folder: Path, tones: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("hotstart.downstream.classify.FinetuneSettings", lambda: QUICK)
    own = {"mels": 16, "hop_seconds": 0.02, "seconds": 0.5, "hidden": 32, "projection": 16}
    run = api.pretrain(
        str(film_folder),
        task="audio_visual_correspondence",
        size=16,
        steps=2,
        batch_size=8,
        task_settings={"audio_visual_correspondence": own},
        out=tmp_path / "run",
    )
    records = api.evaluate(
        run / "encoder-sound.safetensors",
        data=str(tones),
        protocols=("knn", "linear", "finetune"),
        labels=(1.0,),
        controls=True,
        stages=False,
    )
    found = {(one.task, one.protocol): one for one in records}
    assert found.keys() == {
        ("audio_visual_correspondence", "knn"),
        ("audio_visual_correspondence", "linear"),
        ("audio_visual_correspondence", "finetune"),
        ("random", "knn"),
        ("random", "linear"),
        ("random", "scratch"),
    }
    for one in records:
        assert one.encoder == "sound:resnet10_narrow"
        assert one.detail["sound_windows"] == SOUND_WINDOWS
        assert one.chance is not None
    linear = found["audio_visual_correspondence", "linear"]
    assert linear.chance is not None
    assert linear.value > linear.chance + 0.3

"""Sound files: read, refused, alone in class folders, and beside pictures and frames."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import av
import numpy as np
import numpy.typing as npt
import pytest
import torch
from PIL import Image

from hotstart import api
from hotstart.data import open_dataset
from hotstart.data.headers import Unreadable
from hotstart.data.sample import Spec
from hotstart.data.sounds import decode_sound
from hotstart.errors import DataError

CODECS = {"wav": "pcm_s16le", "flac": "flac", "ogg": "libopus"}


def tone(hertz: float, seconds: float = 1.0, rate: int = 16_000) -> npt.NDArray[np.int16]:
    """A tone, int16 (n,)."""
    time = np.arange(round(seconds * rate)) / rate
    return np.asarray(12_000 * np.sin(2 * np.pi * hertz * time), np.int16)


def write(path: Path, samples: npt.NDArray[np.int16], rate: int = 16_000) -> Path:
    """A sound file whose format its ending says."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with av.open(str(path), "w") as container:
        ear: Any = container.add_stream(CODECS[path.suffix[1:]], rate=rate)
        ear.layout = "mono"
        frame = av.AudioFrame.from_ndarray(samples[None], "s16", "mono")
        frame.sample_rate = rate
        pieces = 960 if path.suffix == ".ogg" else 0
        resampler = av.AudioResampler(ear.format.name, "mono", rate, pieces)
        for part in (*resampler.resample(frame), *resampler.resample(None)):
            container.mux(ear.encode(part))
        container.mux(ear.encode())
    return path


def pitch(samples: npt.NDArray[Any]) -> float:
    """Hertz of the loudest tone."""
    power = np.abs(np.fft.rfft(samples.astype(float)))
    return float(power.argmax() * 16_000 / len(samples))


@pytest.mark.parametrize("kind", CODECS)
def test_formats_and_rates_become_16_khz(tmp_path: Path, kind: str) -> None:
    path = write(tmp_path / f"a.{kind}", tone(700, rate=48_000), rate=48_000)
    samples = decode_sound(path.read_bytes())
    assert samples.dtype == np.int16
    assert len(samples) == pytest.approx(16_000, abs=200)
    assert pitch(samples) == pytest.approx(700, abs=2)


def test_what_is_no_whole_sound_is_refused(tmp_path: Path) -> None:
    wav = write(tmp_path / "a.wav", tone(500)).read_bytes()
    flac = write(tmp_path / "a.flac", np.random.default_rng(0).integers(-9, 9, 16_000).astype("i2"))
    for data, reason in (
        (b"", "empty"),
        (b"#EXTM3U\nhttp://example.org/a.wav", "not a sound"),
        (wav[: len(wav) // 2], "truncated"),
        (flac.read_bytes()[:4000], "truncated|damaged"),
    ):
        with pytest.raises(Unreadable, match=reason):
            decode_sound(data)


@pytest.fixture(scope="module")
def sounds(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Low and high tones, a folder for each, and one file that is broken."""
    root = tmp_path_factory.mktemp("sounds")
    rng = np.random.default_rng(0)
    for name, low, high in (("low", 200, 500), ("high", 1500, 3000)):
        for i in range(20):
            write(root / name / f"{i:02d}.wav", tone(rng.uniform(low, high), rng.uniform(0.4, 1.5)))
    (root / "low" / "broken.wav").write_bytes(b"RIFF")
    return root


def test_folders_of_sounds_are_classes_of_sounds(sounds: Path) -> None:
    dataset = open_dataset(sounds, size=None)
    assert dataset.kind == "class folders of sounds"
    assert dataset.classes == ("high", "low")
    assert dataset.keys == {"audio", "index", "group", "label"}
    assert [(q.path, q.reason[:11]) for q in dataset.quarantine] == [
        ("low/broken.wav", "not a sound")
    ]
    audio = dataset.batch(np.arange(len(dataset)), {"audio": Spec(seconds=0.5)})["audio"]
    assert audio.shape == (40, 8000)
    high = np.array([pitch(samples) > 1000 for samples in audio.numpy()])
    assert (high == (dataset.labels == 0)).all()
    with pytest.raises(DataError, match="has no 'image'"):
        dataset.batch(np.arange(2), {"image": Spec()})


def test_a_sound_encoder_is_evaluated_on_them(sounds: Path) -> None:
    found = api.evaluate(
        "random",
        data=str(sounds),
        encoder="sound:resnet10_narrow",
        size=16,
        on="classify",
        protocols=["knn"],
        labels=[1.0],
        stages=False,
    )
    (record,) = (one for one in found if one.protocol == "knn")
    assert record.encoder == "sound:resnet10_narrow"
    assert record.value > 0.9  # high and low differ in any random features


def test_sounds_beside_pictures_belong_to_them(tmp_path: Path) -> None:
    for i in range(6):
        picture = np.full((20, 24, 3), 40 * i, np.uint8)
        Image.fromarray(picture).save(tmp_path / f"{i}.png")
        if i:
            write(tmp_path / f"{i}.flac", tone(300 * i, 1.2))
    (tmp_path / "5.flac").write_bytes(b"fLaC")
    dataset = open_dataset(tmp_path, size=16)
    assert {"image", "audio"} <= dataset.keys
    assert [q.path for q in dataset.quarantine] == ["5.png"]
    assert "used without its sound" in dataset.quarantine[0].reason
    assert dataset.having({"audio"}).tolist() == [False, True, True, True, True, False]
    batch = dataset.batch(np.arange(1, 5), {"image": Spec(), "audio": Spec(seconds=1.0)})
    assert [int(batch["image"][i][0, 0, 0]) for i in range(4)] == [40, 80, 120, 160]
    heard = [pitch(samples) for samples in batch["audio"].numpy()]
    assert heard == pytest.approx([300, 600, 900, 1200], abs=2)


def test_a_sound_beside_a_folder_of_frames_is_the_video_s(tmp_path: Path) -> None:
    for i in range(8):
        folder = tmp_path / "drive"
        folder.mkdir(exist_ok=True)
        Image.fromarray(np.full((20, 24, 3), 20 * i, np.uint8)).save(folder / f"{i:03d}.png")
    write(tmp_path / "drive.wav", np.concatenate([tone(400), tone(1600)]))
    dataset = open_dataset(f"frames:{tmp_path}?hz=4", size=16)
    asked = {"image": Spec(), "audio": Spec(seconds=0.5)}
    batch = dataset.batch(np.array([0, 0]), asked, torch.tensor([0.0, 1.0]))
    assert [pitch(samples) for samples in batch["audio"].numpy()] == pytest.approx(
        [400, 1600], abs=2
    )
    assert int(batch["image"][0][0, 0, 0]) < int(batch["image"][1][0, 0, 0])

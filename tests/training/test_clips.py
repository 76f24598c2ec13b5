"""A task on clips in the one loop: trains, scores windows, resumes with the same clips."""

from __future__ import annotations

import csv
import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from hotstart import api
from hotstart.data import open_dataset
from hotstart.errors import DataError
from hotstart.league.material import material_of
from hotstart.training.heldout import HeldoutBatches
from tests.data.films import film
from tests.training.clip_task import Backwards

TASK = "tests.training.clip_task:Backwards"


@pytest.fixture(scope="module")
def videos(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """26 films with sound, two without, one broken."""
    root = tmp_path_factory.mktemp("videos")
    rng = np.random.default_rng(0)
    for i in range(26):
        sound = rng.integers(-9000, 9000, 8000).astype(np.int16)
        film(root / f"{i:02d}.mkv", seed=i, sound=sound)
    for i in range(2):
        film(root / f"silent{i}.mp4", seed=50 + i)
    (root / "broken.mp4").write_bytes(b"")
    return root


@pytest.mark.slow
def test_runs_and_resumes_bit_for_bit(
    videos: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("hotstart.training.heldout.SCORED_EXAMPLES", 40)
    options: dict[str, Any] = {"task": TASK, "encoder": "resnet10_narrow", "size": 32, "steps": 7}
    whole = api.pretrain(str(videos), out=tmp_path / "whole", **options)
    weights = (whole / "encoder.safetensors").read_bytes()
    record = json.loads((whole / "results.jsonl").read_text().splitlines()[0])
    assert record["detail"]["examples"] >= 40
    with (whole / "quarantine.csv").open(newline="", encoding="utf-8") as file:
        assert [row["path"] for row in csv.DictReader(file)] == ["broken.mp4"]
    starts: list[dict[str, Any]] = []

    def stop(event: dict[str, Any]) -> None:
        if event["kind"] == "step" and event["step"] == 4:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        api.pretrain(
            str(videos),
            out=tmp_path / "part",
            listener=stop,
            checkpoint_seconds=1e-9,
            **options,
        )
    part = api.pretrain(resume=tmp_path / "part", listener=starts.append)
    assert [event["resumed_at"] for event in starts if event["kind"] == "resume"] == [4]
    assert (part / "encoder.safetensors").read_bytes() == weights


def test_scoring_looks_at_several_windows_of_each_video(videos: Path) -> None:
    dataset = open_dataset(videos, size=32)
    material = material_of(TASK, dataset)
    assert len(material.train) + len(material.heldout) == 26  # those with sound
    batches = HeldoutBatches(material, Backwards.needs, torch.device("cpu"))
    first, again = ([(batch["index"], batch["clip"].times) for batch in batches] for _ in range(2))
    assert all(torch.equal(a[1], b[1]) for a, b in zip(first, again, strict=True))
    index = torch.cat([index for index, _ in first])
    starts = torch.cat([times[:, 0] for _, times in first])
    for item in index.unique():
        assert len(starts[index == item].unique()) == 7  # 12 frames, the clip spans 6


def test_pictures_are_refused_with_what_to_do(class_folder: Path) -> None:
    with pytest.raises(DataError, match=r"needs 'clip'.*give frames:"):
        material_of(TASK, open_dataset(class_folder, size=32))

"""What keeps features apart can be taken away: then they collapse, and the log names it."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch.nn.functional as F
from torch import Tensor

from hotstart.pretext.context import simsiam
from hotstart.training.loop import Material
from tests.pretext.collapse import diagnoses, different_pictures, last_step, train


@pytest.fixture(scope="module")
def different(tmp_path_factory: pytest.TempPathFactory) -> Material:
    return different_pictures(tmp_path_factory.mktemp("pictures") / "different")


@pytest.mark.slow
@pytest.mark.parametrize("task", ["moco", "simsiam", "barlow_twins", "vicreg", "triplet"])
def test_nothing_collapses_by_default(task: str, different: Material, tmp_path: Path) -> None:
    events = train(task, different, tmp_path / "run")
    assert not diagnoses(events)
    metrics = last_step(events)["metrics"]
    assert metrics["projection_std"] > 0.2
    assert metrics.get("projection_rank", 9.0) > 4


@pytest.mark.slow
@pytest.mark.parametrize(
    ("task", "own"),
    [("vicreg", {"variance": 0.0}), ("triplet", {"negatives": "hardest"})],
)
def test_a_point_is_named(
    task: str, own: dict[str, Any], different: Material, tmp_path: Path
) -> None:
    """Without the variance nothing holds z up; the hardest negatives pull all together."""
    events = train(task, different, tmp_path / "run", own)
    assert diagnoses(events)
    assert all("projections have collapsed: " in sentence for sentence in diagnoses(events))
    assert last_step(events)["metrics"]["projection_std"] < 0.05


@pytest.mark.slow
def test_simsiam_with_a_gradient_through_its_target_finds_a_line(
    different: Material, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """BatchNorm keeps its projections off a point; the loss would call the line a success."""

    def no_stop(prediction: Tensor, target: Tensor) -> Tensor:
        return -F.cosine_similarity(prediction, target, dim=1).mean()

    monkeypatch.setattr(simsiam, "negative_cosine", no_stop)
    events = train("simsiam", different, tmp_path / "run", steps=100)
    assert any("collapsed to a line" in sentence for sentence in diagnoses(events))
    last = last_step(events)
    assert last["loss"] < -0.8
    assert last["metrics"]["projection_rank"] < 1.5

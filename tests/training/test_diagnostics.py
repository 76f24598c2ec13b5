"""Rank and spread on features whose answer is known."""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import Any

import pytest
import torch

from hotstart import api
from hotstart.errors import TrainingError
from hotstart.training import loop
from hotstart.training.diagnostics import check_finite, diagnose, measure


def test_even_features_have_full_rank_and_spread_one() -> None:
    health = measure(torch.randn(4096, 16, generator=torch.Generator().manual_seed(0)))
    assert health.effective_rank == pytest.approx(16, rel=0.02)
    assert health.dimension_std == pytest.approx(1, rel=0.05)
    assert diagnose(health) is None


def test_rank_of_a_plane_is_two() -> None:
    plane = torch.randn(500, 2, generator=torch.Generator().manual_seed(0))
    basis = torch.linalg.qr(torch.randn(16, 2, generator=torch.Generator().manual_seed(1)))[0]
    assert measure(plane @ basis.T).effective_rank == pytest.approx(2, abs=0.05)


@pytest.mark.parametrize("spread", [0.0, 1e-4])
def test_collapse_is_named_with_advice(spread: float) -> None:
    noise = torch.randn(256, 32, generator=torch.Generator().manual_seed(0))
    sentence = diagnose(measure(torch.ones(256, 32) + spread * noise))
    assert sentence is not None
    assert "collapsed" in sentence
    assert "learning rate" in sentence


def test_a_line_is_a_collapse() -> None:
    line = torch.randn(256, 1, generator=torch.Generator().manual_seed(0)) * torch.ones(1, 32)
    assert diagnose(measure(line)) is not None


@pytest.mark.parametrize(("spread", "named"), [(0.01, True), (0.3, False), (None, False)])
def test_collapse_behind_a_healthy_encoder_is_named(spread: float | None, named: bool) -> None:
    health = measure(torch.randn(256, 32, generator=torch.Generator().manual_seed(0)))
    sentence = diagnose(health, spread)
    assert (sentence is not None) == named
    assert sentence is None or "projections have collapsed" in sentence


def test_nan_is_an_error_that_says_what_to_do() -> None:
    with pytest.raises(TrainingError, match=r"nan at step 7.*--learning-rate"):
        check_finite(torch.tensor(float("nan")), 7, "task", 0.3)


@pytest.mark.parametrize(("rank", "named"), [(1.02, True), (8.0, False), (None, False)])
def test_projections_on_a_line_are_named(rank: float | None, named: bool) -> None:
    health = measure(torch.randn(256, 32, generator=torch.Generator().manual_seed(0)))
    sentence = diagnose(health, projection_std=0.9, projection_rank=rank)
    assert (sentence is not None) == named
    assert sentence is None or "collapsed to a line" in sentence


@pytest.mark.parametrize("few", [True, False])
def test_two_held_out_pictures_cannot_tell_a_collapse(
    few: bool, class_folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Two pictures differ in one dimension, whatever the encoder is worth."""
    monkeypatch.setattr(loop, "diagnose", lambda *_, **__: "collapsed")
    folder = tmp_path / "pictures"
    for i, file in enumerate(sorted((class_folder / "train").rglob("*.png"))[:: 8 if few else 1]):
        folder.mkdir(exist_ok=True)
        shutil.copy(file, folder / f"{i}.png")
    told: list[dict[str, Any]] = []
    api.pretrain(
        str(folder), task="rotation", steps=2, size=32, out=tmp_path / "run", listener=told.append
    )
    heldout = next(event["heldout"] for event in told if event["kind"] == "start")
    assert (heldout < loop.DIAGNOSED_FROM) == few
    assert any(event["kind"] == "diagnosis" for event in told) != few


def test_features_that_are_no_numbers_are_told_in_a_sentence() -> None:
    features = torch.randn(64, 8, generator=torch.Generator().manual_seed(0))
    features[3, 2] = float("inf")
    with pytest.raises(TrainingError, match=r"features .* not finite.*--learning-rate"):
        measure(features)

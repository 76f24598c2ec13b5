"""SwAV: what it minimises, which crops it sees, and that equal shares keep it from collapsing."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
import torch
import torch.nn.functional as F
from lightly.loss.swav_loss import sinkhorn as lightly_sinkhorn

from hotstart.pretext.context import swav
from hotstart.pretext.context.swav import SwAV
from hotstart.pretext.task import Progress
from hotstart.training.log import Log
from hotstart.training.loop import Loop, Material
from hotstart.training.optimisers import REFERENCE_BATCH
from tests.conformance.material import draws, first_batch, make_loop, make_task, material_from
from tests.pretext.pictures import patches

ROWS = 8


@pytest.fixture(scope="module")
def material(tmp_path_factory: pytest.TempPathFactory) -> Material:
    return material_from(patches(tmp_path_factory.mktemp("patches"), 160))


@pytest.fixture
def task(material: Material) -> SwAV:
    made = make_task("swav", material, ROWS, task_settings={"swav": {"local_crops": 3}})
    assert isinstance(made, SwAV)
    return made


def test_crops_are_two_large_and_several_small_ones(task: SwAV, material: Material) -> None:
    batch = first_batch(task, material, ROWS)
    views = task.views(batch, draws(0, ROWS))
    assert views["global"].shape == (ROWS, 2, 3, 32, 32)
    assert views["local"].shape == (ROWS, 3, 3, 16, 16)
    for crops in views.values():
        assert not torch.equal(crops[:, 0], crops[:, 1])
    none = make_task("swav", material, ROWS, task_settings={"swav": {"local_crops": 0}})
    assert set(none.views(batch, draws(0, ROWS))) == {"global"}


def test_the_loss_is_the_papers(task: SwAV, material: Material) -> None:
    """Caron 2020, algorithm 1 and eq. 6, crop by crop and picture by picture."""
    task.eval()
    views = task.views(first_batch(task, material, ROWS), draws(0, ROWS))
    crops = [*views["global"].unbind(1), *views["local"].unbind(1)]
    c = F.normalize(task.prototypes.weight, dim=1)
    total, pairs = torch.zeros(()), 0
    scores = [F.normalize(task.projector(task.encoder(crop)), dim=1) @ c.T for crop in crops]
    for t in (0, 1):
        q = lightly_sinkhorn(scores[t].detach())
        for s in range(5):
            if s == t:
                continue
            pairs += 1
            for b in range(ROWS):
                p = torch.exp(scores[s][b] / 0.1)
                total = total - (q[b] * torch.log(p / p.sum())).sum() / ROWS
    step = task(views, Progress(50, 100), "task")
    torch.testing.assert_close(step.loss, total / pairs)


def test_prototypes_stand_still_at_first(task: SwAV, material: Material) -> None:
    views = task.views(first_batch(task, material, ROWS), draws(0, ROWS))
    assert task.frozen_steps == 10
    for step, moves in ((0, False), (9, False), (10, True)):
        task.zero_grad()
        task(views, Progress(step, 100), "task").loss.backward()
        assert (task.prototypes.weight.grad is not None) == moves


def test_prototypes_are_no_more_than_the_batch_can_fill(material: Material) -> None:
    for rows, expected in ((2, 2), (8, 4), (64, round(len(material.train) ** 0.5))):
        made = make_task("swav", material, rows)
        assert isinstance(made, SwAV)
        assert len(made.prototypes.weight) == expected


def train(material: Material, folder: Path) -> list[dict[str, Any]]:
    """A short run at a rate that moves it, and all that it logged."""
    small = make_loop("swav", material, None, 40)
    task = small.task
    changes = {"learning_rate": 2e-3 * REFERENCE_BATCH / small.plan.batch_size}
    task.optimiser = task.optimiser.model_copy(update=changes)  # type: ignore[misc]
    folder.mkdir()
    log = Log(folder)
    list(Loop(task, material, small.plan, small.fabric, log).run())
    log.close()
    lines = (folder / "log.jsonl").read_text().splitlines()
    return [json.loads(line) for line in lines]


@pytest.mark.slow
def test_it_collapses_without_equal_shares_and_says_so_and_not_by_default(
    material: Material, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Codes that are each view's own favourite prototype: one for all is the best answer."""
    whole = train(material, tmp_path / "whole")
    monkeypatch.setattr(swav, "sinkhorn", lambda scores, epsilon, _: (scores / epsilon).softmax(1))
    broken = train(material, tmp_path / "broken")
    sentences = [event["message"] for event in broken if event["kind"] == "diagnosis"]
    assert sentences
    assert any("have collapsed" in sentence for sentence in sentences)
    assert not [event for event in whole if event["kind"] == "diagnosis"]
    last = [
        [event for event in events if event["kind"] == "step"][-1] for events in (broken, whole)
    ]
    # The loss alone would call the broken one better.
    assert last[0]["loss"] < last[1]["loss"]
    assert last[0]["metrics"]["projection_std"] < 0.05 < last[1]["metrics"]["projection_std"]

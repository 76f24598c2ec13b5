"""BYOL: what it minimises, how its teacher follows, and that a collapse is seen."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch
import torch.nn.functional as F
from lightly.utils.scheduler import cosine_schedule
from torch import Tensor, nn

from hotstart.encoders import decay_for, ema_schedule
from hotstart.pretext.context.byol import BYOL, SLOWEST
from hotstart.pretext.task import Progress
from hotstart.pretext.two_views import positive_first
from hotstart.training.loop import Material
from tests.conformance.material import (
    carried,
    draws,
    first_batch,
    make_task,
    material_from,
    play,
)
from tests.pretext.collapse import diagnoses, different_pictures, last_step, train

ROWS = 8


@pytest.fixture(scope="module")
def material(class_folder: Path) -> Material:
    return material_from(class_folder)


@pytest.fixture
def task(material: Material) -> BYOL:
    made = make_task("byol", material, ROWS)
    assert isinstance(made, BYOL)
    return made


def test_the_loss_is_the_papers_in_both_directions(task: BYOL, material: Material) -> None:
    """Grill 2020, algorithm 1, one picture and one direction at a time."""
    task.eval()
    views = task.views(first_batch(task, material, ROWS), draws(0, ROWS))
    teacher: Any = task.teacher.network
    total = torch.zeros(())
    for v, other in (("first", "second"), ("second", "first")):
        q = task.predictor(task.projector(task.encoder(views[v])))
        z = teacher(views[other])
        for i in range(ROWS):
            total = total + ((q[i] / q[i].norm() - z[i] / z[i].norm()) ** 2).sum() / ROWS
    torch.testing.assert_close(play(task, views, "task").loss, total)


def test_only_the_student_learns_and_the_teacher_follows_it(task: BYOL, material: Material) -> None:
    views = task.views(first_batch(task, material, ROWS), draws(0, ROWS))
    learning = {id(p) for p in task.players()["task"].parameters}
    assert not learning & {id(p) for p in task.teacher.parameters()}
    result = play(task.train(), views, "task")
    result.loss.backward()
    assert carried(result) == {}
    assert all(p.grad is None for p in task.teacher.parameters())
    before = [p.clone() for p in task.teacher.parameters()]
    with torch.no_grad():
        for weight in [*task.encoder.parameters(), *task.projector.parameters()]:
            weight.add_(1.0)
    task.after_step(result, Progress(0, 100))
    for old, new in zip(before, task.teacher.parameters(), strict=True):
        torch.testing.assert_close(new, old + (1 - task.ema_decay))
    task.after_step(result, Progress(100, 100))
    for old, new in zip(before, task.teacher.parameters(), strict=True):
        torch.testing.assert_close(new, old + (1 - task.ema_decay))


@pytest.mark.parametrize("step", [0, 1, 37, 99, 100])
def test_ema_schedule_equals_lightly(step: int) -> None:
    theirs = cosine_schedule(step, 101, 0.996, 1.0)
    assert ema_schedule(0.996, step / 100) == pytest.approx(theirs, abs=1e-12)


def test_default_ema_decay_remembers_a_tenth_of_the_run() -> None:
    assert decay_for(50, SLOWEST) == 0.9
    assert decay_for(1000, SLOWEST) == pytest.approx(0.99)
    assert decay_for(1_000_000, SLOWEST) == 0.996


def naive_positive_first(p: list[Tensor], t: list[Tensor], count: int) -> float:
    right = 0
    for i in range(2 * count):
        scores = {k: float(F.cosine_similarity(p[i], t[k], 0)) for k in range(2 * count) if k != i}
        right += max(scores, key=scores.__getitem__) == (i + count) % (2 * count)
    return right / (2 * count)


def test_positive_first_among_a_teachers_targets() -> None:
    generator = torch.Generator().manual_seed(0)
    targets = torch.randn(2, 9, 4, generator=generator)
    predictions = targets.flip(0) + 0.8 * torch.randn(2, 9, 4, generator=generator)
    ours = positive_first(predictions[0], predictions[1], (targets[0], targets[1]))
    naive = naive_positive_first([*predictions[0], *predictions[1]], [*targets[0], *targets[1]], 9)
    assert 0.1 < naive < 1
    assert ours.item() == pytest.approx(naive)


@pytest.mark.parametrize("residue", [0.0, 1e-6])
def test_one_point_for_all_pictures_is_worth_no_more_than_chance(residue: float) -> None:
    noise = torch.randn(4, 256, 32, generator=torch.Generator().manual_seed(1))
    p1, p2, t1, t2 = torch.ones(32) + residue * noise
    assert positive_first(p1, p2, (t1, t2)).item() < 0.02


def without_predictor(task: BYOL) -> None:
    task.predictor = nn.Sequential()
    task.ema_decay = 0.0


@pytest.mark.slow
def test_it_collapses_without_predictor_and_says_so_and_not_by_default(tmp_path: Path) -> None:
    """Without the predictor one point is the answer, behind an encoder whose features differ."""
    different = different_pictures(tmp_path / "different")
    broken = train("byol", different, tmp_path / "broken", break_it=without_predictor)
    whole = train("byol", different, tmp_path / "whole")
    assert diagnoses(broken)
    assert all("projections have collapsed" in sentence for sentence in diagnoses(broken))
    assert not diagnoses(whole)
    last = [last_step(events) for events in (broken, whole)]
    # The loss alone would call the broken one better.
    assert last[0]["loss"] < 0.1 < last[1]["loss"]
    assert last[0]["metrics"]["projection_std"] < 0.05
    assert last[1]["metrics"]["projection_std"] > 0.2

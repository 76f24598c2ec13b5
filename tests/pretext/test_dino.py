"""DINO: what it minimises, how teacher and centre follow, and that a collapse is seen."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor

from hotstart.pretext.attention import coloured
from hotstart.pretext.context.dino import DINO, centre_decay_for
from hotstart.pretext.task import Progress, Step
from hotstart.training.loop import Material
from tests.conformance.material import draws, first_batch, make_task, material_from
from tests.pretext.collapse import diagnoses, last_step, train
from tests.pretext.pictures import patches

ROWS = 8
SETTINGS = {"local_crops": 2, "prototypes": 12}
HALF = Progress(50, 100)


@pytest.fixture(scope="module")
def material(tmp_path_factory: pytest.TempPathFactory) -> Material:
    return material_from(patches(tmp_path_factory.mktemp("patches"), 160))


@pytest.fixture
def task(material: Material) -> DINO:
    own = {"dino": {**SETTINGS, "centre_decay": 0.7}}
    made = make_task("dino", material, ROWS, task_settings=own, encoder="vit_narrow_depth4")
    assert isinstance(made, DINO)
    return made


def views_of(task: DINO, material: Material, step: int = 0) -> dict[str, Tensor]:
    return task.views(first_batch(task, material, ROWS), draws(step, ROWS))


def test_the_loss_is_the_papers(task: DINO, material: Material) -> None:
    """Caron 2021, eq. 1 to 3, algorithm 1: crop by crop, picture by picture."""
    task.eval()
    task.centre.copy_(torch.randn(12, generator=torch.Generator().manual_seed(0)) / 10)
    task.centred.fill_(True)
    with torch.no_grad():
        for weight in (*task.teacher.parameters(), *task.teacher_prototypes.parameters()):
            weight.mul_(1.1).add_(0.01)
    views = views_of(task, material)
    crops = [*views["global"].unbind(1), *views["local"].unbind(1)]
    c = F.normalize(task.prototypes.weight, dim=1)
    c_teacher = F.normalize(task.teacher_prototypes.network.weight, dim=1)  # type: ignore[arg-type]
    total, pairs = torch.zeros(()), 0
    for t in (0, 1):
        taught = F.normalize(task.teacher(crops[t]), dim=1) @ c_teacher.T
        for s in range(4):
            if s == t:
                continue
            pairs += 1
            said = F.normalize(task.projector(task.encoder(crops[s])), dim=1) @ c.T
            for b in range(ROWS):
                p_teacher = torch.exp((taught[b] - task.centre) / 0.07)
                p_teacher = p_teacher / p_teacher.sum()
                p_student = torch.exp(said[b] / 0.1) / torch.exp(said[b] / 0.1).sum()
                total = total - (p_teacher * torch.log(p_student)).sum() / ROWS
    torch.testing.assert_close(task(views, HALF, "task").loss, total / pairs)


def test_the_centre_follows_the_teachers_mean(task: DINO, material: Material) -> None:
    """Eq. 4, from the first batch's mean on."""
    task.eval()
    expected = None
    for step in range(3):
        views = views_of(task, material, step)
        said = task.teacher_prototypes(task.teacher(torch.cat(views["global"].unbind(1))))
        mean = said.mean(0)
        expected = mean if expected is None else expected
        decay = task.centre_decay
        expected = decay * expected + (1 - decay) * mean
        result = task(views, HALF, "task")
        task.after_step(Step(result.loss, carry=result.carry), HALF)
        torch.testing.assert_close(task.centre, expected)


def test_the_centre_moves_as_much_faster_than_the_teacher_as_in_the_paper() -> None:
    given = [0.9, 0.96, 0.98, 0.996, 0.999, 1.0]
    expected = [0.0, 0.0, 0.5, 0.9, 0.9, 0.9]
    assert [centre_decay_for(decay) for decay in given] == pytest.approx(expected)


def hold_the_centre(task: DINO) -> None:
    """At 0, whatever the teacher says."""
    task.centred.fill_(True)
    task.centre_decay = 1.0


@pytest.mark.slow
def test_pictures_become_one_where_the_centre_stays_and_not_by_default(
    material: Material, tmp_path: Path
) -> None:
    runs = [
        train(
            "dino",
            material,
            tmp_path / name,
            {"local_crops": 0, "prototypes": 64},
            break_it,
            encoder="vit_narrow_depth4",
        )
        for name, break_it in (("held", hold_the_centre), ("default", None))
    ]
    held, default = (last_step(events) for events in runs)
    assert any("have collapsed" in sentence for sentence in diagnoses(runs[0]))
    assert not diagnoses(runs[1])
    # The loss alone would call the broken one better.
    assert held["loss"] < default["loss"]
    assert held["metrics"]["projection_std"] < 0.05 < default["metrics"]["projection_std"]


def test_only_the_student_learns_and_the_teacher_follows_it(task: DINO, material: Material) -> None:
    learning = {id(p) for p in task.players()["task"].parameters}
    teachers = [*task.teacher.parameters(), *task.teacher_prototypes.parameters()]
    assert not learning & {id(p) for p in teachers}
    result = task(views_of(task, material), HALF, "task")
    result.loss.backward()
    assert all(p.grad is None for p in teachers)
    before = [p.clone() for p in teachers]
    with torch.no_grad():
        for weight in task.players()["task"].parameters:
            weight.add_(1.0)
    task.after_step(Step(result.loss, carry=result.carry), Progress(0, 100))
    for old, new in zip(before, teachers, strict=True):
        torch.testing.assert_close(new, old + (1 - task.ema_decay))


def test_the_teachers_temperature_rises_and_stays(task: DINO) -> None:
    steps = [task._teacher_temperature(Progress(step, 100)) for step in (0, 15, 30, 100)]
    assert steps == pytest.approx([0.04, 0.055, 0.07, 0.07])


def test_prototypes_stand_still_at_first(task: DINO, material: Material) -> None:
    views = views_of(task, material)
    for step, moves in ((0, False), (task.frozen_steps, True)):
        task.zero_grad()
        task(views, Progress(step, 100), "task").loss.backward()
        assert (task.prototypes.weight.grad is not None) == moves


def test_its_panel_shows_each_head_beside_their_mean(task: DINO, material: Material) -> None:
    batch = first_batch(task, material, ROWS)
    panels = {panel.name: panel for panel in task.eval().panels(batch, draws(0, ROWS))}
    panel = panels["dino-attention"]
    assert panel.columns == ("picture", "mean of heads", "head 1", "head 2", "head 3")
    assert {picture.shape for row in panel.pictures for picture in row} == {(32, 32, 3)}
    asked = task.panels(batch, draws(0, ROWS), answers=False)
    assert [panel.name for panel in asked] == ["dino-views"]


def test_a_map_is_bright_where_it_is_large() -> None:
    one = torch.zeros(8, 8)
    one[2, 5] = 0.3
    picture = coloured(one, 32).astype(int).sum(2)
    assert (picture[8:12, 20:24] == picture.max()).all()
    picture[8:12, 20:24] = picture.min()
    assert (picture == picture.min()).all()

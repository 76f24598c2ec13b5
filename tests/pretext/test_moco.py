"""MoCo: its loss, its queue, its key encoder, and the guard against batch statistics."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor
from torch.nn.functional import normalize

from hotstart.pretext.context.moco import (
    MoCo,
    default_queue,
    neighbours,
    newest,
    scattered,
)
from hotstart.pretext.task import Progress, Step
from hotstart.training.loop import Material
from tests.conformance.material import draws, first_batch, make_task, material_from, play
from tests.pretext.test_losses import naive_queue_nce

ROWS = 16


@pytest.fixture(scope="module")
def material(class_folder: Path) -> Material:
    return material_from(class_folder)


def make(material: Material, **own: Any) -> MoCo:
    made = make_task("moco", material, ROWS, task_settings={"moco": own})
    assert isinstance(made, MoCo)
    return made


def alone(network: Any, views: dict[str, Tensor], rows: list[int]) -> dict[str, Tensor]:
    """What the network makes of both views of some pictures, normalised among themselves."""
    made = network(torch.cat([views["first"][rows], views["second"][rows]]))
    return {"first": made[: len(rows)], "second": made[len(rows) :]}


def test_the_loss_is_the_papers_and_batch_statistics_are_of_groups(material: Material) -> None:
    """Two groups of 8: queries with their neighbours, keys with every other row."""
    task = make(material, splits=8).train()
    with torch.no_grad():
        # Keys of strangers, two of pictures of this batch, and places that are still empty.
        task.queue[:20] = normalize(torch.randn(20, 128), dim=1)
        task.pictures[:20] = torch.arange(20) + 100
        task.pictures[7], task.pictures[15] = 3, 5
    views = task.views(first_batch(task, material, ROWS), draws(0, ROWS))
    assert views["index"].tolist() == list(range(ROWS))
    q = {name: torch.zeros(ROWS, 128) for name in ("first", "second")}
    k = {name: torch.zeros(ROWS, 128) for name in ("first", "second")}
    with torch.no_grad():
        student = torch.nn.Sequential(task.encoder, task.projector)
        for rows in (list(range(8)), list(range(8, 16))):
            for name, made in alone(student, views, rows).items():
                q[name][rows] = made
        for rows in (list(range(0, 16, 2)), list(range(1, 16, 2))):
            for name, made in alone(task.teacher.network, views, rows).items():
                k[name][rows] = made
    queue = torch.cat([normalize(torch.cat([k["first"], k["second"]]), dim=1), task.queue[:20]])
    whose = [*range(ROWS), *range(ROWS), *task.pictures[:20].tolist()]
    own = torch.tensor([[whose[j] == i % ROWS for j in range(len(whose))] for i in range(2 * ROWS)])
    assert own.sum() == 2 * (2 * ROWS + 2)
    reference = naive_queue_nce(
        torch.cat([q["first"], q["second"]]), torch.cat([k["second"], k["first"]]), queue, 0.2, own
    )
    torch.testing.assert_close(play(task, views, "task").loss, reference, atol=1e-4, rtol=1e-4)


@pytest.mark.parametrize(("rows", "splits"), [(128, 8), (100, 8), (16, 2), (9, 1)])
def test_a_key_shares_its_group_with_few_of_its_query(rows: int, splits: int) -> None:
    queries = [list(range(rows))[group] for group in neighbours(rows, splits)]
    keys = [list(range(rows))[group] for group in scattered(splits)]
    for groups in (queries, keys):
        assert sorted(row for group in groups for row in group) == list(range(rows))
        assert max(map(len, groups)) - min(map(len, groups)) <= 1
    most = max(len({*a} & {*b}) for a in queries for b in keys)
    assert most <= -(-rows // splits**2) + (splits > 1)


def test_only_the_student_learns_and_the_key_encoder_follows(material: Material) -> None:
    task = make(material).train()
    views = task.views(first_batch(task, material, ROWS), draws(0, ROWS))
    learning = {id(p) for p in task.players()["task"].parameters}
    assert not learning & {id(p) for p in task.teacher.parameters()}
    result = play(task, views, "task")
    result.loss.backward()
    assert all(p.grad is None for p in task.teacher.parameters())
    before = [p.clone() for p in task.teacher.parameters()]
    with torch.no_grad():
        for weight in [*task.encoder.parameters(), *task.projector.parameters()]:
            weight.add_(1.0)
    task.after_step(result, Progress(50, 100))
    for old, new in zip(before, task.teacher.parameters(), strict=True):
        torch.testing.assert_close(new, old + (1 - task.ema_decay))


def test_the_newest_keys_of_length_one_replace_the_oldest(material: Material) -> None:
    task = make(material, queue=10, projection=4)
    held: list[tuple[list[float], int]] = []
    for step in range(4):
        keys = torch.randn(2, 3, 4, generator=torch.Generator().manual_seed(step))
        pictures = torch.arange(3) + 3 * step
        carry = dict(zip(("keys", "pictures"), newest(keys[0], keys[1], pictures), strict=True))
        task.after_step(Step(torch.zeros(()), carry=carry), Progress(step, 100))
        unit = [(row / row.norm()).tolist() for row in (*keys[0], *keys[1])]
        held += list(zip(unit, pictures.tolist() * 2, strict=True))
        there = list(zip(task.queue.tolist(), task.pictures.tolist(), strict=True))
        if step == 0:
            assert task.pictures[6:].tolist() == [-1] * 4
        for key, picture in held[-10:]:
            near = [row for row, who in there if who == picture]
            assert any(row == pytest.approx(key, abs=1e-6) for row in near)


def test_a_queue_smaller_than_a_batch_holds_its_last_keys(material: Material) -> None:
    task = make(material, queue=5, projection=4)
    carry = {"keys": torch.eye(4).repeat(2, 1), "pictures": torch.arange(4).repeat(2)}
    task.after_step(Step(torch.zeros(()), carry=carry), Progress(0, 100))
    assert sorted(task.pictures.tolist()) == [0, 1, 2, 3, 3]


def test_the_default_queue_is_what_the_pictures_bear() -> None:
    assert default_queue(1_281_167, 256) == 65536
    assert default_queue(48_000, 128) == 4800
    # Never less than the keys of a batch, whose own pictures are no negatives anyway.
    assert default_queue(500, 64) == 128

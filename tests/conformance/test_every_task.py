"""The checks that every registered task passes.

An exception stands in `NOT_APPLICABLE` with its reason; nothing else is skipped.
"""

from __future__ import annotations

import math
from pathlib import Path
from typing import ClassVar

import numpy as np
import pytest
import torch
from torch import Tensor

from hotstart.data.sample import Batch
from hotstart.encoders import load_encoder, save_encoder
from hotstart.pretext.registry import TASKS, find, task_class
from hotstart.pretext.task import PretextTask, Score
from hotstart.training.loop import Material
from tests.conformance.expectations import (
    BEARABLE,
    BY_HEART,
    COMPOSITES,
    ERROR_BY_HEART,
    INDEPENDENT,
    NO_PICTURES,
    NOT_APPLICABLE,
    PASSES_OVER,
    ROWS,
    THEORY,
)
from tests.conformance.material import (
    SIZE,
    carried,
    draws,
    first_batch,
    fit,
    kind_of,
    make_loop,
    make_task,
    material_from,
    play,
    play_all,
    same_state,
    take,
    with_noise,
)


@pytest.fixture(params=[*TASKS, *COMPOSITES])
def name(request: pytest.FixtureRequest) -> str:
    return str(request.param)


@pytest.fixture
def material(name: str, request: pytest.FixtureRequest) -> Material:
    return material_from(request.getfixturevalue(kind_of(name)))


def skip_if_not_applicable(check: str, name: str) -> None:
    reason = NOT_APPLICABLE.get((check, name))
    if reason:
        pytest.skip(reason)


def test_exceptions_and_theory_name_real_tasks() -> None:
    assert {name for _, name in NOT_APPLICABLE} <= {*TASKS, *COMPOSITES}
    assert set(THEORY) == {*TASKS, *COMPOSITES}
    assert set(INDEPENDENT) <= set(TASKS)
    assert set(BY_HEART) | set(ERROR_BY_HEART) | set(BEARABLE) <= set(TASKS)


def test_class_agrees_with_its_entry(name: str) -> None:
    cls, entry = task_class(name), find(name)
    assert issubclass(cls, PretextTask)
    assert set(entry.needs) == set(cls.needs)
    assert entry.paper
    assert entry.kind
    assert cls.__doc__
    assert cls.Settings.model_config["frozen"]
    assert cls.Settings() == cls.Settings()
    assert cls.uses_labels == ("label" in cls.needs)
    assert not cls.uses_labels or entry.family == "control"


def test_a_task_with_an_order_of_its_own_says_so(name: str, material: Material) -> None:
    task = make_task(name, material, ROWS)
    h = torch.randn(len(material.train), task.encoder.dim)
    epoch = task.before_epoch(lambda: h, draws(0, ROWS))
    assert (epoch.order is not None) == task.own_order


def test_reads_only_what_it_needs(name: str, material: Material) -> None:
    class Watched(dict):  # type: ignore[type-arg]
        seen: ClassVar[set[str]] = set()

        def __getitem__(self, key: str) -> object:
            self.seen.add(key)
            return super().__getitem__(key)

    task = make_task(name, material, ROWS)
    batch = Watched(first_batch(task, material, ROWS))
    batch.seen.clear()
    task.views(batch, draws(0, ROWS))  # type: ignore[arg-type]
    assert batch.seen <= set(task.needs)


def test_views_are_a_function_of_seed_and_step(name: str, material: Material) -> None:
    task = make_task(name, material, ROWS)
    batch = first_batch(task, material, ROWS)
    first, again = (task.views(batch, draws(3, ROWS)) for _ in range(2))
    other = task.views(batch, draws(4, ROWS))
    assert all(torch.equal(first[key], again[key]) for key in first)
    assert any(not torch.equal(first[key], other[key]) for key in first)
    pictures = [
        view
        for key, view in first.items()
        if view.ndim >= 4 and view.is_floating_point() and key not in NO_PICTURES
    ]
    assert all(view.min() >= 0 and view.max() <= 1 for view in pictures)


def test_views_of_one_picture_differ_by_row(name: str, material: Material) -> None:
    task = make_task(name, material, ROWS)
    batch = first_batch(task, material, ROWS)
    same = take(batch, [0] * ROWS)
    for key, view in task.views(same, draws(0, ROWS)).items():
        if view.is_floating_point():
            assert len(np.unique(view.flatten(1).numpy(), axis=0)) > len(view) // 2, key


def test_processes_see_slices_of_the_same_views(name: str, material: Material) -> None:
    task = make_task(name, material, ROWS)
    batch = first_batch(task, material, ROWS)
    whole = task.views(batch, draws(2, ROWS))
    half = ROWS // 2
    parts = [
        task.views(take(batch, range(a, a + half)), draws(2, ROWS, a, a + half)) for a in (0, half)
    ]
    for key, view in whole.items():
        ours = rows_as_bytes(torch.cat([part[key] for part in parts]))
        assert sorted(ours) == sorted(rows_as_bytes(view)), key


def test_gradient_reaches_the_encoder_and_only_the_player(name: str, material: Material) -> None:
    skip_if_not_applicable("gradient", name)
    task = make_task(name, material, ROWS)
    task.train()
    views = task.views(first_batch(task, material, ROWS), draws(0, ROWS))
    players = task.players()
    own = {id(p) for player in players.values() for p in player.parameters}
    encoder_moved = False
    for player_name, player in players.items():
        task.zero_grad()
        for other, someone in players.items():
            for weight in someone.parameters:
                weight.requires_grad_(other == player_name)
        result = play(task, views, player_name)
        result.loss.backward()
        views = views | carried(result)
        mine = {id(p) for p in player.parameters}
        touched = [p for p in task.parameters() if p.grad is not None and p.grad.abs().sum() > 0]
        assert touched
        assert all(torch.isfinite(p.grad).all() for p in touched if p.grad is not None)
        assert {id(p) for p in touched} <= mine
        encoder_moved |= any(any(p is q for q in task.encoder.parameters()) for p in touched)
    assert encoder_moved
    assert {id(p) for p in task.encoder.parameters() if p.requires_grad} <= own


def test_loss_at_initialisation_is_near_theory(name: str, material: Material) -> None:
    expected, tolerance, own = THEORY[name]
    task = make_task(name, material, ROWS, task_settings={name: own}).train()
    views = task.views(first_batch(task, material, ROWS), draws(0, ROWS))
    losses = [result.loss.item() for result in play_all(task, views).values()]
    assert sum(losses) == pytest.approx(expected, abs=tolerance)


def test_overfits_sixteen_samples(name: str, material: Material) -> None:
    skip_if_not_applicable("overfit", name)
    own = BEARABLE.get(name, {})
    task = make_task(name, material, ROWS, task_settings={name: own})
    views = task.views(first_batch(task, material, ROWS), draws(0, ROWS))
    history = fit(task, lambda step: views, steps=50, rate=2e-3)
    first, last = history[0], history[-len(task.players())]
    assert float(last.loss.detach()) < 0.5 * float(first.loss.detach())
    reached = float(last.metrics[task.metric])
    if name in ERROR_BY_HEART:
        assert reached < ERROR_BY_HEART[name]
    else:
        assert reached > BY_HEART.get(name, 0.9)


@pytest.mark.parametrize("name", INDEPENDENT)
def test_noise_gives_chance_and_a_planted_cue_is_found(name: str, material: Material) -> None:
    """Nothing but content tells the pseudo-label; one pixel that does is found at once."""
    rows = INDEPENDENT[name]
    accuracies = {}
    for planted in (False, True):
        task = make_task(name, material, rows)
        template = first_batch(task, material, rows)

        def views(
            step: int, planted: bool = planted, template: Batch = template
        ) -> dict[str, Tensor]:
            made = task.views(with_noise(template, step), draws(step, rows))  # noqa: B023
            if planted:
                every = torch.arange(len(made["image"]))
                corner = made["pseudo_label"] % made["image"].shape[-1]
                made["image"][every, ..., 0, corner] = 4.0
            return made

        fit(task, views, steps=40, rate=2e-3)
        task.eval()
        with torch.no_grad():
            tested = [play(task, views(1000 + i), "task").metrics["accuracy"] for i in range(4)]
        accuracies[planted] = float(torch.stack(tested).mean())
        examples = 4 * len(views(0)["pseudo_label"])
    chance = make_task(name, material, rows).trivial(rows)
    assert chance is not None
    margin = 4 * math.sqrt(chance * (1 - chance) / examples)
    assert accuracies[False] == pytest.approx(chance, abs=margin)
    assert accuracies[True] > min(2 * chance, (1 + chance) / 2)


def test_resumed_equals_uninterrupted(name: str, material: Material, tmp_path: Path) -> None:
    steps = 7  # Over the end of an epoch: 120 pictures in batches of 32 make 5 or fewer.
    whole = make_loop(name, material, None, steps)
    list(whole.run())
    first = make_loop(name, material, tmp_path, steps)
    list(first.run(stop=4))
    first.save()
    second = make_loop(name, material, tmp_path, steps)
    (saved,) = (tmp_path / "checkpoint").glob("*.pt")
    second.restore(saved)
    list(second.run())
    assert second.step == steps
    assert same_state(second.task, whole.task)


def test_exported_encoder_gives_identical_features(
    name: str, material: Material, tmp_path: Path
) -> None:
    loop = make_loop(name, material, None, 3)
    list(loop.run())
    encoder = loop.task.encoder.eval()
    save_encoder(encoder, tmp_path / "encoder.safetensors")
    again = load_encoder(tmp_path / "encoder.safetensors").eval()
    frames = [8] if encoder.kind == "video" else []
    images = torch.rand(4, 3, *frames, SIZE, SIZE, generator=torch.Generator().manual_seed(0))
    with torch.no_grad():
        assert torch.equal(again(images), encoder(images))


def test_score_and_panels_on_heldout_pictures(name: str, material: Material) -> None:
    task = make_task(name, material, ROWS).eval()
    batches = [material.dataset.batch(material.heldout[:ROWS], task.needs) for _ in range(3)]
    before = {key: value.clone() for key, value in task.state_dict().items()}
    scores = [task.score(batches, draws(0, 1)) for _ in range(2)]
    assert isinstance(scores[0], Score)
    assert scores[0] == scores[1]
    assert scores[0].metric == task.metric
    assert 0 < scores[0].examples <= 3 * ROWS
    assert scores[0].examples == 3 * ROWS or name in PASSES_OVER
    assert math.isfinite(scores[0].value)
    made = task.generate(batches[0], draws(0, ROWS))
    assert made is None or (made.shape[:3] == (ROWS, 3, SIZE) and 0 <= made.min() <= made.max())
    shown = task.panels(batches[0], draws(0, ROWS))
    asked = task.panels(batches[0], draws(0, ROWS), answers=False)
    assert len(asked) <= len(shown)
    assert not any(panel.kind == "prediction" for panel in asked)
    for panel in shown + asked:
        assert panel.caption
        assert len(panel.pictures) == len(panel.texts)
        for row in panel.pictures:
            assert len(row) == len(panel.columns)
            assert all(p.dtype == np.uint8 and p.ndim == 3 and p.shape[2] == 3 for p in row)
    assert all(torch.equal(task.state_dict()[key], value) for key, value in before.items())


def rows_as_bytes(view: Tensor) -> list[bytes]:
    """Each row of a view, to compare views whatever their order."""
    return [row.contiguous().numpy().tobytes() for row in view]

"""Several tasks at once: each as it is alone, but for the scale of its loss."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor, nn

from hotstart.data.draws import Draws
from hotstart.pretext import composite
from hotstart.pretext.composite import JOINT, MEMORY, Composite, compose
from hotstart.pretext.registry import TASKS, task_class
from hotstart.pretext.task import (
    PretextTask,
    Progress,
    Step,
    Views,
)
from hotstart.training.loop import Material
from tests.conformance.material import (
    carried,
    draws,
    first_batch,
    fit,
    kind_of,
    make_task,
    material_from,
    play,
    play_all,
)
from tests.pretext.combined import ROWS, Maker, build


@pytest.fixture(scope="module")
def material(class_folder: Path) -> Material:
    return material_from(class_folder)


def views_of(task: PretextTask, material: Material, rng: Draws | None = None) -> Views:
    return task.views(first_batch(task, material, ROWS), rng or draws(0, ROWS))


def gradients(task: nn.Module) -> dict[str, Tensor]:
    return {
        name: weight.grad.clone()
        for name, weight in task.named_parameters()
        if weight.grad is not None
    }


@pytest.mark.parametrize(("first", "second"), [("rotation", "byol"), ("simclr", "jigsaw")])
def test_each_task_is_as_it_is_alone_and_its_gradient_divided_by_its_mean(
    first: str, second: str, material: Material
) -> None:
    """Heads, views, and, summed by hand, the gradient of the encoder and of each head."""
    both = build(f"{first}+{second}", material)
    means = torch.tensor([0.5, 4.0])
    both.running_mean.copy_(means)
    both.steps.fill_(10_000)
    result = play(both, views_of(both, material), JOINT)
    result.loss.backward()
    found = gradients(both)
    expected: dict[str, Tensor] = {}
    losses = []
    for number, name in enumerate((first, second)):
        alone = make_task(name, material, ROWS).train()
        step = play(alone, views_of(alone, material, draws(0, ROWS).named(name)), "task")
        losses.append(step.loss.detach())
        mean = means[number] + (losses[-1] - means[number]) / MEMORY
        (step.loss / mean).backward()
        torch.testing.assert_close(both.running_mean[number], mean)
        torch.testing.assert_close(result.metrics[f"{name}.loss"], losses[-1])
        for metric, value in step.metrics.items():
            torch.testing.assert_close(result.metrics[f"{name}.{metric}"], value)
        for key, gradient in gradients(alone).items():
            own = key if key.startswith("encoder.") else f"parts.{number}.{key}"
            expected[own] = expected.get(own, torch.zeros(())) + gradient
    assert found.keys() == expected.keys()
    for key, gradient in expected.items():
        torch.testing.assert_close(found[key], gradient, atol=1e-5, rtol=1e-3)
    torch.testing.assert_close(
        result.loss.detach(), sum(torch.stack(losses) / both.running_mean), atol=1e-5, rtol=1e-4
    )


def test_the_running_mean_is_of_all_steps_and_then_of_the_last_ones(material: Material) -> None:
    task = build("rotation+simclr", material)
    told = torch.rand(3 * MEMORY, 2, generator=torch.Generator().manual_seed(0)) * 5 - 1
    by_hand = torch.zeros(2)
    for number, losses in enumerate(told, start=1):
        seen = task._scale(losses)
        by_hand += (losses.abs() - by_hand) / min(number, MEMORY)
        torch.testing.assert_close(seen, by_hand)
        if number == MEMORY:
            torch.testing.assert_close(seen, told[:MEMORY].abs().mean(0))
    task.eval()
    before = task.running_mean.clone()
    task._scale(torch.full((2,), 100.0))
    assert torch.equal(task.running_mean, before)


def test_a_task_in_another_unit_moves_the_encoder_just_as_much(material: Material) -> None:
    """A thousand times the loss, the same gradient."""
    found = []
    for factor in (1.0, 1000.0):
        task = build("rotation+simclr", material)
        part = task.named_parts["simclr"]
        plain = part.forward

        def scaled(*words: Any, plain: Any = plain, factor: float = factor) -> Step:
            step = plain(*words)
            return Step(step.loss * factor, step.metrics)

        part.forward = scaled  # type: ignore[method-assign, assignment]
        play(task, views_of(task, material), JOINT).loss.backward()
        found.append(gradients(task))
    for key, gradient in found[0].items():
        torch.testing.assert_close(found[1][key], gradient, atol=1e-5, rtol=1e-3)


def test_another_task_changes_neither_draws_nor_heads(material: Material) -> None:
    two, three = (build(name, material) for name in ("rotation+byol", "simclr+rotation+byol"))
    few, many = views_of(two, material), views_of(three, material)
    assert few.keys() < many.keys()
    assert all(torch.equal(view, many[key]) for key, view in few.items())
    for name, part in two.named_parts.items():
        other = three.named_parts[name].state_dict()
        assert all(torch.equal(value, other[key]) for key, value in part.state_dict().items())


def test_adversaries_play_by_their_own_loss_alone(material: Material) -> None:
    task = build("rotation+inpainting", material)
    players = task.players()
    assert list(players) == [JOINT, "inpainting/adversary"]
    alone = make_task("inpainting", material, ROWS).train()
    theirs = alone.players()["adversary"]
    assert players["inpainting/adversary"].optimiser == theirs.optimiser
    joint = {id(weight) for weight in players[JOINT].parameters}
    assert not joint & {id(weight) for weight in players["inpainting/adversary"].parameters}
    assert joint == {
        id(weight) for name, weight in task.named_parameters() if "discriminator" not in name
    }
    results = play_all(task, views_of(task, material))
    views = views_of(alone, material, draws(0, ROWS).named("inpainting"))
    expected = play(alone, views | carried(play(alone, views, "painter")), "adversary")
    theirs_here = results["inpainting/adversary"]
    torch.testing.assert_close(theirs_here.loss, expected.loss)
    assert theirs_here.metrics.keys() == {"inpainting.adversary_accuracy"}


@pytest.mark.slow
@pytest.mark.parametrize("name", [n for n, entry in TASKS.items() if entry.family != "control"])
def test_every_task_can_be_combined(name: str, request: pytest.FixtureRequest) -> None:
    material = material_from(request.getfixturevalue(kind_of(name)))
    of_frames = not task_class(name).accepts.isdisjoint({"cnn", "vit"})
    other = "rotation" if of_frames else "video_prediction"
    if other == name:
        other = "simclr"
    task = build(f"{other}+{name}", material)
    loss = play_all(task, views_of(task, material))[JOINT].loss
    loss.backward()
    assert float(loss.detach()) == pytest.approx(2, abs=1e-4)
    assert all(p.grad is not None for p in task.encoder.parameters() if p.requires_grad)


def test_who_plays_before_and_what_each_is_told_after(material: Material) -> None:
    cls = compose({"rotation": task_class("rotation"), "a.b:Maker": Maker})
    assert cls.batch_size == 7
    assert cls.optimiser.momentum == 0.5
    assert set(cls.needs) == {"image", "index"}
    alone = make_task("rotation", material, ROWS)
    task = cls(alone.encoder, cls.Settings(), alone.info).train()
    assert isinstance(task, Composite)
    assert list(task.players()) == ["a.b:Maker/maker", JOINT]
    asked: list[int] = []

    def features() -> Tensor:
        asked.append(1)
        return torch.zeros(5, 4)

    epoch = task.before_epoch(features, draws(0, ROWS))
    assert len(asked) == 1
    assert epoch.order is not None
    assert epoch.order.shape == (5,)
    part = task.named_parts["a.b:Maker"]
    assert isinstance(part, Maker)
    assert len(epoch.reset) == 1
    assert epoch.reset[0] is part.made
    results = play_all(task, views_of(task, material))
    everything: dict[str, dict[str, Tensor]] = {"metrics": {}, "carry": {}}
    for result in results.values():
        everything["metrics"] |= result.metrics
        everything["carry"] |= carried(result)
    task.after_step(Step(torch.zeros(()), **everything), Progress(0, 1))
    (told,) = part.told
    assert set(told.metrics) == {"size", "accuracy"}
    assert set(told.carry) == {"made", "seen"}
    assert told.loss == results[JOINT].metrics["a.b:Maker.loss"]


def test_scores_panels_and_pictures_are_those_of_each(material: Material) -> None:
    task = build("rotation+inpainting+simclr", material).eval()
    batches = [material.dataset.batch(material.heldout[:ROWS], tuple(task.needs))]
    score = task.score(batches, draws(0, 1))
    alone = make_task("simclr", material, ROWS).eval()
    expected = alone.score(batches, draws(0, 1).named("simclr"))
    names = [one.metric for one in score.each]
    assert names == ["rotation.accuracy", "inpainting.psnr_db", "simclr.positive_first"]
    assert (score.trivial, score.each[2].trivial) == (0.25, expected.trivial)
    assert score.each[2].value == expected.value
    panels = {panel.name for panel in task.panels(batches[0], draws(0, ROWS))}
    assert panels == {"rotation", "inpainting", "simclr-views", "simclr-neighbours"}
    assert task.generate(batches[0], draws(0, ROWS)) is not None
    assert task_class("rotation+simclr").generate is PretextTask.generate


def test_collapse_of_any_of_them_is_watched(material: Material) -> None:
    task = build("rotation+simclr+byol", material)
    metrics = play(task, views_of(task, material), JOINT).metrics
    each = [metrics[f"{name}.projection_std"] for name in ("simclr", "byol")]
    assert metrics["projection_std"] == min(each)


@pytest.mark.slow
def test_sixteen_pictures_are_learnt_by_heart_in_both_ways(material: Material) -> None:
    task = make_task("rotation+simclr", material, 16)
    views = task.views(first_batch(task, material, 16), draws(0, 16))
    last = fit(task, lambda step: views, steps=50, rate=2e-3)[-1].metrics
    assert float(last["rotation.accuracy"]) > 0.9
    assert float(last["simclr.positive_first"]) > 0.9


def test_the_module_says_what_it_divides_by() -> None:
    assert "1708.07860" in (composite.Composite.__doc__ or "")
    assert "rotation, simclr" in (task_class("rotation+simclr").__doc__ or "").splitlines()[0]


def test_further_metrics_and_further_encoders_are_kept(
    material: Material, monkeypatch: pytest.MonkeyPatch
) -> None:
    task = build("rotation+bigan", material).eval()
    batches = [material.dataset.batch(material.heldout[:ROWS], tuple(task.needs))]
    names = [one.metric for one in task.score(batches, draws(0, 1)).each]
    alone = make_task("bigan", material, ROWS).eval().score(batches, draws(0, 1)).each
    assert names == ["rotation.accuracy", *(f"bigan.{one.metric}" for one in alone)]
    assert len(names) == 3
    assert task.exports() == {}
    first, second = task.parts
    monkeypatch.setattr(first, "exports", lambda: {"sound": 1, "motion": 2})
    monkeypatch.setattr(second, "exports", lambda: {"sound": 3})
    exported: dict[str, Any] = dict(task.exports())
    assert exported == {"rotation-sound": 1, "motion": 2, "bigan-sound": 3}

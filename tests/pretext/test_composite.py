"""Several tasks at once: each as it is alone, but for the scale of its loss."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor, nn

from hotstart.data.draws import Draws
from hotstart.errors import UsageError
from hotstart.pretext import composite
from hotstart.pretext.composite import JOINT, MEMORY, Composite, compose
from hotstart.pretext.registry import TASKS, find, own_settings, parts, task_class
from hotstart.pretext.task import (
    Batch,
    Epoch,
    OptimiserSettings,
    Player,
    PretextTask,
    Progress,
    Settings,
    Spec,
    Step,
    Views,
)
from hotstart.training.loop import Material
from tests.conformance.material import (
    carried,
    draws,
    first_batch,
    fit,
    make_task,
    material_from,
    play,
    play_all,
)

ROWS = 8


@pytest.fixture(scope="module")
def material(class_folder: Path) -> Material:
    return material_from(class_folder)


def build(name: str, material: Material, **settings: Any) -> Composite:
    made = make_task(name, material, ROWS, task_settings=settings)
    assert isinstance(made, Composite)
    return made.train()


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


class Maker(PretextTask):
    """A game whose other player comes first, as a generator does; and an order of its own."""

    needs = {"image": Spec(), "index": Spec()}  # noqa: RUF012
    own_order = True
    Settings = Settings
    optimiser = OptimiserSettings(learning_rate=1e-9, momentum=0.5)
    batch_size = 7

    def __init__(self, *words: Any) -> None:
        super().__init__(*words)
        self.made = nn.Parameter(torch.ones(3))
        self.told: list[Step] = []

    def players(self) -> dict[str, Player]:
        encoder = list(self.encoder.parameters())
        return {
            "maker": Player([self.made], self.optimiser),
            "judge": Player(encoder, self.optimiser),
        }

    def before_epoch(self, features: Any, rng: Draws) -> Epoch:
        order = rng.generator.permutation(len(features()))
        return Epoch([self.made], order)

    def views(self, batch: Batch, rng: Draws) -> Views:
        return {"noise": rng.uniform()}

    def forward(self, views: Views, progress: Progress, player: str) -> Step:
        if player == "maker":
            assert set(views) == {"noise"}
            return Step(self.made.sum(), {"size": self.made.sum()}, {"made": self.made.detach()})
        assert set(views) == {"noise", "made"}
        h = self.encoder(torch.zeros(2, 3, 32, 32) + views["made"][0])
        return Step(h.square().mean(), {"accuracy": h.mean()}, {"seen": h})

    def after_step(self, step: Step, progress: Progress) -> None:
        self.told.append(step)


@pytest.mark.slow
@pytest.mark.parametrize("name", [n for n, entry in TASKS.items() if entry.family != "control"])
def test_every_task_can_be_combined(name: str, material: Material) -> None:
    other = "rotation" if name != "rotation" else "simclr"
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


def test_settings_are_those_of_each_by_its_name(material: Material) -> None:
    task = build(
        "rotation+simclr", material, rotation={"all_four": False}, simclr={"temperature": 0.7}
    )
    assert task.named_parts["rotation"].settings.all_four is False
    assert task.named_parts["simclr"].settings.temperature == 0.7
    with pytest.raises(UsageError, match=r"rotation\+simclr\.simclr: no setting 'tau'"):
        build("rotation+simclr", material, simclr={"tau": 1})


def test_defaults_are_the_smallest_batch_and_a_rate_between_those_of_each() -> None:
    cls = task_class("rotation+inpainting+simclr")
    assert cls.batch_size == 64
    alone = [task_class(name) for name in ("rotation", "inpainting", "simclr")]
    moves = [one.optimiser.learning_rate * one.batch_size for one in alone]
    here = cls.optimiser.learning_rate * cls.batch_size
    assert min(moves) < here < max(moves)
    assert here**3 == pytest.approx(moves[0] * moves[1] * moves[2], rel=0.02)
    assert cls.optimiser.weight_decay == task_class("simclr").optimiser.weight_decay
    assert cls is task_class("rotation+inpainting+simclr")


def test_the_list_s_entry_is_made_of_theirs() -> None:
    entry = find("rotation+deep_cluster+simclr")
    assert (entry.family, entry.kind) == ("context", "predictive and contrastive")
    assert entry.needs == ("image", "index")
    assert "1803.07728" in entry.paper
    assert "1807.05520" in entry.paper
    assert find("inpainting+simclr").family == "several"
    assert parts("rotation") == ("rotation",)
    assert own_settings("a+b", {"a": {"x": 1}, "c": {}}) == {"a": {"x": 1}}


@pytest.mark.parametrize(
    ("name", "sentence"),
    [
        ("rotation+rotation", "names rotation more than once"),
        ("random+rotation", "random is a control"),
        ("rotation+supervised", "supervised is a control"),
        ("rotation+", "--task '' is unknown"),
        ("rotation+simcrl", "'simcrl' is unknown; nearest: simclr"),
    ],
)
def test_what_cannot_be_combined_is_said_in_a_sentence(name: str, sentence: str) -> None:
    with pytest.raises(UsageError, match=sentence.replace("(", r"\(")):
        task_class(name)


def test_classes_that_cannot_be_combined(material: Material) -> None:
    rotation = task_class("rotation")

    class Convolutions(Maker):
        accepts = frozenset({"cnn"})

    clusters = {"triplet": {"positives": "cluster"}}
    both = build("triplet+deep_cluster", material, **clusters)
    h = torch.randn(both.info.items, both.encoder.dim)
    with pytest.raises(UsageError, match="triplet and deep_cluster each load"):
        both.before_epoch(lambda: h, draws(0, ROWS))
    masked = task_class("masked_autoencoder")
    with pytest.raises(UsageError, match="no encoder suits all: masked vit, convolutions cnn"):
        compose({"masked": masked, "convolutions": Convolutions})
    with pytest.raises(UsageError, match="maker and deep_cluster each load"):
        compose({"maker": Maker, "deep_cluster": task_class("deep_cluster")})

    class Clips(Maker):
        needs = {"image": Spec(frames=4)}  # noqa: RUF012

    with pytest.raises(UsageError, match="clips needs 'image' as"):
        compose({"rotation": rotation, "clips": Clips})

    class Idle(Maker):
        def players(self) -> dict[str, Player]:
            return {"maker": Player([self.made], self.optimiser)}

    alone = make_task("rotation", material, ROWS)
    cls = compose({"rotation": rotation, "idle": Idle})
    with pytest.raises(UsageError, match="none of its players move the encoder"):
        cls(alone.encoder, cls.Settings(), alone.info)


def test_the_module_says_what_it_divides_by() -> None:
    assert "1708.07860" in (composite.Composite.__doc__ or "")
    assert "rotation, simclr" in (task_class("rotation+simclr").__doc__ or "").splitlines()[0]

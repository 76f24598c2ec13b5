"""What GAN and BiGAN share: views, the metric and what it is compared with, panels, pictures."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor

from hotstart.augment import centre_view
from hotstart.config import parse
from hotstart.data.draws import Draws
from hotstart.data.sample import Batch, Pictures
from hotstart.encoders import ConvGenerator, build_encoder, resolve_spec
from hotstart.errors import UsageError
from hotstart.pretext import frechet
from hotstart.pretext.from_noise import FromNoise
from hotstart.pretext.registry import task_class
from hotstart.pretext.task import Info, Progress, Step
from tests.conformance.material import play_all

SIZE = 32
NAMES = ("gan", "bigan")


def make(name: str, encoder: str = "resnet10_narrow", size: int = SIZE, **own: Any) -> FromNoise:
    cls = task_class(name)
    settings = parse(cls.Settings, own, name)
    with torch.random.fork_rng():
        torch.manual_seed(0)
        built = build_encoder(resolve_spec(encoder, size), 0)
        task = cls(built, settings, Info(100, size, 8, 100))
    assert isinstance(task, FromNoise)
    return task


def noise_pictures(rows: int, size: int = SIZE, seed: int = 0) -> Batch:
    rng = np.random.default_rng(seed)
    return {
        "image": Pictures.from_arrays(
            list(rng.integers(0, 256, (rows, size, size, 3), dtype=np.uint8))
        )
    }


def draws(rows: int, step: int = 0) -> Draws:
    return Draws(0, step, total=rows)


def test_real_pictures_are_whole_and_no_longer_in_256_levels() -> None:
    rows = 16
    task, batch = make("gan"), noise_pictures(rows)
    image = task.views(batch, draws(rows))["image"]
    levels = (image * 256).floor()
    whole = centre_view(batch["image"], SIZE) * 255
    for shown, picture in zip(levels, whole, strict=True):
        assert torch.equal(shown, picture.round()) or torch.equal(shown, picture.round().flip(2))
    within = image * 256 - levels
    assert within.std() == pytest.approx(12**-0.5, abs=0.01)
    assert image.min() >= 0
    assert image.max() < 1


def test_noise_is_uniform_and_augmentations_of_real_and_made_are_independent() -> None:
    views = make("gan", noise=200).views(noise_pictures(32), draws(32))
    assert views["noise"].shape == (32, 200)
    assert views["noise"].mean() == pytest.approx(0.5, abs=0.02)
    assert views["noise"].std() == pytest.approx(12**-0.5, abs=0.02)
    both = torch.stack([views["augment_real"].flatten(), views["augment_made"].flatten()])
    assert abs(float(both.corrcoef()[0, 1])) < 0.2


def test_without_augmentation_none_is_drawn_or_done() -> None:
    task = make("gan", augment=())
    views = task.views(noise_pictures(4), draws(4))
    assert set(views) == {"image", "noise"}
    assert torch.equal(task.augmented(views["image"], views, "real"), views["image"])


@pytest.mark.parametrize("name", NAMES)
def test_score_is_the_distance_of_made_from_whole_pictures(name: str) -> None:
    task = make(name).eval()
    batches = [noise_pictures(12, seed=seed) for seed in range(3)]
    score = task.score(batches, draws(1))
    assert score.metric == "frechet_random_conv"
    assert score.examples == 36
    space = frechet.RandomConv()
    real = torch.cat([space(centre_view(batch["image"], SIZE)) for batch in batches])
    made = []
    for i in range(3):
        noise = task._noise(12, draws(1).named(f"batch {i}"))
        assert noise.unique(dim=0).shape == (12, 100)
        made.append(space(task.show(noise)))
    assert score.value == pytest.approx(frechet.frechet_distance(real, torch.cat(made)))


@pytest.mark.parametrize("name", NAMES)
def test_the_trivial_value_is_that_of_the_generator_before_training(name: str) -> None:
    task = make(name)
    batches = [noise_pictures(8, seed=seed) for seed in range(2)]
    before = task.eval().score(batches, draws(1))
    first = [p.clone() for p in task.untrained.parameters()]
    with torch.no_grad():
        for weight in task.averaged.parameters():
            weight.normal_()
    after = task.score(batches, draws(1))
    assert after.value != before.value
    assert after.trivial == before.trivial
    trained = {id(p) for player in task.players().values() for p in player.parameters}
    assert not trained & {id(p) for p in task.untrained.parameters()}
    assert all(torch.equal(a, b) for a, b in zip(first, task.untrained.parameters(), strict=True))
    # What it made at the first step: by the statistics of its batch, which are then still its own.
    noise = task._noise(8, draws(1))
    again = make(name).train()
    assert torch.equal(task._before(noise), again.make(noise))


def test_a_perfect_generator_scores_near_zero_and_a_collapsed_one_does_not(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    task = make("gan").eval()
    batches = [noise_pictures(64, seed=seed) for seed in range(2)]
    others = iter([centre_view(noise_pictures(64, seed=9 + i)["image"], SIZE) for i in range(2)])
    monkeypatch.setattr(task, "show", lambda noise: next(others))
    perfect = task.score(batches, draws(1))
    one = centre_view(noise_pictures(1, seed=9)["image"], SIZE)
    monkeypatch.setattr(task, "show", lambda noise: one.expand(len(noise), -1, -1, -1))
    collapsed = task.score(batches, draws(1))
    assert perfect.trivial is not None
    assert perfect.value < 0.2 * perfect.trivial
    assert collapsed.value > 2 * perfect.value


@pytest.mark.parametrize("name", NAMES)
def test_panels_show_made_pictures_and_walks_only_when_asked(name: str) -> None:
    task = make(name).eval()
    batch = noise_pictures(8)
    (asked,) = task.panels(batch, draws(8), answers=False)
    assert asked.kind == "views"
    shown = {panel.name: panel for panel in task.panels(batch, draws(8))}
    expected = {f"{name}-question", f"{name}-samples", f"{name}-walk"}
    if name == "bigan":
        expected.add("bigan-reconstruction")
    assert set(shown) == expected
    samples = [picture for row in shown[f"{name}-samples"].pictures for picture in row]
    assert len(samples) == 48
    assert len({picture.tobytes() for picture in samples}) == 48


def test_a_walk_goes_from_one_noise_vector_to_another_in_equal_steps(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    task = make("gan").eval()
    seen: list[Tensor] = []
    made = task.show

    def watched(noise: Tensor) -> Tensor:
        seen.append(noise)
        return made(noise)

    monkeypatch.setattr(task, "show", watched)
    task._walks(draws(8))
    walks = seen[0].view(6, 8, -1)
    steps = walks.diff(dim=1)
    torch.testing.assert_close(steps, steps[:, :1].expand_as(steps))
    assert len(walks[:, 0].unique(dim=0)) == 6
    assert walks.min() >= 0
    assert walks.max() <= 1


@pytest.mark.parametrize("name", NAMES)
def test_what_is_shown_is_made_by_an_average_that_follows(name: str) -> None:
    task = make(name)
    noise = torch.rand(4, 100)
    first = task.eval().show(noise)
    assert torch.equal(first, task.make(noise))
    task.train().make(noise)  # Moves BatchNorm's statistics.
    with torch.no_grad():
        for weight in task.generator.parameters():
            weight.add_(0.1)
    assert torch.equal(task.eval().show(noise), first)
    assert not torch.equal(task.make(noise), first)
    for step in range(200):
        task.after_step(Step(torch.zeros(())), Progress(step, 200))
    torch.testing.assert_close(task.show(noise), task.make(noise))


def test_generate_is_a_function_of_the_draws() -> None:
    task = make("gan").eval()
    first, again = (task.generate(noise_pictures(4, seed=i), draws(4)) for i in range(2))
    assert torch.equal(first, again)
    assert not torch.equal(first, task.generate(noise_pictures(4), draws(4, step=1)))
    assert 0 <= first.min() < first.max() <= 1


@pytest.mark.parametrize(("side", "start"), [(32, 4), (64, 4), (96, 6), (40, 5), (33, 5), (8, 4)])
def test_a_generator_of_any_side(side: int, start: int) -> None:
    generator = ConvGenerator(10, side, width=4)
    pictures = generator(torch.rand(2, 10))
    assert generator.start == start
    assert pictures.shape == (2, 3, side, side)
    assert pictures.min() >= 0
    assert pictures.max() <= 1


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize(
    ("encoder", "size"), [("resnet10_narrow", 40), ("convnext_atto", 64), ("vit_tiny_depth6", 48)]
)
def test_any_encoder_and_any_size(name: str, encoder: str, size: int) -> None:
    task = make(name, encoder, size)
    views = task.views(noise_pictures(2, size), draws(2))
    for result in play_all(task, views).values():
        result.loss.backward()
    grads = [p.grad for p in task.encoder.parameters() if p.grad is not None]
    assert all(torch.isfinite(grad).all() for grad in grads)
    assert sum(float(grad.abs().sum()) for grad in grads) > 0
    assert task.eval().generate(noise_pictures(2, size), draws(2)).shape == (2, 3, size, size)


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("wrong", [{"noise": 0}, {"width": 0}])
def test_settings_outside_their_range_are_refused(name: str, wrong: dict[str, Any]) -> None:
    with pytest.raises(UsageError, match=f"{name}: {next(iter(wrong))}"):
        parse(task_class(name).Settings, wrong, name)

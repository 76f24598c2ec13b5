"""GAN: who learns from whom, what the discriminator sees, and that it learns to make pictures."""

from __future__ import annotations

import math
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor

from hotstart.augment import centre_view
from hotstart.data import open_dataset
from hotstart.data.sample import Batch, Pictures
from hotstart.pretext.adversarial import diversity
from hotstart.pretext.generation.gan import Gan
from tests.conformance.material import carried, fit, play
from tests.pretext.test_from_noise import draws, make, noise_pictures

FAST = {"name": "adamw", "learning_rate": 0.016, "weight_decay": 0.0, "momentum": 0.5}


def made_task(**own: Any) -> Gan:
    task = make("gan", **own)
    assert isinstance(task, Gan)
    return task


def views_of(task: Gan, rows: int = 4) -> dict[str, Tensor]:
    return task.views(noise_pictures(rows), draws(rows))


def test_both_losses_equal_the_paper() -> None:
    """Goodfellow 2014, eq. 1, and his form of the generator's that does not saturate."""
    task = made_task(augment=(), real_label=1.0).eval()
    views = views_of(task)
    generator = play(task, views, "generator")
    made = task.generator(2 * views["noise"] - 1)
    believed = [torch.sigmoid(task.judge(task.encoder(x))) for x in (views["image"], made)]
    torch.testing.assert_close(generator.loss, -believed[1].log().mean())
    discriminator = play(task, views | carried(generator), "discriminator")
    expected = -believed[0].log().mean() - (1 - believed[1]).log().mean()
    torch.testing.assert_close(discriminator.loss, expected)
    smooth = made_task(augment=(), real_label=0.9).eval()
    smooth.load_state_dict(task.state_dict())
    expected = expected + 0.1 * (believed[0].log() - (1 - believed[0]).log()).mean()
    loss = play(smooth, views | carried(generator), "discriminator").loss
    torch.testing.assert_close(loss, expected)


def test_the_encoder_and_one_linear_unit_are_the_discriminator() -> None:
    task = made_task()
    players = task.players()
    assert list(players) == ["generator", "discriminator"]
    ids = [{id(p) for p in player.parameters} for player in players.values()]
    assert not ids[0] & ids[1]
    assert ids[1] == {id(p) for m in (task.encoder, task.judge) for p in m.parameters()}
    assert sum(p.numel() for p in task.judge.parameters()) == task.encoder.dim + 1


def test_the_user_changes_the_optimiser_of_what_transfers() -> None:
    task = made_task(generator={"learning_rate": 1e-5})
    task.optimiser = task.optimiser.model_copy(update={"learning_rate": 0.5})  # type: ignore[misc]
    rates = [player.optimiser.learning_rate for player in task.players().values()]
    assert rates == [1e-5, 0.5]


def test_the_discriminators_gradient_stays_with_it() -> None:
    """Without the loop's help: what the generator hands on has no way back to it."""
    task = made_task()
    views = views_of(task)
    result = play(task, views, "generator")
    play(task, views | result.carry, "discriminator").loss.backward()
    assert all(p.grad is None for p in task.generator.parameters())
    assert all(p.grad is not None for p in task.encoder.parameters())


def test_the_generator_learns_through_the_augmentation() -> None:
    task = made_task()
    views = views_of(task)
    for weight in task.players()["discriminator"].parameters:
        weight.requires_grad_(False)  # As the loop does when it is the generator's turn.
    play(task, views, "generator").loss.backward()
    assert all(p.grad is not None and p.grad.isfinite().all() for p in task.generator.parameters())
    assert any(p.grad is not None and p.grad.abs().sum() > 0 for p in task.generator.parameters())


def test_the_discriminator_sees_what_all_made_pictures_have_in_common() -> None:
    """Normalised in a batch of their own, paler pictures would look like the real ones."""
    task = made_task(augment=()).train()
    views = views_of(task, 8)
    paler = views | {"made": views["image"] * 0.5 + 0.2}
    judged = play(task, paler, "discriminator").metrics
    assert abs(judged["believed_real"] - judged["believed_made"]) > 0.03
    task = made_task(augment=(), one_batch=False).train()
    judged = play(task, paler, "discriminator").metrics
    assert abs(judged["believed_real"] - judged["believed_made"]) < 0.003


def test_in_batches_of_their_own_the_encoders_statistics_are_those_of_real_pictures() -> None:
    task = made_task(one_batch=False).train()
    views = views_of(task)
    before = {name: value.clone() for name, value in task.encoder.state_dict().items()}
    result = play(task, views, "generator")
    after = task.encoder.state_dict()
    assert all(torch.equal(value, before[name]) for name, value in after.items())
    play(task, views | carried(result), "discriminator")
    alone = made_task().train()
    alone.encoder(alone.augmented(views["image"], views, "real"))
    for name, value in alone.encoder.state_dict().items():
        assert torch.equal(task.encoder.state_dict()[name], value), name
    assert all(module.training for module in task.encoder.modules())


def test_a_collapsed_generator_and_a_sure_discriminator_show_in_the_metrics() -> None:
    task = made_task(augment=())
    views = views_of(task, 8)
    generator: Any = task.generator
    with torch.no_grad():
        generator.project.weight.zero_()
        task.judge.weight.zero_()
        task.judge.bias.fill_(-3.0)
    result = play(task, views, "generator")
    assert result.metrics["diversity"] == pytest.approx(0, abs=1e-5)
    judged = play(task, views | carried(result), "discriminator").metrics
    assert judged["believed_made"] == pytest.approx(1 / (1 + math.exp(3)), abs=1e-4)
    assert judged["discriminator_accuracy"] == 0.5


def squares(rows: int, seed: int) -> Batch:
    """A bright square somewhere on a dark slope: few ways in which pictures differ."""
    rng = np.random.default_rng(seed)
    pictures = np.tile(np.linspace(20, 90, 32)[:, None, None], (rows, 1, 32, 3))
    for picture, (y, x) in zip(pictures, rng.integers(2, 16, (rows, 2)), strict=True):
        picture[y : y + 12, x : x + 12] = rng.integers(150, 250, 3)
    return {"image": Pictures.from_arrays(list(pictures.astype(np.uint8)))}


@pytest.mark.slow
def test_it_learns_to_make_photographs(imagenette: Path) -> None:
    """With the settings that it comes with; and pixels vary from picture to picture."""
    dataset = open_dataset(str(imagenette), size=16)
    rng = np.random.default_rng(0)

    def pictures(items: Any) -> Batch:
        return dataset.batch(np.sort(items), ("image",))

    def views(step: int) -> dict[str, Tensor]:
        items = rng.choice(dataset.indices("train"), 32, replace=False)
        return task.views(pictures(items), draws(32, step))

    task = made_task(size=16)
    fit(task, views, 1_000, batch_size=32, decay=True)
    held_out = pictures(dataset.indices("val")[:200])
    score = task.eval().score([held_out], draws(1))
    assert score.trivial is not None
    assert score.value < score.trivial / 2
    made = task.show(torch.rand(200, 100, generator=torch.Generator().manual_seed(0)))
    assert diversity(made, centre_view(held_out["image"], 16)) > 0.3


@pytest.mark.slow
def test_in_batches_of_their_own_it_learns_to_make_what_it_sees() -> None:
    own: dict[str, Any] = {"augment": ("translation", "colour"), "one_batch": False}
    task = made_task(width=16, generator=FAST, **own)
    task.optimiser = task.optimiser.model_copy(update={"learning_rate": 4e-3})  # type: ignore[misc]

    def views(step: int) -> dict[str, Tensor]:
        return task.views(squares(32, step), draws(32, step))

    fit(task, views, 240, batch_size=32, decay=True)
    score = task.eval().score([squares(64, 10_000 + i) for i in range(2)], draws(1))
    assert score.trivial is not None
    assert score.value < score.trivial / 2
    with torch.no_grad():
        made = task.show(torch.rand(64, 100, generator=torch.Generator().manual_seed(0)))
    assert made.std(0).mean() > 0.02

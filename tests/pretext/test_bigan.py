"""BiGAN: who learns from whom, that E inverts G, and what a collapse looks like."""

from __future__ import annotations

import math
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor

from hotstart.augment import centre_view
from hotstart.data import Subset
from hotstart.pretext.generation import bigan
from hotstart.pretext.generation.bigan import Bigan
from hotstart.pretext.spread import PROJECTION_STD
from tests.conformance.material import carried, fit, material_from, play
from tests.pretext.test_from_noise import draws, make, noise_pictures
from tests.pretext.test_gan import squares


def made_task(**own: Any) -> Bigan:
    task = make("bigan", **own)
    assert isinstance(task, Bigan)
    return task


def views_of(task: Bigan, rows: int = 4) -> dict[str, Tensor]:
    return task.views(noise_pictures(rows), draws(rows))


def test_both_losses_equal_the_paper_in_value_and_gradient() -> None:
    """Donahue 2017, eq. 3, one pair at a time; E and G with the labels exchanged (section 4)."""
    task = made_task(augment=()).eval()
    views = views_of(task)
    first = play(task, views, "encoder_and_generator")
    second = play(task, views | carried(first), "discriminator")
    losses = {"encoder_and_generator": torch.zeros(()), "discriminator": torch.zeros(())}
    for image, noise in zip(views["image"], views["noise"], strict=True):
        z = 2 * noise[None] - 1
        encoded = torch.erf(task.to_latent(task.encoder(image[None])) / math.sqrt(2))
        on_pair = torch.sigmoid(task.discriminator(image[None], encoded))[0]
        on_made = torch.sigmoid(task.discriminator(task.generator(z), z))[0]
        value = on_pair.log() + (1 - on_made).log()
        losses["discriminator"] = losses["discriminator"] - value / 4
        exchanged = on_made.log() + (1 - on_pair).log()
        losses["encoder_and_generator"] = losses["encoder_and_generator"] - exchanged / 4
    players = task.players()
    for name, ours in (("encoder_and_generator", first), ("discriminator", second)):
        torch.testing.assert_close(ours.loss, losses[name])
        weights = list(players[name].parameters)
        mine = torch.autograd.grad(ours.loss, weights, allow_unused=True, retain_graph=True)
        other = torch.autograd.grad(losses[name], weights, allow_unused=True, retain_graph=True)
        for one, two in zip(mine, other, strict=True):
            torch.testing.assert_close(one, two, atol=1e-5, rtol=1e-3)


def test_three_networks_play_on_two_sides() -> None:
    task = made_task(discriminator={"learning_rate": 1e-5})
    makers, judge = task.players().values()
    assert list(task.players()) == ["encoder_and_generator", "discriminator"]
    expected = (task.encoder, task.to_latent, task.generator)
    assert {id(p) for p in makers.parameters} == {id(p) for m in expected for p in m.parameters()}
    assert {id(p) for p in judge.parameters} == {id(p) for p in task.discriminator.parameters()}
    assert judge.optimiser.learning_rate == 1e-5
    assert makers.optimiser == task.optimiser


def test_the_discriminators_gradient_stays_with_it_and_the_makers_reaches_all_three() -> None:
    task = made_task()
    views = views_of(task)
    result = play(task, views, "encoder_and_generator")
    assert not any(value.requires_grad for value in result.carry.values())
    play(task, views | result.carry, "discriminator").loss.backward()
    for maker in (task.encoder, task.to_latent, task.generator):
        assert all(p.grad is None for p in maker.parameters())
    result.loss.backward()
    for maker in (task.encoder, task.to_latent, task.generator):
        assert any(p.grad is not None and p.grad.abs().sum() > 0 for p in maker.parameters())


def test_the_encoder_never_sees_an_augmented_picture(monkeypatch: pytest.MonkeyPatch) -> None:
    task = made_task()
    views = views_of(task)
    seen: list[Tensor] = []
    encoder = task.encoder.forward

    def watched(images: Tensor) -> Tensor:
        seen.append(images)
        return encoder(images)

    monkeypatch.setattr(task.encoder, "forward", watched)
    play(task, views, "encoder_and_generator")
    assert len(seen) == 1
    assert torch.equal(seen[0], views["image"])


def test_the_latent_is_spread_as_the_noise_is() -> None:
    """Uniform in 0..1 where what the encoder says is normal, whatever its scale and mean."""
    task = made_task(noise=20)
    with torch.no_grad():
        latent = task.latent(torch.rand(256, 3, 8, 8, generator=torch.Generator().manual_seed(0)))
    assert latent.shape == (256, 20)
    assert 0 <= latent.min() < 0.05
    assert 0.95 < latent.max() <= 1
    torch.testing.assert_close(latent.mean(0), torch.full((20,), 0.5), atol=0.05, rtol=0)
    torch.testing.assert_close(latent.std(0), torch.full((20,), 12**-0.5), atol=0.06, rtol=0)


def test_a_discriminator_that_reads_either_alone_is_told_from_one_that_reads_both() -> None:
    """Both the picture and the latent change its answer."""
    task = made_task().eval()
    pictures, latent = torch.rand(2, 3, 32, 32), torch.rand(2, 100)
    with torch.no_grad():
        answer = task.discriminator(pictures, latent)
        assert answer.shape == (2,)
        assert not torch.allclose(answer, task.discriminator(pictures.flip(0), latent))
        assert not torch.allclose(answer, task.discriminator(pictures, latent.flip(0)))


def test_reconstruction_and_collapse_show_in_the_metrics() -> None:
    task = made_task().train()
    views = views_of(task, 8)
    before = {name: value.clone() for name, value in task.generator.state_dict().items()}
    with torch.no_grad():
        psnr = task._reconstruction_psnr(views["image"], task.latent(views["image"]))
    state = task.generator.state_dict()
    assert all(torch.equal(value, before[name]) for name, value in state.items())
    grey = 10 * math.log10(1 / (views["image"] - 0.5).square().mean())
    assert float(psnr) == pytest.approx(grey, abs=1)  # Untrained, G makes nearly grey pictures.
    with torch.no_grad():
        next(task.to_latent.parameters()).zero_()
    metrics = play(task, views, "encoder_and_generator").metrics
    assert metrics[PROJECTION_STD] == pytest.approx(0, abs=1e-4)
    assert {"diversity", "reconstruction_psnr_db"} < set(metrics)


def test_the_score_tells_how_near_heldout_pictures_come_back() -> None:
    """Donahue 2017 compares x with G(E(x)) by eye; here by PSNR, one picture at a time."""
    task = made_task().eval()
    batches = [noise_pictures(rows, seed=rows) for rows in (5, 3)]
    with torch.no_grad():
        task.mean_picture.uniform_()
        for weight in task.generator.parameters():
            weight.add_(0.1)  # What is scored is its average, which stays.
    score = task.score(batches, draws(1))
    (again,) = score.others
    pictures = torch.cat([centre_view(batch["image"], 32) for batch in batches])
    with torch.no_grad():
        made = task.averaged(2 * task.latent(pictures) - 1)
    own = [10 * math.log10(1 / error.square().mean()) for error in made - pictures]
    mean = [10 * math.log10(1 / error.square().mean()) for error in task.mean_picture - pictures]
    assert score.metric == "frechet_random_conv"
    assert (again.metric, again.examples) == ("reconstruction_psnr_db", 8)
    assert again.value == pytest.approx(sum(own) / 8, rel=1e-4)
    assert again.trivial == pytest.approx(sum(mean) / 8, rel=1e-4)


def test_pictures_that_come_back_as_they_were_score_the_most_there_is(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    task, batch = made_task().eval(), noise_pictures(4)
    whole = centre_view(batch["image"], 32)
    monkeypatch.setattr(task, "show", lambda noise: whole)
    (again,) = task.score([batch], draws(1)).others
    assert again.value == pytest.approx(10 * math.log10(12 * 255**2))
    assert again.trivial is not None
    assert again.trivial < 15


def test_the_mean_picture_is_of_those_trained_on_and_is_saved(
    class_folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(bigan, "CHUNK", 7)
    material = material_from(class_folder)
    task, items = made_task(), material.train[::9]
    task.prepare(Subset(material.dataset, items), tmp_path, draws(1))
    pictures = centre_view(material.dataset.batch(items, ("image",))["image"], 32)
    torch.testing.assert_close(task.mean_picture, pictures.mean(0))
    again = made_task()
    again.load_state_dict(task.state_dict())
    assert torch.equal(again.mean_picture, task.mean_picture)
    monkeypatch.setattr(bigan, "LOOKED_AT", 3)
    task.prepare(Subset(material.dataset, items), tmp_path, draws(1))
    few = pictures[np.linspace(0, len(items) - 1, 3).astype(int)]
    torch.testing.assert_close(task.mean_picture, few.mean(0))


@pytest.mark.slow
def test_it_learns_to_make_what_it_sees_and_to_find_it_again() -> None:
    """Of 8 numbers: the fewer a latent has, the sooner it is found again."""
    task = made_task(width=16, noise=8)

    def views(step: int) -> dict[str, Tensor]:
        return task.views(squares(32, step), draws(32, step))

    fit(task, views, 600, rate=2e-3, decay=True)
    score = task.eval().score([squares(64, 10_000 + i) for i in range(2)], draws(1))
    assert score.trivial is not None
    assert score.value < score.trivial / 2
    whole = centre_view(squares(64, 20_000)["image"], 32)
    with torch.no_grad():
        again = task.show(task.latent(whole))
    own = (again - whole).square().mean()
    rolled = (whole.roll(by, 0) for by in range(1, len(whole)))
    others = torch.stack([(again - other).square().mean() for other in rolled]).mean()
    assert own < 0.9 * others

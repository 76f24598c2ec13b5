"""Autoencoder: what falls on the picture, what passes the bottleneck, what is asked."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import pytest
import torch

from hotstart.config import parse
from hotstart.encoders import build_encoder, resolve_spec
from hotstart.errors import UsageError
from hotstart.pretext.generation.autoencoder import WALK, Autoencoder, AutoencoderSettings
from hotstart.pretext.task import Info
from tests.conformance.material import fit, play, settle
from tests.pretext.pictures import SIZE, batch_of, draws, noise, slopes

WHOLE = {"crop_scale": (1.0, 1.0), "crop_ratio": (1.0, 1.0), "flip": 0.0}


def make(encoder: str = "resnet10_narrow", size: int = SIZE, **own: Any) -> Autoencoder:
    settings = parse(AutoencoderSettings, {"view": WHOLE, **own}, "autoencoder")
    with torch.random.fork_rng():
        torch.manual_seed(0)
        built = build_encoder(resolve_spec(encoder, size), 0)
        return Autoencoder(built, settings, Info(100, size, 8, 100))


def test_masking_removes_its_share_of_whole_pixels() -> None:
    task = make(masking=0.3)
    views = task.views(batch_of(noise(40)), draws(40))
    changed = (views["noised"] != views["whole"]).any(1)
    assert changed.float().mean().item() == pytest.approx(0.3, abs=0.01)
    assert len(changed.unique(dim=0)) == 40
    colours = views["noised"].permute(0, 2, 3, 1)[changed]
    torch.testing.assert_close(colours, task.encoder.mean.flatten().expand_as(colours))


def test_gaussian_noise_has_its_deviation_and_stays_in_range() -> None:
    task = make(masking=0.0, gaussian=0.05)
    grey = [np.full((SIZE, SIZE, 3), 128, np.uint8)] * 20
    views = task.views(batch_of(grey), draws(20))
    assert (views["noised"] - views["whole"]).std().item() == pytest.approx(0.05, rel=0.02)
    white = [np.full((SIZE, SIZE, 3), 255, np.uint8)] * 2
    assert task.views(batch_of(white), draws(2))["noised"].max() == 1


def test_without_noise_the_network_sees_the_picture_as_it_is() -> None:
    views = make(masking=0.0).views(batch_of(noise(3)), draws(3))
    assert torch.equal(views["noised"], views["whole"])


def test_the_loss_equals_the_paper() -> None:
    """Vincent 2008, eq. 4 with squared error: g(f(noised)) against the clean picture, in a loop."""
    task = make(masking=0.5).eval()
    views = task.views(batch_of(noise(1)), draws(1))
    loss = play(task, views, "task").loss
    said = task.decoder(task.encoder(views["noised"]))
    reference = torch.zeros(())
    for b in range(1):
        for c in range(3):
            clean = (views["whole"][b, c] - task.encoder.mean[0, c]) / task.encoder.std[0, c]
            for y in range(SIZE):
                for x in range(SIZE):
                    reference = reference + (said[b, c, y, x] - clean[y, x]) ** 2
    reference = reference / (3 * SIZE * SIZE)
    torch.testing.assert_close(loss, reference)
    weights = list(task.parameters())
    for mine, other in zip(
        torch.autograd.grad(loss, weights), torch.autograd.grad(reference, weights), strict=True
    ):
        torch.testing.assert_close(mine, other, atol=1e-5, rtol=1e-4)


def test_nothing_but_h_reaches_the_decoder(monkeypatch: pytest.MonkeyPatch) -> None:
    """An encoder that says the same of every picture: all come back alike."""
    task = make().eval()
    monkeypatch.setattr(task.encoder, "forward", lambda images: torch.ones(len(images), 256))
    made = task.generate(batch_of(noise(3)), draws(3))
    assert torch.equal(made[0], made[1])
    assert torch.equal(made[0], made[2])


def test_score_is_that_of_disturbed_pictures_beside_one_picture_for_all(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    task = make(masking=0.5).eval()
    batches = [batch_of(noise(5, seed=seed)) for seed in range(2)]
    score = task.score(iter(batches), draws(1))
    assert score.examples == 10
    wholes = [np.stack(noise(5, seed=seed)) / 255 for seed in range(2)]
    errors = [np.mean((whole.mean(0) - one) ** 2) for whole in wholes for one in whole]
    by_hand = float(np.mean([10 * math.log10(1 / error) for error in errors]))
    assert score.trivial == pytest.approx(by_hand, abs=1e-3)
    seen, encode = [], task.encoder.forward

    def watched(images: torch.Tensor) -> torch.Tensor:
        seen.append(images)
        return encode(images)

    monkeypatch.setattr(task.encoder, "forward", watched)
    assert task.score(iter(batches), draws(1)) == score
    grey = (seen[0] == task.encoder.mean).all(1).float().mean().item()
    assert grey == pytest.approx(0.5, abs=0.05)


def test_panels_show_the_answer_and_the_walk_only_when_asked() -> None:
    task = make().eval()
    batch = batch_of(noise(8))
    (asked,) = task.panels(batch, draws(8), answers=False)
    shown, walk = task.panels(batch, draws(8))
    assert list(asked.columns) == ["disturbed", "truth"]
    assert list(shown.columns) == ["disturbed", "network", "truth"]
    whole = batch["image"][0].numpy()
    assert np.array_equal(shown.pictures[0][-1], whole)
    made = (task.generate(batch, draws(8)) * 255).round().to(torch.uint8).permute(0, 2, 3, 1)
    for i, row in enumerate(walk.pictures):
        assert len(row) == WALK
        start, end = made[i].numpy(), made[(i + 1) % len(walk.pictures)].numpy()
        assert np.abs(row[0].astype(int) - start).max() <= 1
        assert np.abs(row[-1].astype(int) - end).max() <= 1


@pytest.mark.parametrize(
    ("encoder", "size"), [("resnet10_narrow", 40), ("convnext_atto", 64), ("vit_tiny_depth6", 48)]
)
def test_any_encoder_and_any_size(encoder: str, size: int) -> None:
    task = make(encoder, size)
    result = play(task, task.views(batch_of(noise(2, size)), draws(2)), "task")
    result.loss.backward()
    assert sum(float(p.grad.abs().sum()) for p in task.encoder.parameters() if p.grad is not None)
    assert task.eval().generate(batch_of(noise(2, size)), draws(2)).shape == (2, 3, size, size)


@pytest.mark.parametrize("wrong", [{"masking": 1.0}, {"gaussian": -0.1}])
def test_settings_outside_their_range_are_refused(wrong: dict[str, Any]) -> None:
    with pytest.raises(UsageError, match=f"autoencoder: {next(iter(wrong))}"):
        parse(AutoencoderSettings, wrong, "autoencoder")


@pytest.mark.slow
def test_it_beats_the_mean_picture() -> None:
    task = make()

    def views(step: int) -> dict[str, torch.Tensor]:
        return task.views(batch_of(slopes(32, step)), draws(32, step))

    fit(task, views, 80, rate=4e-3)
    settle(task, [views(1000 + i) for i in range(10)])
    score = task.score([batch_of(slopes(64, 10_000 + i)) for i in range(3)], draws(1))
    assert score.trivial is not None
    assert score.value > score.trivial + 3

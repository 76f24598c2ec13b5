"""Super-resolution: what is left of the picture, what is asked, who learns from whom."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image

from hotstart.config import parse
from hotstart.encoders import PyramidDecoder, build_encoder, resolve_spec
from hotstart.errors import UsageError
from hotstart.pretext.generation.super_resolution import SuperResolution, SuperResolutionSettings
from hotstart.pretext.task import Info
from tests.conformance.material import carried, fit, play, settle
from tests.pretext.pictures import SIZE, batch_of, draws, noise

WHOLE = {"crop_scale": (1.0, 1.0), "crop_ratio": (1.0, 1.0), "flip": 0.0}


def make(encoder: str = "resnet10_narrow", size: int = SIZE, **own: Any) -> SuperResolution:
    settings = parse(SuperResolutionSettings, {"view": WHOLE, **own}, "super_resolution")
    with torch.random.fork_rng():
        torch.manual_seed(0)
        built = build_encoder(resolve_spec(encoder, size), 0)
        return SuperResolution(built, settings, Info(100, size, 8, 100))


@pytest.mark.parametrize("factor", [2, 4, 8])
def test_the_reduced_picture_is_pillows_and_all_that_the_network_sees(factor: int) -> None:
    """Pillow reduces antialiased; what `low` holds is made from the reduced picture alone."""
    task = make(factor=factor)
    arrays = noise(3)
    views = task.views(batch_of(arrays), draws(3))
    side = SIZE // factor
    small = task._reduced(views["whole"])
    for b, array in enumerate(arrays):
        pillow = np.asarray(Image.fromarray(array).resize((side, side), Image.Resampling.BICUBIC))
        ours = small[b].permute(1, 2, 0).numpy() * 255
        assert np.abs(ours - pillow).max() <= 1  # Pillow rounds to whole grey levels twice.
    large = torch.nn.functional.interpolate(small, size=SIZE, mode="bicubic").clamp(0, 1)
    torch.testing.assert_close(views["low"], large)


def test_the_loss_equals_the_paper() -> None:
    """Ledig 2017, eq. 4, of the picture made (not of the detail), pixel by pixel; and eq. 3."""
    task = make(adversarial_weight=0.3).eval()
    views = task.views(batch_of(noise(1)), draws(1))
    loss = play(task, views, "painter").loss
    made = views["low"] + task._detail(views["low"]) * task.encoder.std
    content = torch.zeros(())
    for b in range(1):
        for c in range(3):
            for y in range(SIZE):
                for x in range(SIZE):
                    error = (made[b, c, y, x] - views["whole"][b, c, y, x]) / task.encoder.std[0, c]
                    content = content + error.squeeze() ** 2 / (3 * SIZE * SIZE)
    assert task.discriminator is not None
    believed = torch.sigmoid(task.discriminator((made - task.encoder.mean) / task.encoder.std))
    reference = content + 0.3 * -believed.log().mean()
    torch.testing.assert_close(loss, reference)
    weights = [*task.encoder.parameters(), *task.decoder.parameters()]
    for mine, other in zip(
        torch.autograd.grad(loss, weights), torch.autograd.grad(reference, weights), strict=True
    ):
        torch.testing.assert_close(mine, other, atol=1e-5, rtol=1e-4)


def test_players_share_no_weight_and_the_adversarys_gradient_stays_with_it() -> None:
    task = make(adversarial_weight=1e-3)
    painter, adversary = task.players().values()
    assert not {id(p) for p in painter.parameters} & {id(p) for p in adversary.parameters}
    views = task.views(batch_of(noise(4)), draws(4))
    result = play(task, views, "painter")
    assert not any(value.requires_grad for value in result.carry.values())
    told = play(task, views | carried(result), "adversary")
    told.loss.backward()
    assert all(p.grad is not None for p in adversary.parameters)
    assert all(p.grad is None for p in painter.parameters)
    alone = make()
    assert list(alone.players()) == ["painter"]
    assert alone.discriminator is None


def test_the_gain_of_bicubic_over_itself_is_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    task = make().eval()
    batches = [batch_of(noise(4, seed=seed)) for seed in range(2)]
    assert task.trivial(8) == 0
    monkeypatch.setattr(task, "_detail", torch.zeros_like)
    score = task.score(iter(batches), draws(1))
    assert (score.value, score.trivial, score.examples) == (0.0, 0.0, 8)
    made = task.generate(batches[0], draws(4))
    assert torch.equal(made, task._ask(batches[0])["low"])


def test_the_gain_is_in_decibels_of_whole_pictures() -> None:
    task = make().eval()
    batch = batch_of(noise(4))
    score = task.score(iter([batch]), draws(1))
    views = task._ask(batch)
    made = task.generate(batch, draws(4))

    def mean_error(pictures: torch.Tensor) -> list[float]:
        return (pictures - views["whole"]).square().mean((1, 2, 3)).tolist()

    ratios = zip(mean_error(views["low"]), mean_error(made), strict=True)
    by_hand = sum(10 * math.log10(bicubic / ours) for bicubic, ours in ratios) / 4
    assert score.value == pytest.approx(by_hand, abs=1e-3)


def test_panels_show_the_answer_only_when_asked() -> None:
    task = make().eval()
    batch = batch_of(noise(8))
    (asked,) = task.panels(batch, draws(8), answers=False)
    (shown,) = task.panels(batch, draws(8))
    assert list(asked.columns) == ["reduced", "bicubic", "truth"]
    assert list(shown.columns) == ["reduced", "bicubic", "network", "truth"]
    for i, row in enumerate(shown.pictures):
        assert np.array_equal(row[-1], batch["image"][i].numpy())
        assert len(np.unique(row[0].reshape(-1, 3), axis=0)) <= (SIZE // 4) ** 2
        assert shown.texts[i][1] == asked.texts[i][1]


@pytest.mark.parametrize(
    ("encoder", "size"), [("resnet10_narrow", 42), ("convnext_atto", 64), ("vit_tiny_depth6", 48)]
)
def test_any_encoder_and_any_size(encoder: str, size: int) -> None:
    task = make(encoder, size)
    result = play(task, task.views(batch_of(noise(2, size)), draws(2)), "painter")
    result.loss.backward()
    grads = [p.grad for p in task.encoder.parameters() if p.grad is not None]
    assert sum(float(grad.abs().sum()) for grad in grads) > 0
    assert task.eval().generate(batch_of(noise(2, size)), draws(2)).shape == (2, 3, size, size)


def test_every_map_reaches_every_part_of_the_picture() -> None:
    decoder = PyramidDecoder((4, 8, 16), channels=3, size=22, width=8).eval()
    sides = ((4, 11), (8, 6), (16, 3))
    # Several pictures: with eight channels, all of them may be cut off by ReLU at one place of one.
    maps = [torch.rand(9, dim, side, side, requires_grad=True) for dim, side in sides]
    picture = decoder(maps)
    assert picture.shape == (9, 3, 22, 22)
    picture[:8].sum().backward()
    for features in maps:
        assert features.grad is not None
        assert (features.grad[:8].abs().sum((0, 1)) > 0).all()
        assert not features.grad[8].any()


def test_settings_outside_their_range_are_refused() -> None:
    with pytest.raises(UsageError, match=r"super_resolution: factor.*2, 4 or 8.*got 3"):
        parse(SuperResolutionSettings, {"factor": 3}, "super_resolution")
    with pytest.raises(UsageError, match="at least 2 px"):
        make(size=8, factor=8)


@pytest.mark.slow
def test_it_beats_bicubic_where_the_detail_can_be_known() -> None:
    """Squares of 4 px, each of one colour: bicubic blurs edges that always lie in one place."""
    task = make()

    def batch(rows: int, seed: int) -> Any:
        return batch_of([a[::4, ::4].repeat(4, 0).repeat(4, 1) for a in noise(rows, seed=seed)])

    def views(step: int) -> dict[str, torch.Tensor]:
        return task.views(batch(32, step), draws(32, step))

    fit(task, views, 60, rate=4e-3)
    settle(task, [views(1000 + i) for i in range(10)])
    assert task.score([batch(64, 10_000)], draws(1)).value > 1

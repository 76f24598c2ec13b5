"""Colorization: what it sees, what it counts, what it answers, and that it learns."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from torch import Tensor

from hotstart.config import parse
from hotstart.data import Subset
from hotstart.data.sample import Batch
from hotstart.encoders import build_encoder, resolve_spec
from hotstart.errors import UsageError
from hotstart.pretext.colour_spaces import rgb_to_lab, rgb_to_ycbcr
from hotstart.pretext.generation.chroma import chroma_error, soft_encode
from hotstart.pretext.generation.colorization import Colorization, ColorizationSettings
from hotstart.pretext.task import Info
from tests.conformance.material import fit, make_loop, material_from, play
from tests.pretext.pictures import SIZE, batch_of, draws, noise

WHOLE = {"crop_scale": (1.0, 1.0), "crop_ratio": (1.0, 1.0), "flip": 0.0}


def make(encoder: str = "resnet10_narrow", size: int = SIZE, **own: Any) -> Colorization:
    settings = parse(ColorizationSettings, {"view": WHOLE, **own}, "colorization")
    with torch.random.fork_rng():
        torch.manual_seed(0)
        built = build_encoder(resolve_spec(encoder, size), 0)
        return Colorization(built, settings, Info(100, size, 8, 100))


@pytest.mark.parametrize("space", ["lab", "ycbcr"])
def test_the_network_sees_an_eight_bit_grey_picture(space: str) -> None:
    """The fraction of a weighted sum of whole numbers would tell the colour."""
    task = make(colour_space=space)
    views = task.views(batch_of(noise(3)), draws(3))
    grey = views["grey"]
    assert torch.equal(grey[:, 0], grey[:, 1])
    assert torch.equal(grey[:, 0], grey[:, 2])
    levels = grey * 255
    torch.testing.assert_close(levels, levels.round(), atol=1e-4, rtol=0)
    if space == "lab":
        light = rgb_to_lab(grey)[:, 0] - rgb_to_lab(views["whole"])[:, 0]
    else:
        light = 100 * (grey[:, 0] - rgb_to_ycbcr(views["whole"])[:, 0])
    assert light.abs().max() < 0.6  # Half a level.


def test_the_map_has_the_resolution_that_was_asked_for() -> None:
    images = torch.rand(2, 3, SIZE, SIZE)
    for stride, side in ((8, 8), (4, 8), (16, 8)):
        task = make(stride=stride)
        assert task.head(task.encoder, images).shape == (2, 313, side, side)
    assert len(make(grid=20.0).bins) < 120


def test_the_loss_is_eq_2_on_the_reduced_picture() -> None:
    task = make().eval()
    task.weights.copy_(torch.rand(313) + 0.5)
    views = task.views(batch_of(noise(2)), draws(2))
    loss = play(task, views, "task").loss
    said = task.head(task.encoder, views["grey"]).log_softmax(1)
    small = F.avg_pool2d(views["whole"], 4)
    ab = rgb_to_lab(small)[:, 1:]
    total = torch.zeros(())
    for b, y, x in np.ndindex(2, 8, 8):
        nearest, share = soft_encode(ab[b, :, y, x][None], task.bins, 5.0)
        entropy = -(share[0] * said[b, nearest[0], y, x]).sum()
        total = total + task.weights[nearest[0, 0]] * entropy
    torch.testing.assert_close(loss, total / (2 * 64))


def test_ycbcr_regresses_what_the_grey_lacks() -> None:
    task = make(colour_space="ycbcr").eval()
    views = task.views(batch_of(noise(2)), draws(2))
    loss = play(task, views, "task").loss
    said = task.head(task.encoder, views["grey"])
    truth = rgb_to_ycbcr(F.avg_pool2d(views["whole"], 4))[:, 1:] / 0.1
    torch.testing.assert_close(loss, 0.5 * F.mse_loss(said, truth))
    with torch.no_grad():
        flat = torch.full((2, 2, 8, 8), 0.5)
        made = rgb_to_ycbcr(task._coloured(views["grey"] * 0 + 0.5, flat))
    torch.testing.assert_close(made[:, 1:], torch.full((2, 2, 32, 32), 0.05), atol=1e-5, rtol=0)


def test_colours_are_counted_before_training_in_the_pretraining_set_alone(
    class_folder: Path, tmp_path: Path
) -> None:
    material = material_from(class_folder)
    task = make_loop("colorization", material, None, 5).task
    assert isinstance(task, Colorization)
    images = torch.stack([material.dataset.pictures.get(material.train)[i] for i in range(200)])
    images = images.permute(0, 3, 1, 2).float() / 255
    mean = rgb_to_lab(images)[:, 1:].mean((0, 2, 3))
    torch.testing.assert_close(task.mean_chroma, mean, atol=1.0, rtol=0)
    assert task.weights.max() > 5 * task.weights.min()
    common = rgb_to_lab(images.mean((2, 3), keepdim=True))[:, 1:, 0, 0]
    nearest = soft_encode(common, task.bins, 5.0, neighbours=1)[0]
    assert task.weights[nearest].max() < 0.3 * task.weights.mean()
    again, other = make(), make(rebalance=False)
    for each, items in ((again, material.train), (other, material.train)):
        each.prepare(Subset(material.dataset, items), tmp_path, draws(1))
    warm = make()
    warm.prepare(Subset(material.dataset, material.train[::2][:10]), tmp_path, draws(1))
    assert not torch.equal(warm.mean_chroma, again.mean_chroma)
    torch.testing.assert_close(again.weights, task.weights)
    assert torch.equal(other.weights, torch.ones(313))


def test_what_the_weights_of_the_loss_enlarge_is_taken_off_again_for_the_error() -> None:
    """The network that minimises the weighted loss names w p, up to a factor; p is meant."""
    task = make()
    task.weights.copy_(torch.linspace(0.1, 8, len(task.weights)))
    likely = torch.rand(2, len(task.bins), 3, 3).softmax(1)
    said = (likely * task.weights[:, None, None]).log() + 0.7
    torch.testing.assert_close(task._as_frequent(said).softmax(1), likely)


def test_score_stands_beside_grey_and_mean_chroma(monkeypatch: pytest.MonkeyPatch) -> None:
    task = make().eval()
    batches = [batch_of(noise(4, seed=i)) for i in range(2)]
    greys = []
    for batch in batches:
        views = task._greyed(
            torch.stack([batch["image"][i] for i in range(4)]).permute(0, 3, 1, 2) / 255
        )
        greys += chroma_error(views["grey"], views["whole"]).tolist()
    score = task.score(iter(batches), draws(1))
    assert score.trivial == pytest.approx(sum(greys) / 8, rel=1e-4)
    task.mean_chroma.copy_(torch.tensor([80.0, 0.0]))  # Worse than grey.
    assert task.score(iter(batches), draws(1)).trivial == pytest.approx(score.trivial)
    red = [np.full((SIZE, SIZE, 3), (150, 60, 60), np.uint8)] * 2
    task.mean_chroma.copy_(
        rgb_to_lab(torch.tensor(red[0][0, 0] / 255).float().view(1, 3, 1, 1))[0, 1:, 0, 0]
    )
    assert task.score([batch_of(red)], draws(1)).trivial == pytest.approx(0, abs=0.5)
    monkeypatch.setattr(task, "_coloured", lambda grey, said: grey)
    assert task.score(iter(batches), draws(1)).value == pytest.approx(score.trivial)


@pytest.mark.parametrize(("encoder", "size"), [("vit_tiny_depth6", 32), ("resnet10_narrow", 40)])
def test_other_encoders_and_sizes(encoder: str, size: int) -> None:
    task = make(encoder, size)
    views = task.views(batch_of(noise(2, size)), draws(2))
    play(task, views, "task").loss.backward()
    assert any(p.grad is not None and p.grad.abs().sum() > 0 for p in task.encoder.parameters())
    assert task.eval().generate(batch_of(noise(2, size)), draws(2)).shape == (2, 3, size, size)


def test_what_is_generated_has_the_brightness_that_was_seen() -> None:
    task = make().eval()
    batch = batch_of(noise(3))
    answers = task._ask(batch)
    made = task.generate(batch, draws(3))
    assert torch.equal(made, answers["network"])
    inside = ((made > 1e-4) & (made < 1 - 1e-4)).all(1)  # Not clipped.
    apart = (rgb_to_lab(made) - rgb_to_lab(answers["grey"]))[:, 0].abs()
    assert apart[inside].max() < 0.05


def test_panels_show_the_answer_only_when_asked() -> None:
    task = make().eval()
    (asked,) = task.panels(batch_of(noise(8)), draws(8), answers=False)
    (shown,) = task.panels(batch_of(noise(8)), draws(8))
    assert list(asked.columns) == ["grey", "truth"]
    assert list(shown.columns) == ["grey", "mean colour", "network", "by frequency", "truth"]
    assert all(float(text) > 0 for row in shown.texts for text in row[:3])
    assert all((np.ptp(row[0], axis=2) == 0).all() for row in shown.pictures)


@pytest.mark.parametrize("wrong", [{"grid": 1.0}, {"temperature": 0.0}, {"colour_space": "hsv"}])
def test_settings_outside_their_range_are_refused(wrong: dict[str, Any]) -> None:
    with pytest.raises(UsageError, match=f"colorization: {next(iter(wrong))}"):
        parse(ColorizationSettings, wrong, "colorization")


def stripes(rows: int, seed: int) -> Batch:
    """Dark ones are blue, bright ones are orange, and lightness alone tells."""
    rng = np.random.default_rng(seed)
    pictures = []
    for _ in range(rows):
        bright = np.repeat(rng.random((2, 2)) > 0.5, 16, 0).repeat(16, 1)[..., None]
        picture = np.where(bright, (230, 160, 60), (30, 40, 120))
        pictures.append((picture + rng.integers(-15, 15, (32, 32, 1))).astype(np.uint8))
    return batch_of(pictures)


@pytest.mark.slow
@pytest.mark.parametrize("space", ["lab", "ycbcr"])
def test_it_beats_grey_and_mean_where_lightness_tells_the_colour(space: str) -> None:
    task = make(colour_space=space)

    def views(step: int) -> dict[str, Tensor]:
        return task.views(stripes(16, step), draws(16, step))

    fit(task, views, 60, rate=2e-3)
    task.eval()
    score = task.score([stripes(32, 1000)], draws(1))
    assert score.trivial is not None
    assert score.value < 0.5 * score.trivial

"""Masked autoencoder: what is seen, what is asked, and that nothing of the answer leaks."""

from __future__ import annotations

import math
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor

from hotstart import api
from hotstart.config import parse
from hotstart.data import open_dataset
from hotstart.encoders import build_encoder, resolve_spec
from hotstart.errors import UsageError
from hotstart.league.pretraining import settle
from hotstart.pretext.generation.masked_autoencoder import (
    MaskedAutoencoder,
    MaskedAutoencoderSettings,
)
from hotstart.pretext.task import Info
from tests.conformance.material import fit, play
from tests.pretext.pictures import SIZE, batch_of, draws, noise, slopes

WHOLE = {"crop_scale": (1.0, 1.0), "crop_ratio": (1.0, 1.0), "flip": 0.0}
PATCH = 4


def make(size: int = SIZE, encoder: str = "vit_tiny_depth6", **own: Any) -> MaskedAutoencoder:
    settings = parse(MaskedAutoencoderSettings, {"view": WHOLE, **own}, "masked_autoencoder")
    with torch.random.fork_rng():
        torch.manual_seed(0)
        built = build_encoder(resolve_spec(encoder, size), 0)
        return MaskedAutoencoder(built, settings, Info(100, size, 8, 100))


def pixels_of(patch: int) -> tuple[slice, slice]:
    """Rows and columns of a patch, in raster order."""
    y, x = divmod(patch, SIZE // PATCH)
    return slice(y * PATCH, (y + 1) * PATCH), slice(x * PATCH, (x + 1) * PATCH)


@pytest.mark.parametrize("normalise", [False, True])
def test_nothing_of_a_hidden_patch_leaks_into_the_answer(normalise: bool) -> None:
    """Other pixels in all hidden patches: the same picture is painted, bit for bit."""
    task = make(normalise=normalise).eval()
    arrays = noise(4)
    image, order, colours, mean = task._ask(batch_of(arrays), draws(4))
    changed = [array.copy() for array in arrays]
    for b, row in enumerate(order[:, task.kept :].tolist()):
        for patch in row:
            changed[b][pixels_of(patch)] ^= 255
    again = task._ask(batch_of(changed), draws(4))
    assert not torch.equal(again[0], image)
    assert torch.equal(again[2], colours)
    assert torch.equal(again[3], mean)
    one_seen = [array.copy() for array in arrays]
    one_seen[0][pixels_of(int(order[0, 0]))] ^= 255
    other = task._ask(batch_of(one_seen), draws(4))[2]
    assert not torch.equal(other[0], colours[0])
    assert torch.equal(other[1:], colours[1:])


def test_the_encoder_gets_the_visible_tokens_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    task = make()
    lengths: list[int] = []
    first: Any = task.encoder.model.blocks[0]  # type: ignore[union-attr,index]
    forward = first.forward

    def watched(tokens: Tensor) -> Any:
        lengths.append(tokens.shape[1])
        return forward(tokens)

    monkeypatch.setattr(first, "forward", watched)
    play(task, task.views(batch_of(noise(2)), draws(2)), "task")
    assert lengths == [1 + 16]  # The class token, and a quarter of 64 patches.


def test_each_picture_has_patches_of_its_own_hidden_and_all_are_hidden_alike_often() -> None:
    task = make(hidden=0.5)
    order = task.views(batch_of(noise(400)), draws(400))["order"]
    assert task.kept == 32
    assert torch.equal(order.sort(1).values, torch.arange(64).expand(400, -1))
    assert len(order[:, : task.kept].sort(1).values.unique(dim=0)) == 400
    share = torch.bincount(order[:, : task.kept].flatten(), minlength=64) / 400
    assert (share - 0.5).abs().max() < 0.12


def naive_loss(task: MaskedAutoencoder, image: Tensor, order: Tensor) -> Tensor:
    """He 2022, section 3 and its code, one hidden patch at a time, mask token by mask token."""
    total, count = torch.zeros(()), 0
    for b in range(len(image)):
        pixels = (image[b] - task.encoder.mean[0]) / task.encoder.std[0]
        seen = order[b, : task.kept].tolist()
        tokens = task.encoder.tokens(image[b : b + 1], torch.tensor([seen]))[0, 1:]
        line = [task.mask_token[0, 0] + task.places[0, patch] for patch in range(64)]
        for token, patch in zip(tokens, seen, strict=True):
            line[patch] = task.narrow(token) + task.places[0, patch]
        said = task.decoder(torch.stack(line)[None])[0]
        for patch in set(range(64)) - set(seen):
            target = pixels[:, *pixels_of(patch)].flatten()
            if task.settings.normalise:
                target = (target - target.mean()) / (target.var() + 1e-6) ** 0.5
            total = total + (said[patch] - target).square().mean()
            count += 1
    return total / count


@pytest.mark.parametrize("normalise", [False, True])
def test_the_loss_equals_the_paper(normalise: bool) -> None:
    task = make(normalise=normalise)
    views = task.views(batch_of(noise(2)), draws(2))
    loss = play(task, views, "task").loss
    reference = naive_loss(task, views["image"], views["order"])
    torch.testing.assert_close(loss, reference)
    weights = [p for p in task.parameters() if p.requires_grad]
    for mine, other in zip(
        torch.autograd.grad(loss, weights, allow_unused=True),
        torch.autograd.grad(reference, weights, allow_unused=True),
        strict=True,
    ):
        assert (mine is None) == (other is None)
        if mine is not None:
            torch.testing.assert_close(mine, other, atol=1e-5, rtol=1e-4)


def test_patches_are_cut_in_raster_order_and_put_back() -> None:
    task = make()
    image = torch.rand(2, 3, SIZE, SIZE)
    patches = task.patches(image)
    assert torch.equal(patches[1, 11], image[1][:, *pixels_of(11)].flatten())
    assert torch.equal(task.images(patches), image)


def decibels(answers: list[Tensor], truth: list[Tensor]) -> float:
    """Peak signal-to-noise ratio over some patches."""
    errors = [(a - t).square().mean().item() for a, t in zip(answers, truth, strict=True)]
    return 10 * math.log10(len(errors) / sum(errors))


def test_score_asks_network_and_mean_patch_about_the_same_patches() -> None:
    task = make().eval()
    batches = [batch_of(noise(3, seed=seed)) for seed in range(2)]
    score = task.score(iter(batches), draws(1))
    assert score.examples == 6
    network: list[float] = []
    trivial: list[float] = []
    for i, batch in enumerate(batches):
        image, order, colours, _ = task._ask(batch, draws(1).batch(i, 3))
        painted = task._filled(image, order, colours)
        for b in range(3):
            seen = [image[b][:, *pixels_of(p)] for p in order[b, : task.kept].tolist()]
            mean = torch.stack(seen).mean(0)
            places = [pixels_of(p) for p in order[b, task.kept :].tolist()]
            truth = [image[b][:, *place] for place in places]
            network.append(decibels([painted[b][:, *place] for place in places], truth))
            trivial.append(decibels([mean] * len(truth), truth))
    assert score.value == pytest.approx(sum(network) / 6, abs=1e-3)
    assert score.trivial == pytest.approx(sum(trivial) / 6, abs=1e-3)


def test_generate_and_panels_change_nothing_that_was_seen() -> None:
    task = make().eval()
    batch = batch_of(noise(8))
    whole = task._ask(batch, draws(8))[0]
    made = task.generate(batch, draws(8))
    changed = (made != whole).any(1).sum((1, 2))
    assert (changed <= 48 * PATCH**2).all()
    assert (changed > 40 * PATCH**2).all()
    (asked,) = task.panels(batch, draws(8), answers=False)
    shown, attention = task.panels(batch, draws(8))
    assert attention.name == "masked_autoencoder-attention"
    assert list(asked.columns) == ["seen", "truth"]
    assert list(shown.columns) == ["seen", "mean patch", "network", "truth"]
    for row in shown.pictures:
        assert max((picture != row[-1]).any(2).sum() for picture in row) <= 48 * PATCH**2


def test_pictures_that_cannot_be_cut_and_shares_that_leave_nothing_are_refused() -> None:
    with pytest.raises(UsageError, match="50 px cannot be cut into patches of 6 px"):
        make(50)
    with pytest.raises(UsageError, match="masked_autoencoder: hidden"):
        parse(MaskedAutoencoderSettings, {"hidden": 1.0}, "masked_autoencoder")
    with pytest.raises(UsageError, match="masked_autoencoder: decoder_dim"):
        parse(MaskedAutoencoderSettings, {"decoder_dim": 50}, "masked_autoencoder")


def test_a_vit_is_taken_where_none_is_asked_for_and_a_cnn_refused_before_anything_is_made(
    class_folder: Path, tmp_path: Path
) -> None:
    values: dict[str, Any] = {"data": str(class_folder), "task": "masked_autoencoder"}
    values |= {"steps": 2, "task_settings": {}}
    assert settle(values, open_dataset(str(class_folder), size=SIZE)).encoder == "vit_narrow_depth4"
    out = tmp_path / "run"
    with pytest.raises(UsageError, match=r"trains a vit, got --encoder 'resnet18', a cnn"):
        api.pretrain(str(class_folder), task="masked_autoencoder", encoder="resnet18", out=out)
    assert not out.exists()


@pytest.mark.slow
def test_it_beats_the_mean_patch_where_the_others_can_be_known() -> None:
    task = make()
    fit(task, lambda step: task.views(batch_of(slopes(64, step)), draws(64, step)), 80, rate=1e-3)
    score = task.eval().score([batch_of(slopes(64, 10_000))], draws(1))
    assert score.trivial is not None
    assert score.value > score.trivial + 2
    assert np.isfinite(score.value)

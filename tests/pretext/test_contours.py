"""Contours: what the programme finds, what the network sees, and how answers are judged."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from torch import Tensor

from hotstart.config import parse
from hotstart.data.sample import Batch
from hotstart.encoders import build_encoder, resolve_spec
from hotstart.errors import UsageError
from hotstart.pretext.free_labels.contours import (
    Contours,
    ContoursSettings,
    balanced_cross_entropy,
    best_f,
    canny,
    threshold_counts,
)
from hotstart.pretext.task import Info
from tests.conformance.material import fit, play
from tests.pretext.pictures import SIZE, batch_of, draws, noise

WHOLE = {"crop_scale": (1.0, 1.0), "crop_ratio": (1.0, 1.0), "flip": 0.0}


def make(encoder: str = "resnet10_narrow", size: int = SIZE, **own: Any) -> Contours:
    settings = parse(ContoursSettings, {"view": WHOLE, **own}, "contours")
    with torch.random.fork_rng():
        torch.manual_seed(0)
        built = build_encoder(resolve_spec(encoder, size), 0)
        return Contours(built, settings, Info(100, size, 8, 100))


def squares(rows: int, seed: int, size: int = SIZE) -> Batch:
    """A bright rectangle on a dark ground, away from the rim."""
    rng = np.random.default_rng(seed)
    pictures = np.full((rows, size, size, 3), 60, np.uint8)
    for picture in pictures:
        (left, top), (width, height) = rng.integers(4, 12, 2), rng.integers(8, 15, 2)
        picture[top : top + height, left : left + width] = 190
    return batch_of(list(pictures))


def test_the_programme_finds_a_step_and_nothing_in_a_plain_picture() -> None:
    grey = torch.full((3, 1, 20, 20), 0.3)
    grey[0, :, :, 9:] = 0.7
    grey[1, :, 12:] = 0.32
    edges = canny(grey, 1.0, 0.2)
    assert edges.shape == (3, 1, 20, 20)
    columns = edges[0, 0].nonzero()[:, 1]
    assert set(columns.tolist()) <= {8, 9}
    assert len(edges[0, 0].any(1).nonzero()) == 20
    assert set(edges[1, 0].nonzero()[:, 0].tolist()) <= {11, 12}
    assert not edges[2].any()


def test_fewer_edges_with_a_smaller_share_and_more_smoothing() -> None:
    grey = torch.rand(4, 1, 32, 32, generator=torch.Generator().manual_seed(0))
    counts = [int(canny(grey, s, p).sum()) for s, p in ((1.0, 0.3), (1.0, 0.1), (3.0, 0.3))]
    assert counts[0] > counts[1] > 0
    assert counts[0] > counts[2] > 0


def test_edges_move_with_crop_and_flip_and_not_with_colour() -> None:
    batch = squares(8, 0)
    plain, mirrored = make(), make(view={**WHOLE, "flip": 1.0})
    edges, flipped = (
        task.views(batch, draws(8))["pseudo_label"].flip(3 if task is mirrored else ())
        for task in (plain, mirrored)
    )
    # Of two equally steep pixels side by side the programme takes the one on its right.
    near = F.max_pool2d(flipped.float(), 3, 1, 1) > 0
    assert (edges & near).sum() > 0.97 * edges.sum()
    wild = make(view={**WHOLE, "jitter": 1.0, "strength": 1.0, "grey": 0.5, "blur": 1.0})
    views = wild.views(batch, draws(8))
    assert torch.equal(views["pseudo_label"], edges)
    assert not torch.equal(views["image"], plain.views(batch, draws(8))["image"])
    cropped = make(view={"crop_scale": (0.3, 0.5), "jitter": 0.0, "grey": 0.0}, reduce=1.0)
    views = cropped.views(batch, draws(8))
    again = canny(views["image"][:, :1], 1.0, 0.2)  # Grey pictures: any channel is the luma.
    assert (views["pseudo_label"] != again).float().mean() < 0.01
    assert views["pseudo_label"].any((1, 2, 3)).sum() >= 6


def test_what_was_reduced_away_is_not_seen() -> None:
    """A fine pattern makes edges, and the network's input hardly changes."""
    checks = (np.indices((SIZE, SIZE)).sum(0) % 2 * 40).astype(np.uint8)[..., None]
    plain = np.full((SIZE, SIZE, 3), 100, np.uint8)
    task = make(reduce=4.0, smoothing=0.0, view={**WHOLE, "jitter": 0.0, "grey": 0.0})
    bare, patterned = (task.views(batch_of([p]), draws(1)) for p in (plain, plain + checks))
    sharp = make(reduce=1.0, view={**WHOLE, "jitter": 0.0, "grey": 0.0})
    seen = sharp.views(batch_of([plain + checks]), draws(1))["image"]
    assert float(seen.std()) > 0.05
    assert float(patterned["image"].std()) < 0.005
    assert patterned["image"].shape == bare["image"].shape


def test_the_loss_equals_hed_in_value_and_gradient() -> None:
    """Xie & Tu 2015, eq. 2, pixel by pixel; a picture without edges teaches nothing."""
    generator = torch.Generator().manual_seed(1)
    truth = torch.rand(3, 1, 4, 5, generator=generator) < 0.3
    truth[2] = False
    mine, other = (
        torch.randn(3, 1, 4, 5, generator=torch.Generator().manual_seed(2)).requires_grad_()
        for _ in range(2)
    )
    loss = balanced_cross_entropy(mine, truth)
    reference = torch.zeros(())
    for b in range(3):
        edges, rest = int(truth[b].sum()), int((~truth[b]).sum())
        beta = rest / (edges + rest)
        for y in range(4):
            for x in range(5):
                p = torch.sigmoid(other[b, 0, y, x])
                if truth[b, 0, y, x]:
                    reference = reference - beta * p.log()
                else:
                    reference = reference - (1 - beta) * (1 - p).log()
    reference = reference / truth.numel()
    loss.backward()
    reference.backward()
    torch.testing.assert_close(loss, reference)
    torch.testing.assert_close(mine.grad, other.grad)
    assert mine.grad is not None
    assert not mine.grad[2].any()


def test_best_f_equals_counting() -> None:
    generator = torch.Generator().manual_seed(3)
    said = torch.rand(2, 1, 9, 9, generator=generator)
    truth = torch.rand(2, 1, 9, 9, generator=generator) < 0.3 + 0.4 * said
    best = 0.0
    for k in range(1, 100):
        found = said >= k / 100
        right = int((found & truth).sum())
        if right:
            precision, recall = right / int(found.sum()), right / int(truth.sum())
            best = max(best, 2 * precision * recall / (precision + recall))
    assert float(best_f(threshold_counts(said, truth))) == pytest.approx(best, abs=1e-5)
    assert float(best_f(threshold_counts(truth.float(), truth))) == 1
    assert float(best_f(threshold_counts(said, torch.zeros_like(truth)))) == 0


def test_the_rim_is_not_asked_about() -> None:
    task = make()
    views = task.views(batch_of(noise(2)), draws(2))
    inside = (slice(None), slice(None), slice(2, 30), slice(2, 30))
    changed = dict(views)
    changed["pseudo_label"] = ~views["pseudo_label"]
    changed["pseudo_label"][inside] = views["pseudo_label"][inside]
    task.eval()
    assert torch.equal(play(task, changed, "task").loss, play(task, views, "task").loss)
    changed["pseudo_label"][0, 0, 2, 2] ^= True
    assert not torch.equal(play(task, changed, "task").loss, play(task, views, "task").loss)


def test_score_stands_beside_a_constant_answer(monkeypatch: pytest.MonkeyPatch) -> None:
    task = make().eval()
    batches = [batch_of(noise(4, seed=i)) for i in range(2)]
    score = task.score(iter(batches), draws(1))
    edges = torch.cat([task._ask(batch)["edges"] for batch in batches])[:, :, 2:30, 2:30]
    share = float(edges.float().mean())
    assert score.trivial == pytest.approx(2 * share / (1 + share), abs=1e-5)
    monkeypatch.setattr(task, "_logits", lambda images: torch.zeros(len(images), 1, SIZE, SIZE))
    assert task.score(iter(batches), draws(1)).value == pytest.approx(score.trivial, abs=1e-5)


@pytest.mark.parametrize(("encoder", "size"), [("vit_tiny_depth6", 32), ("resnet10_narrow", 40)])
def test_other_encoders_and_sizes(encoder: str, size: int) -> None:
    task = make(encoder, size)
    views = task.views(batch_of(noise(2, size)), draws(2))
    play(task, views, "task").loss.backward()
    assert any(p.grad is not None and p.grad.abs().sum() > 0 for p in task.encoder.parameters())


@pytest.mark.parametrize("wrong", [{"reduce": 0.5}, {"share": 1.0}, {"smoothing": -1.0}])
def test_settings_outside_their_range_are_refused(wrong: dict[str, Any]) -> None:
    with pytest.raises(UsageError, match=f"contours: {next(iter(wrong))}"):
        parse(ContoursSettings, wrong, "contours")


@pytest.mark.slow
def test_it_learns_the_outline_of_rectangles() -> None:
    task = make(reduce=2.0)

    def views(step: int) -> dict[str, Tensor]:
        return task.views(squares(16, step), draws(16, step))

    fit(task, views, 80, rate=2e-3)
    task.eval()
    score = task.score([squares(32, 1000)], draws(1))
    assert score.trivial is not None
    assert score.value > 2 * score.trivial

"""Inpainting: what it answers, how that is scored and shown, and that it learns."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch
from torch import Tensor

from tests.conformance.material import fit, settle
from tests.pretext.pictures import SIZE, batch_of, draws, noise, slopes
from tests.pretext.test_inpainting import WHOLE, make


def test_the_trivial_answer_is_the_mean_colour_of_the_rim() -> None:
    rows = 6
    task = make()
    views, hole = task._ask(batch_of(noise(rows)), draws(rows))
    filled = task._rim_filling(views, hole)
    for b, (x, y) in enumerate(views["corner"].tolist()):
        left, top, end = max(x - 2, 0), max(y - 2, 0), task.hole_px + 2  # 2 px are 1/16 of 32.
        rim = [
            views["whole"][b, :, row, column]
            for row in range(top, min(y + end, SIZE))
            for column in range(left, min(x + end, SIZE))
            if not hole[b, 0, row, column]
        ]
        inside = filled[b][:, hole[b, 0]]
        torch.testing.assert_close(inside, torch.stack(rim).mean(0)[:, None].expand_as(inside))
        assert torch.equal(filled[b][:, ~hole[b, 0]], views["whole"][b][:, ~hole[b, 0]])


def test_score_asks_network_and_rim_about_the_same_holes(monkeypatch: pytest.MonkeyPatch) -> None:
    """A network that answers as the rim does scores as the rim does; one that knows, the most."""
    task = make().eval()
    batches = [batch_of(noise(5, seed=seed)) for seed in range(3)]
    score = task.score(iter(batches), draws(1))
    assert score.examples == 15
    assert score.trivial is not None
    errors = []
    for i, batch in enumerate(batches):
        views, hole = task._ask(batch, draws(1).batch(i, 5))
        difference = (task._rim_filling(views, hole) - views["whole"])[hole.expand(-1, 3, -1, -1)]
        errors += difference.view(5, -1).square().mean(1).tolist()
    by_hand = sum(10 * math.log10(1 / error) for error in errors) / 15
    assert score.trivial == pytest.approx(by_hand, abs=1e-3)
    monkeypatch.setattr(task, "_filled", task._rim_filling)
    assert task.score(iter(batches), draws(1)).value == pytest.approx(score.trivial)
    monkeypatch.setattr(task, "_filled", lambda views, hole: views["whole"])
    assert task.score(iter(batches), draws(1)).value == pytest.approx(58.92, abs=0.01)


def test_panels_show_the_answer_only_when_asked() -> None:
    task = make().eval()
    batch = batch_of(noise(8))
    (asked,) = task.panels(batch, draws(8), answers=False)
    (shown,) = task.panels(batch, draws(8))
    assert list(asked.columns) == ["with a hole", "truth"]
    assert list(shown.columns) == ["with a hole", "rim's mean colour", "network", "truth"]
    assert all(text.endswith(" dB") for row in shown.texts for text in row[1:3])
    for i, row in enumerate(shown.pictures):
        assert np.array_equal(row[-1], batch["image"][i].numpy())
        assert max((picture != row[-1]).any(2).sum() for picture in row) <= task.hole_px**2
        assert np.array_equal(asked.pictures[i][0], row[0])


def test_generate_changes_nothing_but_the_hole() -> None:
    task = make().eval()
    arrays = noise(4)
    made = task.generate(batch_of(arrays), draws(4))
    whole = torch.from_numpy(np.stack(arrays)).permute(0, 3, 1, 2) / 255
    changed = (made - whole).abs().amax(1) > 1e-6
    assert (changed.sum((1, 2)) > task.hole_px**2 // 2).all()
    assert (changed.sum((1, 2)) <= task.hole_px**2).all()


@pytest.mark.slow
def test_it_beats_the_rim_where_the_hole_can_be_known() -> None:
    task = make(view=WHOLE)
    steps = 100

    def views(step: int) -> dict[str, Tensor]:
        return task.views(batch_of(slopes(32, step)), draws(32, step))

    fit(task, views, steps, rate=4e-3)
    fit(task, lambda step: views(steps + step), 30, rate=5e-4)
    settle(task, [views(1000 + i) for i in range(10)])
    score = task.score([batch_of(slopes(64, 10_000 + i)) for i in range(3)], draws(1))
    assert score.trivial is not None
    assert score.value > score.trivial + 2

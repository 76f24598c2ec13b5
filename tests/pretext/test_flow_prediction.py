"""Flow prediction: bins, the answer of least expected error, and learning from one frame."""

from __future__ import annotations

import math
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor

from hotstart.augment import centre_view
from hotstart.augment.settings import plain
from hotstart.augment.views import centre_box
from hotstart.config import parse
from hotstart.data import Subset, open_dataset
from hotstart.data.sample import Batch
from hotstart.encoders import build_encoder, resolve_spec
from hotstart.pretext.cross_modal.flow_prediction import FlowPrediction, FlowPredictionSettings
from hotstart.pretext.task import Info
from tests.conformance.material import fit
from tests.pretext.flows import SIZE, batch_of
from tests.pretext.moving import moving
from tests.pretext.pictures import draws

WHOLE = {"crop_scale": (1.0, 1.0), "crop_ratio": (1.0, 1.0), "flip": 0.0}
SAME = {**WHOLE, "jitter": 0.0, "grey": 0.0, "blur": 0.0}


def make(**own: Any) -> FlowPrediction:
    settings = parse(FlowPredictionSettings, own, "flow_prediction")
    with torch.random.fork_rng():
        torch.manual_seed(0)
        built = build_encoder(resolve_spec("resnet10_narrow", SIZE), 0)
        return FlowPrediction(built, settings, Info(100, SIZE, 8, 100))


def test_every_bin_holds_its_own_vector() -> None:
    task = make(directions=6, lengths=3)
    bins = task.bins
    assert bins.shape == (19, 2)
    assert task.classify(bins.T[None, :, :, None]).flatten().tolist() == list(range(19))
    assert not bins[0].any()


def test_a_mirrored_vector_has_the_mirrored_bin() -> None:
    task = make()
    vectors = torch.randn(2, 2, 20, 20, generator=torch.Generator().manual_seed(0)) * 0.03
    mirrored = vectors * torch.tensor([-1.0, 1.0])[:, None, None]
    ours, theirs = task.bins[task.classify(vectors)], task.bins[task.classify(mirrored)]
    assert torch.allclose(ours * torch.tensor([-1.0, 1.0]), theirs, atol=1e-6)


def test_bins_equal_a_loop() -> None:
    task = make(directions=5, lengths=2, still=0.01)
    rng = np.random.default_rng(0)
    for x, y in rng.normal(0, 0.03, (200, 2)).tolist():
        found = int(task.classify(torch.tensor([x, y])[None, :, None, None]))
        length = math.hypot(x, y)
        if length < 0.01:
            assert found == 0
            continue
        nearest = max(range(5), key=lambda k: math.cos(math.atan2(y, x) - 2 * math.pi * k / 5))
        second = int(length >= float(task.edges[0]))
        assert found == 1 + 2 * nearest + second


def test_the_answer_has_the_least_expected_error() -> None:
    """Who is sure says so; who holds left and right for as likely says still; others in between."""
    task = make(directions=4, lengths=1)
    right, up, left, bins = 1, 2, 3, task.bins
    logits = torch.full((4, 5, 1, 1), -30.0)
    logits[0, right], logits[0, left], logits[0, 0] = 0.0, 0.0, -1.0
    logits[1, right] = 1.0
    logits[2, up] = 0.0
    logits[3] = torch.randn(5, 1, 1, generator=torch.Generator().manual_seed(0))
    found = task.answer(logits)[:, :, 0, 0]
    assert torch.allclose(found[:3], bins[[0, right, up]], atol=1e-5)
    likely = logits.softmax(1)[:, :, 0, 0]
    cost = (likely * torch.cdist(found, bins)).sum(1)
    length = float(task.middles[0])
    every = torch.cartesian_prod(*[torch.linspace(-length, length, 81)] * 2)
    least = (likely @ torch.cdist(every, bins).T).min(1).values
    assert (cost <= least * 1.005).all()


def test_views_hold_the_flow_of_the_crop() -> None:
    clips = moving(8, size=SIZE, ground_px=1.0)
    views = make(view=SAME).views(batch_of(clips), draws(8))
    side = SIZE // 4
    truth = torch.from_numpy(clips.flow[:, 0]) / SIZE
    truth = torch.nn.functional.avg_pool2d(truth, 4)
    assert views["vectors"].shape == (8, 2, side, side)
    assert (views["vectors"] - truth).norm(dim=1).mean() < 0.1 * truth.norm(dim=1).mean()
    assert views["known"].all()


def test_score_is_that_of_a_loop_beside_the_trivial_ones() -> None:
    task = make().eval()
    batches = [batch_of(moving(4, seed, size=SIZE, ground_px=1.0)) for seed in range(2)]
    truths = torch.cat([task._truth(b, plain(centre_box(b["image"])))["vectors"] for b in batches])
    still = truths.norm(dim=1).mean()
    # Nothing was prepared: the mean flow that is known is none.
    assert task.score(batches, draws(1)).trivial == pytest.approx(float(still), rel=1e-4)
    task.usual.copy_(truths[:4].mean(0))
    usual = (truths - truths[:4].mean(0)).norm(dim=1).mean()
    score = task.score(batches, draws(1))
    assert score.examples == 8
    assert score.trivial == pytest.approx(float(torch.minimum(still, usual)), rel=1e-4)
    (surprise,) = score.others
    assert surprise.metric == "cross_entropy"
    assert surprise.trivial == pytest.approx(math.log(33), rel=1e-4), "nothing was counted"
    each = []
    for batch in batches:
        truth = task._truth(batch, plain(centre_box(batch["image"])))
        likely = task._logits(centre_view(batch["image"], SIZE)).softmax(1).log().detach()
        each += [
            float(-likely[row, int(truth["pseudo_label"][row, i, j]), i, j])
            for row in range(4)
            for i in range(SIZE // 4)
            for j in range(SIZE // 4)
        ]
    assert surprise.value == pytest.approx(np.mean(each), rel=1e-4)
    worse = task.score([unknown(batch) for batch in batches], draws(1))
    assert worse.value == 0
    assert worse.trivial == 0


def unknown(batch: Batch) -> Batch:
    flows = batch["flow"]
    return {"image": batch["image"], "flow": replace(flows, known=torch.zeros_like(flows.known))}


def test_bins_come_from_what_moves(tmp_path: Path) -> None:
    folder = moving(6, size=SIZE, ground_px=1.0, disc_px=(0.5, 2.0)).write(tmp_path / "clips")
    dataset = open_dataset(folder, size=SIZE, cache_dir=tmp_path / "c")
    task = make()
    before = task.edges.clone()
    task.prepare(Subset(dataset, np.arange(6)), tmp_path, draws(6))
    assert not torch.equal(task.edges, before)
    assert (task.edges.diff() > 0).all()
    inside = torch.bucketize(task.middles, task.edges, right=True)
    assert inside.tolist() == [0, 1, 2, 3]
    assert 0.2 / SIZE < task.middles[0] < task.middles[-1] < 4 / SIZE
    places = draws(6).named("places").uniform()
    batch = dataset.batch(np.arange(6), task.needs, places)
    truth = task._truth(batch, plain(centre_box(batch["image"])))
    known = truth["known"][:, None]
    mean = (truth["vectors"] * known).sum(0) / known.sum(0).clamp_min(1)
    assert task.usual.norm() > 0
    assert torch.allclose(task.usual, mean, atol=1e-6)
    said, of_all = truth["pseudo_label"][truth["known"]], len(task.bins)
    anywhere = (torch.bincount(said, minlength=of_all) + 1) / (len(said) + of_all)
    assert torch.allclose(task.often.sum(0), torch.ones(()), atol=1e-5)
    for i, j in ((0, 0), (SIZE // 8, SIZE // 8)):
        here = truth["pseudo_label"][:, i, j][truth["known"][:, i, j]]
        counts = torch.bincount(here, minlength=of_all)
        share = (counts + of_all * anywhere) / (len(here) + of_all)
        assert torch.allclose(task.often[:, i, j], share, atol=1e-6)
    again = make()
    again.prepare(Subset(dataset, np.arange(6)), tmp_path, draws(6))
    assert torch.equal(again.edges, task.edges)


@pytest.mark.slow
@pytest.mark.parametrize("shuffled", [False, True])
def test_one_frame_tells_where_it_goes(shuffled: bool) -> None:
    """Red pictures go right, blue ones left; shuffled: other clips' flow."""
    task = make(view={**WHOLE, "jitter": 0.0, "grey": 0.0}, still=0.005)

    def batch(count: int, seed: int) -> Batch:
        clips = moving(count, seed, size=SIZE)
        pixels = clips.pixels.copy()
        way = np.where(np.random.default_rng(seed).random(count) < 0.5, 1.0, -1.0)
        pixels[way > 0, ..., 2] //= 3
        pixels[way < 0, ..., 0] //= 3
        flow = np.zeros_like(clips.flow)
        flow[:, :, 0] = 2.0 * way[:, None, None, None]
        made = batch_of(replace(clips, pixels=pixels, flow=flow))
        if shuffled:
            order = torch.from_numpy(np.random.default_rng(seed + 1).permutation(count))
            made["flow"] = made["flow"].select(order)
        return made

    def views(step: int) -> dict[str, Tensor]:
        return task.views(batch(16, step), draws(16, step))

    fit(task, views, 40, rate=4e-3)
    bins = views(999)["pseudo_label"].flatten()
    often = torch.bincount(bins, minlength=len(task.bins)) / len(bins)
    task.often.copy_(often.clamp_min(1e-6)[:, None, None].expand_as(task.often))
    score = task.eval().score([batch(64, 1000)], draws(1))
    assert score.trivial is not None
    (surprise,) = score.others
    assert surprise.trivial is not None
    if shuffled:
        assert score.value > 0.8 * score.trivial
        assert surprise.value > 0.9 * surprise.trivial
    else:
        assert score.value < 0.5 * score.trivial
        assert surprise.value < 0.5 * surprise.trivial

"""Tasks of order: what is asked and what is true, on clips whose order is known."""

from __future__ import annotations

import itertools
from typing import Any

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from torch import Tensor

from hotstart.config import parse
from hotstart.data.draws import Draws
from hotstart.data.sample import Batch, Clips, Pictures
from hotstart.encoders import build_encoder, resolve_spec
from hotstart.pretext.context.order_recognition import ORDERS, OrderRecognition
from hotstart.pretext.context.order_verification import OrderVerification
from hotstart.pretext.motion import increasing, motion, moving_frames
from hotstart.pretext.task import Info, PretextTask
from tests.conformance.material import fit, play, settle
from tests.pretext.moving import Moving, moving
from tests.pretext.pictures import SIZE, draws

PLAIN = {
    "crop_scale": (1.0, 1.0),
    "crop_ratio": (1.0, 1.0),
    **dict.fromkeys(("flip", "jitter", "grey"), 0.0),
}


def make(cls: type[PretextTask], **own: Any) -> Any:
    with torch.random.fork_rng():
        torch.manual_seed(0)
        encoder = build_encoder(resolve_spec("resnet10_narrow", SIZE), 0)
        return cls(encoder, parse(cls.Settings, own, cls.__name__), Info(100, SIZE, 32, 100))


def numbered(rows: int, frames: int) -> Batch:
    """Clips of grey frames: frame t of each is 20 t bright."""
    pixels = np.full((rows, frames, SIZE, SIZE, 3), 0, np.uint8)
    pixels += 20 * np.arange(frames, dtype=np.uint8)[None, :, None, None, None]
    times = torch.arange(frames, dtype=torch.float64).repeat(rows, 1)
    return {"clip": Clips(Pictures.from_arrays(list(pixels.reshape(-1, SIZE, SIZE, 3))), times)}


def read(frames: Tensor) -> Tensor:
    """The numbers of the frames of `numbered` in (B, 3, K, S, S): int64 (B, K)."""
    return (frames.mean((1, 3, 4)) * 255 / 20).round().long()


def test_in_order_is_what_lies_between_and_out_of_order_what_does_not() -> None:
    """Misra 2016, section 3.1: (b, c, d) against (b, a, d) and (b, e, d), either way round."""
    views = make(OrderVerification, view=PLAIN).views(numbered(200, 9), draws(200))
    shown, other, truth = read(views["image"]), read(views["other"])[:, 0], views["pseudo_label"]
    first, middle, last = shown.unbind(1)
    low, high = torch.minimum(first, last), torch.maximum(first, last)
    assert torch.equal((low < middle) & (middle < high), truth == 1)
    assert torch.equal((low < other) & (other < high), truth == 0)
    outside = torch.where(truth == 1, other, middle)
    assert 0.4 < (first < last).float().mean() < 0.6, "backwards as often as forwards"
    assert 0.4 < (outside < low).float().mean() < 0.6
    assert 0.4 < truth.float().mean() < 0.6


def test_the_label_is_the_order_in_which_the_frames_stand() -> None:
    """Put back by the label, they are in order, or run backwards; no order has two labels."""
    plain = {"view": PLAIN, "split_channels": False, "jitter": 0.0}
    task = make(OrderRecognition, **plain)
    views = task.views(numbered(400, 9), draws(400))
    restored = read(views["image"]).gather(1, task.orders[views["pseudo_label"]].argsort(1))
    steps = restored.diff(dim=1)
    forwards = (steps > 0).all(1)
    assert (forwards | (steps < 0).all(1)).all()
    assert 0.4 < forwards.float().mean() < 0.6
    assert set(views["pseudo_label"].tolist()) == set(range(12))
    both_ways = {*ORDERS, *(tuple(3 - frame for frame in order) for order in ORDERS)}
    assert both_ways == set(itertools.permutations(range(4)))


def test_colours_tell_nothing_where_channels_are_split() -> None:
    """Lee 2017, section 3: one channel in the place of all, the same in every frame of a clip."""
    clips = moving(64)
    whole = {"view": PLAIN, "jitter": 0.0}
    split = make(OrderRecognition, **whole).views(clips.batch(), draws(64))
    kept = make(OrderRecognition, **whole, split_channels=False).views(clips.batch(), draws(64))
    chosen = []
    for grey, colour in zip(split["image"], kept["image"], strict=True):
        assert torch.equal(grey[0], grey[1])
        assert torch.equal(grey[0], grey[2])
        chosen += [c for c in range(3) if torch.equal(grey[0], colour[c])]
    assert len(chosen) == 64
    assert set(chosen) == {0, 1, 2}


def naive_logits(task: OrderRecognition, image: Tensor) -> Tensor:
    """One clip, one pair after the other."""
    said = []
    for clip in image:
        layers = []
        for k in range(4):
            last = task.encoder.feature_map(clip[:, k][None], task.encoder.stage_strides[-1])
            seen = F.adaptive_avg_pool2d(last, task.reader.side).flatten()
            layers.append(F.relu(task.reader.layer(seen)))
        pairs = [
            task.pair(torch.cat([layers[i], layers[j], (layers[i] - layers[j]).abs()]))
            for i, j in ((0, 1), (0, 2), (0, 3), (1, 2), (1, 3), (2, 3))
        ]
        said.append(task.classifier(torch.cat(pairs)))
    return torch.stack(said)


def test_every_two_frames_are_compared() -> None:
    """Lee 2017, figure 3: pairwise features, then one layer over all six."""
    task = make(OrderRecognition).eval()
    views = task.views(moving(3).batch(), draws(3))
    torch.testing.assert_close(
        task._logits(views["image"]), naive_logits(task, views["image"]), atol=1e-4, rtol=1e-4
    )
    loss = F.cross_entropy(naive_logits(task, views["image"]), views["pseudo_label"])
    torch.testing.assert_close(play(task, views, "task").loss, loss, atol=1e-4, rtol=1e-4)


def test_the_panel_shows_the_answer_s_order(monkeypatch: pytest.MonkeyPatch) -> None:
    """A network that is right puts the frames in order, and is told 1 2 3 4, or backwards."""
    task = make(OrderRecognition, view=PLAIN, split_channels=False, jitter=0.0).eval()
    truth = task.views(numbered(6, 9), draws(1).batch(0, 6))["pseudo_label"]
    monkeypatch.setattr(task, "_logits", lambda image: F.one_hot(truth, 12).float())
    (panel,) = task.panels(numbered(6, 9), draws(1))
    assert "6 of 6" in panel.caption
    for row, texts in zip(panel.pictures, panel.texts, strict=True):
        bright = np.diff([picture.mean() for picture in row[4:]])
        assert (bright > 0).all() or (bright < 0).all()
        assert texts[4:] == ["1", "2", "3", "4"]


def test_motion_is_where_frames_differ() -> None:
    """A clip that moves between frames 2 and 5 alone: every choice of four takes those."""
    pixels = np.zeros((50, 8, SIZE, SIZE, 3), np.uint8)
    for t, bright in enumerate((0, 0, 0, 60, 120, 180, 180, 180)):
        pixels[:, t] = bright
    clips = Clips(
        Pictures.from_arrays(list(pixels.reshape(-1, SIZE, SIZE, 3))),
        torch.arange(8.0, dtype=torch.float64).repeat(50, 1),
    )
    expected = torch.tensor([0, 0, 60, 60, 60, 0, 0]) / 255
    torch.testing.assert_close(motion(clips)[0].float(), expected, atol=1e-4, rtol=0)
    taken = moving_frames(clips, 4, draws(50))
    assert torch.equal(taken[:, 1:3], torch.tensor([[3, 4]]).expand(50, 2))
    assert (taken[:, 0] <= 2).all()
    assert (taken[:, 3] >= 5).all()
    assert len(taken.unique(dim=0)) > 3


def test_a_still_clip_gives_any_frames() -> None:
    clips = numbered(400, 6)["clip"]
    still = clips.in_order(torch.zeros(400, 6, dtype=torch.int64))
    taken = moving_frames(still, 4, draws(400))
    assert len(taken.unique(dim=0)) == len(increasing(6, 4)) == 15
    assert (taken.diff(dim=1) > 0).all()


def test_the_window_is_a_setting() -> None:
    assert make(OrderVerification, seconds=0.5).needs["clip"].seconds == 0.5
    assert OrderVerification.needs["clip"].seconds == 2.0, "of this task, not of all"


def learned(
    cls: type[PretextTask],
    made: tuple[Moving, Moving],
    steps: int,
    rate: float,
    own: dict[str, Any],
) -> float:
    """Accuracy on clips that it was not trained on."""
    train, test = (each.clips() for each in made)
    task, rows = make(cls, **own), 32

    def views(step: int) -> dict[str, Tensor]:
        chosen = np.random.default_rng(step).choice(len(train), rows, replace=False)
        seen: dict[str, Tensor] = task.views(
            {"clip": train.select(chosen.tolist())}, draws(rows, step)
        )
        return seen

    fit(task, views, steps, rate, batch_size=256, decay=True)
    settle(task, [views(steps + i) for i in range(8)])
    return float(task.score([{"clip": test}] * 4, Draws(0, 0, total=1)).value)


@pytest.mark.slow
@pytest.mark.parametrize(
    ("cls", "steps", "rate", "own", "at_least"),
    [
        (OrderVerification, 80, 2e-3, {}, 0.8),
        # The disc moves by no more than its guard would shift the crops.
        (OrderRecognition, 240, 4e-3, {"jitter": 0.0}, 0.2),
    ],
)
def test_learns_the_order_and_of_shuffled_frames_nothing(
    cls: type[PretextTask], steps: int, rate: float, own: dict[str, Any], at_least: float
) -> None:
    clips = moving(256, 0, disc_px=(1.5, 2.5)), moving(128, 1, disc_px=(1.5, 2.5))
    chance = make(cls).trivial(1)
    assert learned(cls, clips, steps, rate, own) > at_least
    shuffled = clips[0].shuffled(0), clips[1].shuffled(1)
    # 512 questions about 128 clips, which are not independent.
    margin = 4 * (chance * (1 - chance) / 128) ** 0.5
    assert learned(cls, shuffled, steps, rate, own) == pytest.approx(chance, abs=margin)

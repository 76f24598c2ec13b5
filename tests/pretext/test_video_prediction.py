"""Video prediction: the recurrent layer, the loss, what is asked, and that motion is learnt."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor

from hotstart.config import parse
from hotstart.encoders import ConvLSTM, as_video, build_encoder, resolve_spec
from hotstart.errors import UsageError
from hotstart.pretext.generation.video_prediction import VideoPrediction, VideoPredictionSettings
from hotstart.pretext.task import Info
from tests.conformance.material import fit, play, settle
from tests.pretext.moving import FRAMES, SIZE, Moving, moving
from tests.pretext.pictures import draws

WHOLE = {"crop_scale": (1.0, 1.0), "crop_ratio": (1.0, 1.0), "flip": 0.0}


def make(encoder: str = "r3d10_narrow", size: int = SIZE, **own: Any) -> VideoPrediction:
    settings = parse(VideoPredictionSettings, {"view": WHOLE, **own}, "video_prediction")
    with torch.random.fork_rng():
        torch.manual_seed(0)
        built = build_encoder(resolve_spec(encoder, size), 0)
        return VideoPrediction(built, settings, Info(100, size, 8, 100))


def views_of(task: VideoPrediction, made: Moving, step: int = 0) -> dict[str, Tensor]:
    return task.views(made.batch(), draws(len(made), step))


def naive_lstm(layer: ConvLSTM, maps: Tensor | None, state: tuple[Tensor, Tensor]) -> Any:
    """Shi 2015, eq. 3 without peepholes, place by place, gate by gate."""
    hidden, cell = state
    seen = hidden if maps is None else torch.cat([maps, hidden], 1)
    rows, _, height, width = seen.shape
    new_hidden, new_cell = torch.zeros_like(hidden), torch.zeros_like(cell)
    weight, bias = layer.gates.weight, layer.gates.bias
    assert bias is not None
    for b, y, x in np.ndindex(rows, height, width):
        total = bias.clone()
        for dy, dx in np.ndindex(3, 3):
            v, u = y + dy - 1, x + dx - 1
            if 0 <= v < height and 0 <= u < width:
                total = total + weight[:, :, dy, dx] @ seen[b, :, v, u]
        i, f, o, g = total.view(4, layer.width)
        c = torch.sigmoid(f) * cell[b, :, y, x] + torch.sigmoid(i) * torch.tanh(g)
        new_cell[b, :, y, x] = c
        new_hidden[b, :, y, x] = torch.sigmoid(o) * torch.tanh(c)
    return new_hidden, new_cell


@pytest.mark.parametrize("inputs", [2, 0])
def test_the_recurrent_layer_equals_the_paper(inputs: int) -> None:
    layer = ConvLSTM(inputs, 3)
    maps = torch.randn(2, inputs, 4, 5) if inputs else None
    state = torch.randn(2, 3, 4, 5), torch.randn(2, 3, 4, 5)
    for mine, other in zip(layer(maps, state), naive_lstm(layer, maps, state), strict=True):
        torch.testing.assert_close(mine, other)
    assert not any(part.any() for part in layer.start(torch.randn(2, 7, 4, 5)))


def test_the_loss_is_the_squared_error_of_the_frames_to_come_over_what_moved() -> None:
    """Srivastava 2015, section 2.3: state handed over, then a frame with each step."""
    task = make(seen=5, width=4).eval()
    clip = views_of(task, moving(2))["clip"]
    maps = task.encoder.stages(clip[:, :, :5])
    state = None
    for t in range(5):
        at = [one[:, :, t * one.shape[2] // 5] for one in maps]
        read = task.neck(at)
        state = task.reader(read, state or task.reader.start(read))
    errors: list[Tensor] = []
    moved: list[Tensor] = []
    for t in range(5, FRAMES):
        state = task.forecaster(None, state)
        painted = torch.nn.functional.pixel_shuffle(task.painter(state[0]), 2)
        frame = clip[:, :, 4] + painted * task.encoder.std
        for kept, answer in ((errors, frame), (moved, clip[:, :, 4])):
            kept.append(((answer - clip[:, :, t]) / task.encoder.std).square().mean((1, 2, 3)))
    relative = sum(errors) / 3 / (sum(moved) / 3 + 1e-4)
    assert isinstance(relative, Tensor)
    torch.testing.assert_close(play(task, {"clip": clip}, "task").loss, relative.mean())


def test_frames_that_are_asked_for_are_not_seen() -> None:
    task = make().eval()
    made = moving(3)
    seen, said, truth = task._ask(made.batch())
    other = np.concatenate([made.pixels[:, :4], made.pixels[:, 4:] ^ 255], 1)
    again = task._ask(Moving(other, *_rest(made)).batch())
    assert not torch.equal(again[2], truth)
    assert torch.equal(again[0], seen)
    assert torch.equal(again[1], said)


def _rest(made: Moving) -> tuple[Any, ...]:
    return made.flow, made.mask, made.order, made.ground_px, made.disc_px


def test_the_metric_is_the_gain_over_the_last_frame() -> None:
    task = make().eval()
    made = moving(5)
    with torch.no_grad():
        seen, said, truth = task._ask(made.batch())
    gains = []
    for i in range(5):
        answers = said[i], seen[i, :, -1:]
        errors = [(one - truth[i]).square().mean() for one in answers]
        gains.append(10 * float(torch.log10(errors[1] / errors[0])))
    batches = [moving(5).batch()]
    score = task.score(batches, draws(1))
    assert score.value == pytest.approx(np.mean(gains), abs=1e-3)
    assert (score.trivial, score.examples) == (0.0, 5)
    with torch.no_grad():
        task.painter.weight.zero_()
    assert task.score(batches, draws(1)).value == 0.0


@pytest.mark.parametrize(
    "encoder", ["resnet10_narrow", "vit_narrow_depth4", "tube_vit_narrow_depth4"]
)
def test_encoders_of_pictures_and_of_clips_learn(encoder: str) -> None:
    task = make(encoder, width=8)
    play(task, views_of(task, moving(2)), "task").loss.backward()
    grads = [weight.grad for weight in task.encoder.parameters()]
    assert sum(grad is not None and bool(grad.abs().sum() > 0) for grad in grads) > len(grads) / 2
    assert not [name for name in task.state_dict() if ".image." in name]
    assert as_video(task.encoder).kind == "video"


def test_sides_that_are_odd_and_clips_that_are_too_short() -> None:
    task = make(size=33, width=4)
    assert task._ask(moving(2).batch())[1].shape == (2, 3, 4, 33, 33)
    with pytest.raises(UsageError, match=r"s3d: clips of 4 frames, it takes 5 or more"):
        make("s3d")
    with pytest.raises(UsageError, match="video_prediction: seen"):
        parse(VideoPredictionSettings, {"seen": 8}, "video_prediction")


def test_panels_show_truth_last_frame_and_answer() -> None:
    task = make().eval()
    batch = moving(7).batch()
    (asked,), (shown,) = (task.panels(batch, draws(7), answers=said) for said in (False, True))
    assert [texts[0] for texts in asked.texts] == ["shown", "last frame"] * 4
    assert [texts[0] for texts in shown.texts] == ["shown", "last frame", "network"] * 4
    frames = batch["clip"][2].numpy()
    truth, last, said = shown.pictures[6:9]
    assert all(np.array_equal(row[0], frames[3]) for row in (truth, last, said))
    assert all(np.array_equal(truth[1 + k], frames[4 + k]) for k in range(4))
    assert all(np.array_equal(last[1 + k], frames[3]) for k in range(4))


@pytest.mark.slow
def test_it_learns_how_things_move() -> None:
    """On clips that it was not trained on; and what it says comes from motion that it saw.

    Of one frame repeated it can say no more than that the next ones are blurred.
    """
    task = make()

    def clips(rows: int, seed: int) -> Moving:
        return moving(rows, seed, ground_px=1.0)

    fit(task, lambda step: views_of(task, clips(8, step), step), 150, rate=3e-3, decay=True)
    settle(task, [views_of(task, clips(16, 500 + i), i) for i in range(4)])
    made = clips(64, 10_000)
    still = np.concatenate([made.pixels[:, [3, 3, 3]], made.pixels[:, 3:]], 1)
    others = Moving(still, *_rest(made)), made.shuffled(0)
    gain, blurred, mixed = (task.score([m.batch()], draws(1)).value for m in (made, *others))
    assert gain > 1.0
    assert gain > blurred + 0.2
    assert mixed < gain / 2

"""Inpainting: what it sees, what it asks, who learns from whom, and that it learns."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from hotstart.config import parse
from hotstart.data.draws import Draws
from hotstart.data.sample import Batch, Pictures
from hotstart.encoders import build_encoder, resolve_spec
from hotstart.errors import UsageError
from hotstart.pretext.generation.inpainting import Inpainting, InpaintingSettings, square
from hotstart.pretext.task import Info, Progress
from tests.conformance.material import carried, fit, play

SIZE = 32
WHOLE = {"crop_scale": (1.0, 1.0), "crop_ratio": (1.0, 1.0), "flip": 0.0}


def make(encoder: str = "resnet10_narrow", size: int = SIZE, **own: Any) -> Inpainting:
    settings = parse(InpaintingSettings, own, "inpainting")
    with torch.random.fork_rng():
        torch.manual_seed(0)
        built = build_encoder(resolve_spec(encoder, size), 0)
        return Inpainting(built, settings, Info(100, size, 8, 100))


def noise(rows: int, size: int = SIZE, seed: int = 0) -> list[Any]:
    rng = np.random.default_rng(seed)
    return list(rng.integers(0, 256, (rows, size, size, 3), dtype=np.uint8))


def batch_of(arrays: list[Any]) -> Batch:
    return {"image": Pictures.from_arrays(arrays)}


def draws(rows: int, step: int = 0) -> Draws:
    return Draws(0, step, total=rows)


@pytest.mark.parametrize("position", ["random", "centre"])
def test_the_encoder_sees_nothing_of_the_hole(position: str) -> None:
    """Other pixels in the hole: same input, same painting; one pixel outside: another input."""
    rows = 12
    task = make(view=WHOLE, position=position).eval()
    arrays = noise(rows)
    views = task.views(batch_of(arrays), draws(rows))
    inside, outside = [a.copy() for a in arrays], [a.copy() for a in arrays]
    for b, (x, y) in enumerate(views["corner"].tolist()):
        hole = slice(y, y + task.hole_px), slice(x, x + task.hole_px)
        inside[b][hole] = 255 - inside[b][hole]
        outside[b][0 if y else -1, 0] ^= 255
        assert (views["masked"][b][:, *hole] == task.encoder.mean[0]).all()
        seen = torch.ones(SIZE, SIZE, dtype=torch.bool)
        seen[hole] = False
        assert torch.equal(views["masked"][b][:, seen], views["whole"][b][:, seen])
    changed = task.views(batch_of(inside), draws(rows))
    assert not torch.equal(changed["whole"], views["whole"])
    assert torch.equal(changed["masked"], views["masked"])
    with torch.no_grad():
        assert torch.equal(task._paint(changed["masked"]), task._paint(views["masked"]))
    assert torch.equal(task.encoder(changed["masked"]), task.encoder(views["masked"]))
    other = task.views(batch_of(outside), draws(rows))["masked"]
    assert all(not torch.equal(other[b], views["masked"][b]) for b in range(rows))


def test_holes_lie_anywhere_or_in_the_middle_and_have_their_share() -> None:
    rows = 400
    task = make(view=WHOLE, hidden=0.16)
    assert task.hole_px == 13
    corner = task.views(batch_of(noise(rows)), draws(rows))["corner"]
    assert corner.min() == 0
    assert corner.max() == SIZE - task.hole_px
    assert len(corner.unique(dim=0)) > rows / 2
    middle = make(view=WHOLE, position="centre").views(batch_of(noise(4)), draws(4))
    assert middle["corner"].tolist() == [[8, 8]] * 4


def test_square_is_cut_off_at_the_border() -> None:
    corner = torch.tensor([[0, 3], [5, 5]])
    for grow in (0, 2):
        found = square(corner, 3, 8, grow=grow)
        for b, (x, y) in enumerate(corner.tolist()):
            for row in range(8):
                for column in range(8):
                    inside = y - grow <= row < y + 3 + grow and x - grow <= column < x + 3 + grow
                    assert bool(found[b, 0, row, column]) == inside


def naive_painter(task: Inpainting, views: dict[str, Tensor]) -> Tensor:
    """Pathak 2016, eq. 1 to 3, pixel by pixel, from the settings' documentation."""
    own, side = task.settings, task.hole_px
    painting = task._paint(views["masked"])
    truth = (views["whole"] - task.encoder.mean) / task.encoder.std
    reconstruction = torch.zeros(())
    blocks = []
    for b, (left, top) in enumerate(views["corner"].tolist()):
        above, below = torch.zeros(()), 0.0
        for y in range(SIZE):
            for x in range(SIZE):
                away = max(left - x, x - (left + side - 1), top - y, y - (top + side - 1), 0)
                if away > round(own.overlap * SIZE):
                    continue
                weight = own.overlap_weight if away else 1.0
                above = above + weight * (painting[b, :, y, x] - truth[b, :, y, x]).pow(2).sum()
                below += 3 * weight
        reconstruction = reconstruction + above / below / len(painting)
        blocks.append(painting[b, :, top : top + side, left : left + side])
    assert task.discriminator is not None
    believed = torch.sigmoid(task.discriminator(torch.stack(blocks)))
    adversarial = -believed.log().mean()
    return own.reconstruction_weight * reconstruction + own.adversarial_weight * adversarial


@pytest.mark.parametrize(("overlap", "weight"), [(1 / 16, 10.0), (0.0, 10.0), (1 / 32, 1.0)])
def test_the_painters_loss_equals_the_paper(overlap: float, weight: float) -> None:
    task = make(overlap=overlap, overlap_weight=weight, adversarial_weight=0.3)
    views = task.views(batch_of(noise(3)), draws(3))
    task.eval()  # So that two passes see the same BatchNorm.
    loss = play(task, views, "painter").loss
    reference = naive_painter(task, views)
    torch.testing.assert_close(loss, reference)
    weights = [*task.encoder.parameters(), *task.decoder.parameters()]
    for mine, other in zip(
        torch.autograd.grad(loss, weights, allow_unused=True),
        torch.autograd.grad(reference, weights, allow_unused=True),
        strict=True,
    ):
        torch.testing.assert_close(mine, other, atol=1e-5, rtol=1e-4)


def test_the_adversary_sees_the_block_that_was_painted_and_the_true_one() -> None:
    task = make().eval()
    views = task.views(batch_of(noise(3)), draws(3))
    painted = carried(play(task, views, "painter"))
    loss = play(task, views | painted, "adversary").loss
    truth, painting = task.encoder.normalise(views["whole"]), task._paint(views["masked"])
    real, made = (
        torch.stack(
            [
                pictures[b, :, y : y + task.hole_px, x : x + task.hole_px]
                for b, (x, y) in enumerate(views["corner"].tolist())
            ]
        )
        for pictures in (truth, painting)
    )
    assert task.discriminator is not None
    belief = torch.sigmoid(task.discriminator(real)), torch.sigmoid(task.discriminator(made))
    torch.testing.assert_close(loss, -belief[0].log().mean() - (1 - belief[1]).log().mean())


def test_the_adversarys_gradient_stays_with_it() -> None:
    """Without the loop's help: what the painter hands on has no way back to it."""
    task = make()
    views = task.views(batch_of(noise(4)), draws(4))
    result = play(task, views, "painter")
    assert not any(value.requires_grad for value in result.carry.values())
    play(task, views | result.carry, "adversary").loss.backward()
    assert task.discriminator is not None
    assert all(p.grad is not None for p in task.discriminator.parameters())
    others = [*task.encoder.parameters(), *task.decoder.parameters()]
    assert all(p.grad is None for p in others)


def test_the_adversary_teaches_the_painter_and_is_not_moved_by_it() -> None:
    task = make(reconstruction_weight=0.0, adversarial_weight=1.0)
    views = task.views(batch_of(noise(4)), draws(4))
    players = task.players()
    for weight in players["adversary"].parameters:
        weight.requires_grad_(False)  # As the loop does when it is the painter's turn.
    play(task, views, "painter").loss.backward()
    assert any(p.grad is not None and p.grad.abs().sum() > 0 for p in task.encoder.parameters())
    assert all(p.grad is None for p in players["adversary"].parameters)


def test_players_share_no_weight_and_the_user_changes_the_painters_optimiser() -> None:
    task = make(adversary={"learning_rate": 1e-5})
    task.optimiser = task.optimiser.model_copy(update={"learning_rate": 0.5})  # type: ignore[misc]
    painter, adversary = task.players().values()
    assert list(task.players()) == ["painter", "adversary"]
    assert (painter.optimiser.learning_rate, adversary.optimiser.learning_rate) == (0.5, 1e-5)
    assert adversary.optimiser.momentum == 0.5
    mine, others = ({id(p) for p in player.parameters} for player in (painter, adversary))
    assert not mine & others
    assert mine | others == {id(p) for p in task.parameters()}


def test_without_the_adversary_there_is_one_player() -> None:
    task = make(adversarial_weight=0.0, reconstruction_weight=1.0)
    assert list(task.players()) == ["painter"]
    assert task.discriminator is None
    views = task.views(batch_of(noise(2)), draws(2))
    result = play(task, views, "painter")
    torch.testing.assert_close(result.loss.detach(), result.metrics["reconstruction"])


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


@pytest.mark.parametrize(
    ("encoder", "size"),
    [("resnet10_narrow", 40), ("resnet18", 96), ("convnext_atto", 64), ("vit_tiny_depth6", 48)],
)
def test_any_encoder_and_any_size(encoder: str, size: int) -> None:
    """Also where the decoder's doublings overshoot: 40 px are no multiple of 16."""
    task = make(encoder, size)
    views = task.views(batch_of(noise(2, size)), draws(2))
    result = play(task, views, "painter")
    result.loss.backward()
    grads = [p.grad for p in task.encoder.parameters() if p.grad is not None]
    assert all(torch.isfinite(grad).all() for grad in grads)
    assert sum(float(grad.abs().sum()) for grad in grads) > 0
    assert torch.isfinite(play(task, views | carried(result), "adversary").loss)
    assert task.eval().generate(batch_of(noise(2, size)), draws(2)).shape == (2, 3, size, size)


def test_building_the_task_leaves_the_encoder_as_it_was() -> None:
    encoder = build_encoder(resolve_spec("resnet10_narrow", SIZE), 0)
    before = {name: value.clone() for name, value in encoder.state_dict().items()}
    Inpainting(encoder, InpaintingSettings(), Info(100, SIZE, 8, 100))
    assert encoder.training
    assert all(torch.equal(value, before[name]) for name, value in encoder.state_dict().items())


@pytest.mark.parametrize("wrong", [{"hidden": 0.0}, {"hidden": 0.9}, {"position": "left"}])
def test_settings_outside_their_range_are_refused(wrong: dict[str, Any]) -> None:
    with pytest.raises(UsageError, match=f"inpainting: {next(iter(wrong))}"):
        parse(InpaintingSettings, wrong, "inpainting")


def slopes(rows: int, seed: int) -> Batch:
    """Pictures whose colours change evenly from side to side: what is hidden can be known."""
    rng = np.random.default_rng(seed)
    y, x = np.mgrid[0:1:32j, 0:1:32j]
    start, right, down = rng.uniform(0, 1, (3, rows, 1, 1, 3))
    colours = (1 - x - y)[..., None] * start + x[..., None] * right + y[..., None] * down
    return batch_of(list((np.clip(colours, 0, 1) * 255).astype(np.uint8)))


@pytest.mark.slow
def test_it_beats_the_rim_where_the_hole_can_be_known() -> None:
    task = make(view=WHOLE)
    steps = 100

    def views(step: int) -> dict[str, Tensor]:
        return task.views(slopes(32, step), draws(32, step))

    fit(task, views, steps, rate=4e-3)
    fit(task, lambda step: views(steps + step), 30, rate=5e-4)
    settle(task, [views(1000 + i) for i in range(10)])
    score = task.score([slopes(64, 10_000 + i) for i in range(3)], draws(1))
    assert score.trivial is not None
    assert score.value > score.trivial + 2


@torch.no_grad()
def settle(task: Inpainting, batches: list[dict[str, Tensor]]) -> None:
    """BatchNorm's statistics of the weights as they are: `fit` has no schedule that ends at 0."""
    norms = [m for m in task.modules() if isinstance(m, nn.modules.batchnorm._BatchNorm)]
    for norm in norms:
        norm.reset_running_stats()
        norm.momentum = None
    for views in batches:
        task(views, Progress(0, 1), "painter")
    task.eval()

"""Inpainting: what it sees, what it asks, who learns from whom, and that it learns."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from torch import Tensor

from hotstart.config import parse
from hotstart.encoders import build_encoder, resolve_spec
from hotstart.errors import UsageError
from hotstart.pretext.generation.inpainting import Inpainting, InpaintingSettings, square
from hotstart.pretext.task import Info
from tests.conformance.material import carried, play
from tests.pretext.pictures import SIZE, batch_of, draws, noise

WHOLE = {"crop_scale": (1.0, 1.0), "crop_ratio": (1.0, 1.0), "flip": 0.0}


def make(encoder: str = "resnet10_narrow", size: int = SIZE, **own: Any) -> Inpainting:
    settings = parse(InpaintingSettings, own, "inpainting")
    with torch.random.fork_rng():
        torch.manual_seed(0)
        built = build_encoder(resolve_spec(encoder, size), 0)
        return Inpainting(built, settings, Info(100, size, 8, 100))


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

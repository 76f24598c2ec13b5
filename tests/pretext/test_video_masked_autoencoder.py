"""Video masked autoencoder: tubes, what is asked, that nothing leaks, and that it learns."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor

from hotstart import api
from hotstart.config import parse
from hotstart.encoders import build_encoder, resolve_spec
from hotstart.errors import UsageError
from hotstart.league.pretraining import default_encoder
from hotstart.pretext.generation.video_masked_autoencoder import (
    VideoMaskedAutoencoder,
    VideoMaskedAutoencoderSettings,
)
from hotstart.pretext.task import Info
from tests.conformance.material import fit, play
from tests.pretext.moving import FRAMES, SIZE, Moving, moving
from tests.pretext.pictures import draws

WHOLE = {"crop_scale": (1.0, 1.0), "crop_ratio": (1.0, 1.0), "flip": 0.0}
PATCH, SIDE, MOMENTS = 4, 8, 4
PLACES = SIDE**2


def make(**own: Any) -> VideoMaskedAutoencoder:
    name = "video_masked_autoencoder"
    settings = parse(VideoMaskedAutoencoderSettings, {"view": WHOLE, **own}, name)
    with torch.random.fork_rng():
        torch.manual_seed(0)
        built = build_encoder(resolve_spec("tube_vit_narrow_depth4", SIZE), 0)
        return VideoMaskedAutoencoder(built, settings, Info(100, SIZE, 8, 100))


def pixels_of(tube: int) -> tuple[slice, slice, slice]:
    """Frames, rows and columns of a tube."""
    moment, place = divmod(tube, PLACES)
    y, x = divmod(place, SIDE)
    return tuple(slice(n * k, (n + 1) * k) for n, k in ((moment, 2), (y, PATCH), (x, PATCH)))  # type: ignore[return-value]


def test_tubes_are_cut_as_the_encoder_counts_them_and_put_back() -> None:
    task = make()
    clip = torch.rand(2, 3, FRAMES, SIZE, SIZE)
    tubes = task.patches(clip)
    for tube in (0, 1, SIDE, PLACES, 200):
        assert torch.equal(tubes[1, tube], clip[1][:, *pixels_of(tube)].flatten())
    assert torch.equal(task.images(tubes), clip)


def test_a_place_is_hidden_in_all_frames_or_in_none() -> None:
    task = make(hidden=0.75)
    order = task.views(moving(50).batch(), draws(50))["order"]
    assert task.kept == 16 * MOMENTS
    assert torch.equal(order.sort(1).values, torch.arange(MOMENTS * PLACES).expand(50, -1))
    seen = order[:, : task.kept].unflatten(1, (MOMENTS, -1))
    assert torch.equal(seen // PLACES, torch.arange(MOMENTS)[:, None].expand_as(seen))
    assert (seen % PLACES == seen[:, :1] % PLACES).all()
    assert len(seen[:, 0].sort(1).values.unique(dim=0)) == 50


def test_nothing_of_a_hidden_tube_leaks_into_the_answer() -> None:
    task = make().eval()
    made = moving(3)
    clip, order, colours, nearest = task._ask(made.batch(), draws(3))
    changed = made.pixels.copy()
    for b, row in enumerate(order[:, task.kept :].tolist()):
        for tube in row:
            changed[b][pixels_of(tube)] ^= 255
    again = task._ask(_with(made, changed), draws(3))
    assert not torch.equal(again[0], clip)
    assert torch.equal(again[2], colours)
    assert torch.equal(again[3], nearest)


def _with(made: Moving, pixels: Any) -> Any:
    return Moving(pixels, made.flow, made.mask, made.order, made.ground_px, made.disc_px).batch()


def naive_loss(task: VideoMaskedAutoencoder, clip: Tensor, order: Tensor) -> Tensor:
    """Tong 2022, eq. 1: one hidden tube at a time, mask token by mask token."""
    total, count = torch.zeros(()), 0
    for b in range(len(clip)):
        pixels = task.encoder.normalise(clip[b : b + 1])[0]
        seen = order[b, : task.kept].tolist()
        tokens = task.encoder.tokens(clip[b : b + 1], torch.tensor([seen]))[0]
        line = [task.mask_token[0, 0] + task.places[0, tube] for tube in range(MOMENTS * PLACES)]
        for token, tube in zip(tokens, seen, strict=True):
            line[tube] = task.narrow(token) + task.places[0, tube]
        said = task.decoder(torch.stack(line)[None])[0]
        for tube in set(range(MOMENTS * PLACES)) - set(seen):
            total = total + (said[tube] - pixels[:, *pixels_of(tube)].flatten()).square().mean()
            count += 1
    return total / count


def test_the_loss_equals_the_paper() -> None:
    task = make()
    views = task.views(moving(2).batch(), draws(2))
    reference = naive_loss(task, views["image"], views["order"])
    torch.testing.assert_close(play(task, views, "task").loss, reference)


def test_the_trivial_answer_is_the_nearest_place_that_is_seen() -> None:
    task = make().eval()
    clip, order, _, nearest = task._ask(moving(2).batch(), draws(2))
    for b in range(2):
        seen = order[b, : task.kept].tolist()
        for row, tube in enumerate(order[b, task.kept :].tolist()):
            moment, (y, x) = tube // PLACES, divmod(tube % PLACES, SIDE)
            now = [one % PLACES for one in seen if one // PLACES == moment]
            away = [(p // SIDE - y) ** 2 + (p % SIDE - x) ** 2 for p in now]
            at = [
                pixels_of(moment * PLACES + p)
                for p, d in zip(now, away, strict=True)
                if d == min(away)
            ]
            assert any(torch.equal(nearest[b, row], clip[b][:, *one].flatten()) for one in at)


def test_what_was_seen_stays_in_pictures_and_panels() -> None:
    task = make().eval()
    batch = moving(6).batch()
    whole = task._whole(batch)
    strips = task.generate(batch, draws(6))
    assert strips.shape == (6, 3, SIZE, FRAMES * SIZE)
    changed = (strips.unflatten(3, (FRAMES, SIZE)).transpose(2, 3) != whole).any(1).sum((1, 2, 3))
    hidden_px = (PLACES - 6) * PATCH**2 * FRAMES
    assert (changed <= hidden_px).all()
    assert (changed > 0.9 * hidden_px).all()
    (asked,), (shown,) = (task.panels(batch, draws(6), answers=said) for said in (False, True))
    assert [texts[0] for texts in asked.texts] == ["seen", "truth"] * 4
    assert [row[0] for row in shown.texts[:4]] == ["seen", "nearest place", "network", "truth"]
    assert np.array_equal(shown.pictures[3][1], batch["clip"][0][2].numpy())


def test_a_tube_vit_is_taken_and_others_refused_before_anything_is_made(
    film_folder: Path, tmp_path: Path
) -> None:
    name = "video_masked_autoencoder"
    assert default_encoder(name) == "tube_vit_narrow_depth4"
    with pytest.raises(UsageError, match=r"trains a tube_vit_.*, got --encoder 'r3d10_narrow'"):
        api.pretrain(
            str(film_folder), task=name, encoder="r3d10_narrow", out=tmp_path / "run", steps=1
        )
    assert not (tmp_path / "run").exists()


@pytest.mark.slow
def test_it_beats_the_nearest_place_on_clips_that_it_has_not_seen() -> None:
    task = make(hidden=0.75)

    def clips(rows: int, seed: int) -> Any:
        return moving(rows, seed).batch()

    fit(task, lambda step: task.views(clips(16, step), draws(16, step)), 70, 3e-3, decay=True)
    score = task.eval().score([clips(64, 10_000)], draws(1))
    assert score.trivial is not None
    assert score.value > score.trivial + 0.5

"""Saliency: the written programme, its masks under crops, and how answers are judged."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor

from hotstart.augment import ViewSettings, apply_view, draw_view
from hotstart.config import parse
from hotstart.data.sample import Batch
from hotstart.encoders import build_encoder, resolve_spec
from hotstart.pretext.colour_spaces import rgb_to_lab
from hotstart.pretext.free_labels.barrier import (
    barrier_saliency,
    border_contrast,
    minimum_barrier_distance,
    otsu_threshold,
)
from hotstart.pretext.free_labels.mask_task import centre_box, intersection_over_union, moved
from hotstart.pretext.free_labels.saliency import Saliency, SaliencySettings
from hotstart.pretext.task import Info
from tests.conformance.material import fit, play
from tests.pretext.pictures import SIZE, batch_of, draws, noise

WHOLE = {"crop_scale": (1.0, 1.0), "crop_ratio": (1.0, 1.0), "flip": 0.0}


def make(encoder: str = "resnet10_narrow", size: int = SIZE, **own: Any) -> Saliency:
    settings = parse(SaliencySettings, own, "saliency")
    with torch.random.fork_rng():
        torch.manual_seed(0)
        built = build_encoder(resolve_spec(encoder, size), 0)
        return Saliency(built, settings, Info(100, size, 8, 100))


def discs(rows: int, seed: int, size: int = SIZE) -> tuple[Batch, Tensor]:
    """A disc of one colour on a noisy ground of another; and where it is.

    Anywhere that does not touch the rim, where the programme sees background, and of several sizes:
    were all in the middle, a box there would be as good an answer as the mask.
    """
    rng = np.random.default_rng(seed)
    y, x = np.mgrid[:size, :size]
    pictures, masks = [], []
    for _ in range(rows):
        radius = rng.uniform(0.12, 0.3) * size
        centre = rng.uniform(radius + 2.5, size - radius - 2.5, 2)
        mask = np.hypot(x - centre[0], y - centre[1]) < radius
        colours = rng.permuted([[200, 60, 60], [60, 150, 90], [70, 80, 190]], axis=0)[:2]
        picture = np.where(mask[..., None], colours[0], colours[1])
        pictures.append((picture + rng.integers(-10, 10, picture.shape)).astype(np.uint8))
        masks.append(torch.from_numpy(mask)[None])
    return batch_of(pictures), torch.stack(masks)


def naive_barrier(image: Tensor, rounds: int) -> Tensor:
    """Zhang 2015, algorithm 1 with sweeps along rows and columns, one pixel at a time."""
    height, width = image.shape
    best: dict[tuple[int, int], tuple[float, float, float]] = {}
    for y in range(height):
        for x in range(width):
            rim = y in (0, height - 1) or x in (0, width - 1)
            value = float(image[y, x])
            best[y, x] = (0.0 if rim else np.inf, value, value)
    ways = (
        [(y, x, y - 1, x) for y in range(1, height) for x in range(width)],
        [(y, x, y + 1, x) for y in range(height - 2, -1, -1) for x in range(width)],
        [(y, x, y, x - 1) for x in range(1, width) for y in range(height)],
        [(y, x, y, x + 1) for x in range(width - 2, -1, -1) for y in range(height)],
    )
    for _ in range(rounds):
        for way in ways:
            for y, x, from_y, from_x in way:
                _, high, low = best[from_y, from_x]
                value = float(image[y, x])
                high, low = max(high, value), min(low, value)
                if high - low < best[y, x][0]:
                    best[y, x] = (high - low, high, low)
    return torch.tensor([[best[y, x][0] for x in range(width)] for y in range(height)])


def test_barrier_distance_equals_the_algorithm() -> None:
    images = torch.rand(3, 7, 9, generator=torch.Generator().manual_seed(0))
    found = minimum_barrier_distance(images, rounds=2)
    for image, distance in zip(images, found, strict=True):
        torch.testing.assert_close(distance, naive_barrier(image, 2))


def test_a_wall_is_a_barrier_and_a_gap_is_none() -> None:
    """What lies inside a ring stands out although its colour is that of the ground."""
    ring = torch.zeros(2, 11, 11)
    ring[:, 3, 3:8] = ring[:, 7, 3:8] = ring[:, 3:8, 3] = ring[:, 3:8, 7] = 0.6
    ring[1, 3, 5] = 0.0  # A door.
    distance = minimum_barrier_distance(ring)
    assert float(distance[0, 5, 5]) == pytest.approx(0.6)
    assert float(distance[1, 5, 5]) == 0
    assert not distance[:, 0].any()


def test_border_contrast_equals_the_paper() -> None:
    lab = 30 * torch.randn(1, 3, 20, 20, generator=torch.Generator().manual_seed(1))
    found = border_contrast(lab)[0].double().numpy()
    picture = lab[0].permute(1, 2, 0).double().numpy()
    maps = []
    for band in (picture[:2], picture[-2:], picture[:, :2], picture[:, -2:]):
        colours = band.reshape(-1, 3)
        spread = np.linalg.inv(np.cov(colours.T, bias=True) + 4 * np.eye(3))
        apart = picture - colours.mean(0)
        far = np.array([[np.sqrt(p @ spread @ p) for p in row] for row in apart])
        maps.append(far / far.max())
    assert np.allclose(found, sum(maps) - np.max(maps, axis=0), atol=1e-4)


def test_otsu_parts_two_groups() -> None:
    rng = np.random.default_rng(2)
    low, high = rng.normal(0.2, 0.05, (4, 8, 16)), rng.normal(0.7, 0.05, (4, 8, 16))
    maps = torch.from_numpy(np.concatenate([low, high], 1)).float().clamp(0, 1)
    thresholds = otsu_threshold(maps)
    assert ((maps > thresholds[:, None, None])[:, 8:]).float().mean() > 0.99
    assert ((maps > thresholds[:, None, None])[:, :8]).float().mean() < 0.01
    for one, threshold in zip(maps, thresholds.tolist(), strict=True):  # Every split, by hand.
        levels = np.minimum((one.numpy().ravel() * 64).astype(int), 63)
        spread = {
            k: (levels < k).mean()
            * (levels >= k).mean()
            * (levels[levels < k].mean() - levels[levels >= k].mean()) ** 2
            for k in range(1, 64)
            if 0 < (levels < k).mean() < 1
        }
        best = max(spread.values())
        assert spread[round(threshold * 64)] == pytest.approx(best, rel=1e-4)


def test_the_programme_finds_what_stands_out() -> None:
    batch, truth = discs(12, 3)
    images = torch.stack([batch["image"][i] for i in range(12)]).permute(0, 3, 1, 2) / 255
    maps = barrier_saliency(rgb_to_lab(images))
    assert maps.min() >= 0
    assert maps.max() <= 1
    found = (maps > otsu_threshold(maps)[:, None, None])[:, None]
    assert intersection_over_union(found, truth).min() > 0.7
    plain = barrier_saliency(rgb_to_lab(torch.full((1, 3, 16, 16), 0.4)))
    assert torch.isfinite(plain).all()


def test_masks_move_as_pictures_do() -> None:
    """The same crop and flip as the views' own engine makes of the mask as a picture."""
    rows = 16
    _, masks = discs(rows, 4)
    pictures = batch_of([np.repeat(m[0].numpy()[..., None] * np.uint8(255), 3, 2) for m in masks])[
        "image"
    ]
    settings = ViewSettings(crop_scale=(0.2, 1.0), jitter=0.0, grey=0.0, blur=0.0)
    drawn = draw_view(settings, pictures, SIZE, draws(rows))
    ours = moved(masks[:, 0].float(), pictures, drawn, SIZE) > 0.5
    theirs = apply_view(pictures, drawn, SIZE)[:, :1]
    sure = (theirs - 0.5).abs() > 0.02
    # At its edge a crop does not read beyond itself; the mask does.
    sure[:, :, [0, 1, -2, -1]] = False
    sure[..., [0, 1, -2, -1]] = False
    assert ours.shape == theirs.shape
    assert torch.equal(ours[sure], (theirs > 0.5)[sure])
    assert drawn.flip.any()


def test_masks_are_those_of_the_whole_picture_in_its_true_colours() -> None:
    batch, truth = discs(6, 5)
    wild = {"jitter": 1.0, "strength": 1.0, "grey": 0.5}
    masks = [
        make(view={**WHOLE, **colours}).views(batch, draws(6))["pseudo_label"]
        for colours in ({"jitter": 0.0, "grey": 0.0}, wild)
    ]
    assert torch.equal(*masks)
    assert intersection_over_union(masks[0], truth).min() > 0.7
    oblong = batch_of([np.repeat(a.numpy(), 2, axis=1) for a in [batch["image"][0]]])
    asked = make()._ask(oblong)[2]
    assert asked.shape == (1, 1, SIZE, SIZE)
    middle = torch.from_numpy(np.repeat(truth[0, 0].numpy(), 2, 1)[:, SIZE // 2 : -SIZE // 2])
    assert intersection_over_union(asked, middle[None, None]).item() > 0.7


def test_intersection_over_union_and_boxes() -> None:
    said = torch.zeros(3, 1, 4, 4, dtype=torch.bool)
    truth = said.clone()
    said[0, 0, :2], truth[0, 0, 1:3] = True, True
    said[1, 0, 0] = True
    assert intersection_over_union(said, truth).tolist() == pytest.approx([1 / 3, 0.0, 1.0])
    assert int(centre_box(8, 0.5).sum()) == 16
    assert bool(centre_box(8, 0.5)[2:6, 2:6].all())
    assert bool(centre_box(7, 1.0).all())


def test_score_stands_beside_the_best_centred_square(monkeypatch: pytest.MonkeyPatch) -> None:
    task = make().eval()
    batches = [batch_of(noise(4, seed=i)) for i in range(2)]
    score = task.score(iter(batches), draws(1))
    truth = torch.cat([task._ask(batch)[2] for batch in batches])
    values = []
    for i in range(1, 21):
        half = i / 20 / 2 * SIZE
        box = torch.zeros(SIZE, SIZE, dtype=torch.bool)
        for y in range(SIZE):
            for x in range(SIZE):
                box[y, x] = max(abs(y + 0.5 - SIZE / 2), abs(x + 0.5 - SIZE / 2)) <= half + 1e-6
        values.append(float(intersection_over_union(box.expand_as(truth), truth).mean()))
    assert score.trivial == pytest.approx(max(values), abs=1e-5)
    found = iter([truth[:4], truth[4:]])
    monkeypatch.setattr(task, "_logits", lambda images: next(found).float() - 0.5)
    assert task.score(iter(batches), draws(1)).value == 1


@pytest.mark.parametrize(("encoder", "size"), [("vit_tiny_depth6", 32), ("resnet10_narrow", 40)])
def test_other_encoders_and_sizes(encoder: str, size: int) -> None:
    task = make(encoder, size)
    views = task.views(batch_of(noise(2, size)), draws(2))
    assert views["pseudo_label"].shape == (2, 1, size, size)
    play(task, views, "task").loss.backward()
    assert any(p.grad is not None and p.grad.abs().sum() > 0 for p in task.encoder.parameters())


@pytest.mark.slow
def test_it_learns_to_find_discs() -> None:
    task = make()

    def views(step: int) -> dict[str, Tensor]:
        return task.views(discs(16, step)[0], draws(16, step))

    fit(task, views, 200, rate=4e-3)
    score = task.eval().score([discs(64, 1000)[0]], draws(1))
    assert score.trivial is not None
    assert score.trivial < 0.45  # Or a box would be a good answer.
    assert score.value > score.trivial + 0.15

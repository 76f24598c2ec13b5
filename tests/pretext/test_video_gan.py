"""Video GAN: three streams, both losses, alike augmentation, the metric, and that it learns."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor

from hotstart.data.sample import Batch, Clips, Pictures
from hotstart.encoders import ClipGenerator
from hotstart.pretext.frechet import RandomConv, RandomConvOfClips, frechet_distance
from hotstart.pretext.generation.video_gan import VideoGan
from tests.conformance.material import carried, fit, play
from tests.pretext.moving import FRAMES, moving
from tests.pretext.pictures import draws
from tests.pretext.test_from_noise import make

SIZE = 16


def made_task(**own: Any) -> VideoGan:
    task = make("video_gan", "r3d10_narrow", SIZE, width=8, **own)
    assert isinstance(task, VideoGan)
    return task


def views_of(task: VideoGan, rows: int, step: int = 0) -> dict[str, Tensor]:
    return task.views(moving(rows, step, size=SIZE).batch(), draws(rows, step))


def test_a_clip_is_foreground_behind_a_mask_and_a_background_that_rests() -> None:
    """Vondrick 2016, eq. 3."""
    generator = ClipGenerator(10, SIZE, FRAMES, width=4)
    for weight in generator.parameters():
        torch.nn.init.normal_(weight, std=0.3)
    noise = torch.randn(3, 10)
    foreground, mask, background = streams = generator.streams(noise)
    assert foreground.shape == (3, 3, FRAMES, SIZE, SIZE)
    assert mask.shape == (3, 1, FRAMES, SIZE, SIZE)
    clip = generator(noise)
    for t in range(FRAMES):
        frame = mask[:, :, t] * foreground[:, :, t] + (1 - mask[:, :, t]) * background[:, :, 0]
        torch.testing.assert_close(clip[:, :, t], frame)
    assert all(part.min() >= 0 and part.max() <= 1 for part in streams)
    assert foreground.std(2).mean() > 0.01
    assert not torch.equal(clip[0], clip[1])


@pytest.mark.parametrize(("side", "frames"), [(33, 8), (8, 5), (64, 16), (20, 1)])
def test_clips_of_any_length_and_side(side: int, frames: int) -> None:
    made = ClipGenerator(5, side, frames, width=2)(torch.randn(2, 5))
    assert made.shape == (2, 3, frames, side, side)


def test_both_losses_equal_the_paper() -> None:
    """Section 2.1, in the form that does not saturate, with the mask's penalty of section 2.2."""
    task = made_task(augment=(), real_label=1.0, sparsity=0.3).eval()
    views = views_of(task, 4)
    generator = play(task, views, "generator")
    foreground, mask, background = task.generator.streams(2 * views["noise"] - 1)
    made = mask * foreground + (1 - mask) * background
    believed = [torch.sigmoid(task.judge(task.encoder(x))) for x in (views["image"], made)]
    torch.testing.assert_close(generator.loss, -believed[1].log().mean() + 0.3 * mask.mean())
    discriminator = play(task, views | carried(generator), "discriminator")
    expected = -believed[0].log().mean() - (1 - believed[1]).log().mean()
    torch.testing.assert_close(discriminator.loss, expected)


def test_the_discriminators_gradient_stays_with_it() -> None:
    """Without the loop's help: what was made has no way back to the generator."""
    task = made_task()
    views = views_of(task, 4)
    result = play(task, views, "generator")
    play(task, views | result.carry, "discriminator").loss.backward()
    assert all(p.grad is None for p in task.generator.parameters())
    assert all(p.grad is not None for p in task.encoder.parameters())


def test_all_frames_are_augmented_alike() -> None:
    task = made_task(augment=("translation", "colour", "cutout"))
    views = views_of(task, 6)
    still = views["image"][:, :, :1].expand(-1, -1, FRAMES, -1, -1)
    seen = task.augmented(still, views, "real")
    assert torch.equal(seen, seen[:, :, :1].expand_as(seen))
    assert not torch.equal(seen, still)


def test_the_metric_sees_motion() -> None:
    space, frames = RandomConvOfClips(), RandomConv()
    clips = torch.rand(3, 3, 4, SIZE, SIZE)
    features = space(clips)
    every = torch.stack([frames(clips[:, :, t]) for t in range(4)])
    torch.testing.assert_close(features[:, :163], every.mean(0))
    changes = [frames(0.5 + (clips[:, :, t + 1] - clips[:, :, t]) / 2) for t in range(3)]
    torch.testing.assert_close(features[:, 163:], torch.stack(changes).mean(0))
    task = made_task().eval()
    real = task._whole(moving(32, size=SIZE).batch())
    still = real[:, :, :1].expand_as(real)
    apart = [frechet_distance(space(real), space(other)) for other in (real, still)]
    assert apart[0] < 1e-3
    assert apart[1] > 0.1


def test_panels_show_the_streams() -> None:
    task = made_task().eval()
    batch = moving(7, size=SIZE).batch()
    (asked,) = task.panels(batch, draws(7), answers=False)
    assert np.array_equal(asked.pictures[2][1], batch["clip"][2][3].numpy())
    _, streams = task.panels(batch, draws(7))
    noise = task._noise(6, draws(7).named("samples"))
    shown = task.make(noise)
    assert streams.columns[-1] == "clip 8"
    last = (shown[4, :, 7].permute(1, 2, 0) * 255).round().to(torch.uint8)
    assert np.array_equal(streams.pictures[4][-1], last.numpy())
    strips = task.generate(batch, draws(7))
    assert strips.shape == (7, 3, SIZE, FRAMES * SIZE)


def squares(rows: int, seed: int) -> Batch:
    """A bright square that moves over a dark slope: few ways in which clips differ."""
    rng = np.random.default_rng(seed)
    pixels = np.empty((rows, FRAMES, SIZE, SIZE, 3))
    pixels[:] = np.linspace(20, 90, SIZE)[:, None, None]
    starts, steps = rng.integers(3, 7, (rows, 2)), rng.choice([-0.4, 0.4], (rows, 2))
    colours = rng.integers(150, 250, (rows, 3))
    for i, t in np.ndindex(rows, FRAMES):
        y, x = (starts[i] + t * steps[i]).round().astype(int)
        pixels[i, t, y : y + 6, x : x + 6] = colours[i]
    frames = Pictures.from_arrays(list(pixels.reshape(-1, SIZE, SIZE, 3).astype(np.uint8)))
    return {"clip": Clips(frames, torch.arange(FRAMES).double().repeat(rows, 1) / 8)}


@pytest.mark.slow
def test_it_learns_to_make_clips_that_come_nearer_to_real_ones() -> None:
    fast = {"name": "adamw", "learning_rate": 0.04, "weight_decay": 0.0, "momentum": 0.5}
    task = made_task(generator=fast)

    def views(step: int) -> dict[str, Tensor]:
        return task.views(squares(16, step), draws(16, step))

    fit(task, views, 240, batch_size=32, decay=True)
    score = task.eval().score([squares(32, 10_000)], draws(1))
    assert score.trivial is not None
    assert score.value < 0.6 * score.trivial

"""The clips of known truth: what is said of them is what they show."""

from __future__ import annotations

from pathlib import Path

import cv2
import numpy as np
import pytest

from hotstart.data import open_dataset
from hotstart.data.sample import Spec
from tests.pretext.moving import FRAMES, HZ, SIZE, Moving, moving


def followed(made: Moving, i: int, t: int) -> tuple[np.ndarray, np.ndarray]:
    """Frame t as the next one shows it along the flow, and where it can: not hidden, not gone."""
    y, x = np.mgrid[0:SIZE, 0:SIZE].astype(np.float32)
    to_x, to_y = x + made.flow[i, t, 0], y + made.flow[i, t, 1]
    following = made.pixels[i, t + 1].astype(np.float32)
    back = cv2.remap(following, to_x, to_y, cv2.INTER_CUBIC)
    there = cv2.remap(made.mask[i, t + 1].astype(np.float32), to_x, to_y, cv2.INTER_LINEAR)
    inside = (to_x > 1) & (to_x < SIZE - 3) & (to_y > 1) & (to_y < SIZE - 3)
    return back, inside & (np.abs(there - made.mask[i, t]) < 1e-3)


def test_what_a_pixel_shows_is_found_again_where_the_flow_leads() -> None:
    made = moving(6, ground_px=0.7)
    along, still = [], []
    for i in range(len(made)):
        for t in range(FRAMES - 1):
            back, seen = followed(made, i, t)
            assert seen.mean() > 0.5
            along.append(np.abs(back - made.pixels[i, t])[seen].mean())
            still.append(np.abs(made.pixels[i, t + 1] - made.pixels[i, t].astype(float)).mean())
    assert np.mean(along) < 1.0  # Grey levels: what rounding and interpolation make of it.
    assert np.mean(still) > 8 * np.mean(along)


def test_where_the_ground_rests_the_mask_tells_what_moves() -> None:
    made = moving(8)
    apart = (made.pixels[:, 1:] != made.pixels[:, :-1]).any(-1)
    either = made.mask[:, 1:] | made.mask[:, :-1]
    assert not apart[~either].any()
    assert apart[either].mean() > 0.95
    assert (np.abs(made.flow).sum(2) > 0)[made.mask].all()
    assert not made.flow.transpose(0, 1, 3, 4, 2)[~made.mask].any()
    shares = made.mask.mean((2, 3))
    assert shares.min() > 0.02  # It never leaves the picture.
    assert shares.max() < 0.4


def test_speeds_are_those_asked_for_and_seeds_make_other_clips() -> None:
    made = moving(50, ground_px=1.5, disc_px=(0.5, 1.0), frames=3, size=24)
    assert made.pixels.shape == (50, 3, 24, 24, 3)
    assert np.linalg.norm(made.ground_px, axis=1) == pytest.approx(1.5)
    beside = np.linalg.norm(made.disc_px - made.ground_px, axis=1)
    assert 0.5 <= beside.min() < 0.6 < 0.9 < beside.max() <= 1.0
    assert np.array_equal(moving(2, 3).pixels, moving(2, 3).pixels)
    assert not np.array_equal(moving(2, 3).pixels, moving(2, 4).pixels)
    assert len({clip.tobytes() for clip in made.pixels}) == 50


def test_shuffled_frames_keep_their_truth() -> None:
    made = moving(20)
    mixed = made.shuffled(0)
    assert (mixed.order != made.order).any(1).all()
    assert len({row.tobytes() for row in mixed.order}) > 15
    for i, row in enumerate(mixed.order):
        for place, moment in enumerate(row):
            assert np.array_equal(mixed.pixels[i, place], made.pixels[i, moment])
            assert np.array_equal(mixed.mask[i, place], made.mask[i, moment])
            assert np.array_equal(mixed.flow[i, place], made.flow[i, moment])


def test_as_a_batch_and_as_files_they_are_the_same_clips(tmp_path: Path) -> None:
    made = moving(12)
    clips = made.clips()
    assert np.array_equal(clips[3].numpy(), made.pixels[3])
    assert np.array_equal(made.frame(2)[5].numpy(), made.pixels[5, 2])
    dataset = open_dataset(str(made.write(tmp_path / "films")), size=SIZE)
    read = dataset.batch(np.arange(12), {"clip": Spec(frames=FRAMES)})["clip"]
    assert np.allclose(read.times.numpy(), np.arange(FRAMES) / HZ)
    for i in range(12):
        assert np.array_equal(read[i].numpy(), made.pixels[i])

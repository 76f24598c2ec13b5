"""What is taken of a video: a window of time, and the frames and the sound in it.

All that a task asks of a video is centred on one moment. The longest of it is the window; where in
the video that lies is a number in 0..1, its place.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping
from typing import Any, cast

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from hotstart.data.footage import Footage
from hotstart.data.motion import FLOW_HZ, nearest_fields
from hotstart.data.sample import (
    SOUND_HZ,
    TRUTHS,
    TRUTHS_OF_MOTION,
    Batch,
    Clips,
    Pictures,
    Spec,
)
from hotstart.data.store import Integers
from hotstart.data.stretches import Stretches

Floats = npt.NDArray[np.float64]
FRAMES = 8
FRAMES_HZ = 8.0
SOUND_SECONDS = 1.0
MOMENT = 1e-6
"""Seconds. A frame is taken for shown this much before its time: times are rounded numbers."""
KEYS = ("image", "clip", "pose", "audio", "flow", *TRUTHS)
"""Sample keys that need a place."""
MOVING = ("clip", "pose")
"""Those of several frames."""


def middle(rows: int) -> Tensor:
    """Places of `rows` windows in the middle of their videos, float32 (rows,)."""
    return torch.full((rows,), 0.5)


def windows(
    stretches: Stretches,
    items: Integers,
    specs: Mapping[str, Spec],
    places: Tensor,
    audio_offset_seconds: float = 0.0,
) -> Batch:
    """The keys of `specs` that a video can give, of int64 (B,) `items`.

    places: (B,) in 0..1: 0 puts the window at the start of the video, 1 at its end.
    clip: T frames, evenly spaced in time, `Spec.seconds` from the first to the last; a video that
    has fewer frames a second gives frames further apart (none twice, at an even frame rate), one
    that is shorter gives them closer together.
    flow: `Spec.frames` fields; the middle of all else then moves to the nearest frame from which a
    field goes.
    pose: of the frames that a clip of the same form shows. image: the frame in the middle, and so
    is what is known of its pixels; where that is of its motion, a frame that has a next one.
    audio: `Spec.seconds` of sound; silence where the video has none. audio_offset_seconds: by how
    much the sound comes after the frames that it belongs to.
    """
    lengths = stretches.lengths[items]
    seconds = {key: spans(stretches, items, specs[key]) for key in MOVING if key in specs}
    sound = _sound_seconds(specs["audio"]) if "audio" in specs else 0.0
    fields = (specs["flow"].frames or 1) if "flow" in specs else 0
    shortest = np.full(len(items), max(sound, fields / FLOW_HZ))
    longest = np.maximum.reduce([shortest, *seconds.values()])
    free = np.maximum(lengths - longest, 0.0)
    # Place 1 is a little short of the end, so that it shows the last frame once alone.
    before = np.minimum(places.numpy().astype(np.float64) * free, np.maximum(free - 2 * MOMENT, 0))
    centres = stretches.starts[items] + before + np.minimum(longest, lengths) / 2
    videos, reels = stretches.videos[items], stretches.footage.reels
    batch: Batch = {}
    if fields:
        numbers = _fields(stretches, items, centres, fields)
        batch["flow"] = stretches.footage.motion.flows(videos, numbers)
        centres = batch["flow"].times[:, (fields - 1) // 2].numpy()
    shown = _shown(stretches, items, centres[:, None])[:, 0]
    if not specs.keys().isdisjoint(TRUTHS_OF_MOTION):
        shown = np.minimum(shown, (stretches.firsts + stretches.counts)[items] - 2)
    if "image" in specs:
        batch["image"] = reels.pictures(videos, shown)
    batch.update(_known(stretches.footage, videos, shown, specs))
    for key, span in seconds.items():
        frames = specs[key].frames or FRAMES
        asked = (centres - span / 2)[:, None] + span[:, None] * np.linspace(0, 1, frames)
        shown = _shown(stretches, items, asked)
        if key == "clip":
            times = np.stack([reels.times(i)[row] for i, row in zip(videos, shown, strict=True)])
            pictures = reels.pictures(np.repeat(videos, frames), shown.reshape(-1))
            batch["clip"] = Clips(pictures, torch.from_numpy(times))
        else:
            of_video = stretches.footage.poses.of_video
            poses = [of_video[i][row] for i, row in zip(videos.tolist(), shown, strict=True)]
            batch["pose"] = torch.from_numpy(np.stack(poses))
    if "audio" in specs:
        heard = centres - sound / 2 + audio_offset_seconds
        batch["audio"] = _audio(stretches.footage, videos, heard, sound)
    return batch


def _known(footage: Footage, videos: Integers, shown: Integers, keys: Collection[str]) -> Batch:
    """What the source knows of the pixels of frames `shown` (B,) of `videos` (B,)."""
    rows, stamps = (
        footage.facts.rows[videos],
        footage.reels.stamps[footage.reels.first[videos] + shown],
    )
    frames = list(zip(rows.tolist(), stamps.tolist(), strict=True))
    known: dict[str, Any] = {
        key: torch.from_numpy(
            np.stack([footage.source.truth(row, key, stamp) for row, stamp in frames])
        )
        for key in TRUTHS
        if key in keys
    }
    return cast(Batch, known)


def spans(stretches: Stretches, items: Integers, spec: Spec) -> Floats:
    """Float64 (B,): seconds from the first frame of each clip to its last."""
    steps = (spec.frames or FRAMES) - 1
    asked = steps / FRAMES_HZ if spec.seconds is None else spec.seconds
    intervals = stretches.footage.facts.intervals[stretches.videos[items]]
    last = stretches.lengths[items] - intervals
    return np.minimum(np.maximum(asked, steps * intervals), np.maximum(last, 0))


def _shown(stretches: Stretches, items: Integers, seconds: Floats) -> Integers:
    """Int64 (B, T): which frame of the video is on the screen at `seconds` (B, T)."""
    shown = np.empty(seconds.shape, np.int64)
    for row, video in enumerate(stretches.videos[items].tolist()):
        times = stretches.footage.reels.times(video)
        shown[row] = np.searchsorted(times, seconds[row] + MOMENT, side="right") - 1
    first = stretches.firsts[items][:, None]
    return np.clip(shown, first, first + stretches.counts[items][:, None] - 1)


def _fields(stretches: Stretches, items: Integers, centres: Floats, count: int) -> Integers:
    """Int64 (B, count): which fields of each video lie about its centre (B,), in its stretch."""
    numbers = np.empty((len(items), count), np.int64)
    for row, (item, video) in enumerate(zip(items, stretches.videos[items].tolist(), strict=True)):
        frames = stretches.footage.motion.frames(video)
        low, high = np.searchsorted(
            frames, stretches.firsts[item] + np.array([0, stretches.counts[item]])
        )
        # At least one field, although one without any (`Stretches.moving`) is passed over.
        low = min(low, len(frames) - 2)
        times = stretches.footage.reels.times(video)[frames[low : max(high, low + 2)]]
        numbers[row] = low + nearest_fields(times, centres[row], count)
    return numbers


def _sound_seconds(spec: Spec) -> float:
    return SOUND_SECONDS if spec.seconds is None else spec.seconds


def _audio(footage: Footage, videos: Integers, starts: Floats, seconds: float) -> Tensor:
    """Int16 (B, n) of sound from `starts` (B,) on, in seconds from the video's first frame."""
    count = round(seconds * SOUND_HZ)
    audio = np.zeros((len(videos), count), np.int16)
    first = np.rint((starts - footage.facts.sound_starts[videos]) * SOUND_HZ).astype(np.int64)
    there = footage.facts.samples[videos]
    lows = np.clip(first, 0, there)
    highs = np.clip(first + count, 0, there)
    for row, (i, low, high) in enumerate(zip(videos.tolist(), lows, highs, strict=True)):
        if high > low:
            at = int(low - first[row])
            audio[row, at : at + int(high - low)] = footage.reels.sound(i, int(low), int(high))
    return torch.from_numpy(audio)


class MiddleFrames:
    """Of each stretch the frame in its middle, as a `Store` of pictures."""

    def __init__(self, stretches: Stretches) -> None:
        self.stretches = stretches
        self.at_hand = stretches.footage.reels.at_hand

    def get(self, indices: Integers) -> Pictures:
        """Pictures at int64 (B,) positions, in that order."""
        places = middle(len(indices))
        return windows(self.stretches, np.asarray(indices), {"image": Spec()}, places)["image"]

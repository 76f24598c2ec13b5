"""How far the optical flow that tasks learn from is off, on clips whose flow is known exactly.

    python benchmarks/flow_labels.py CLIPS [--videos 60] [--size 32]

CLIPS are rendered (`hotstart render world:videos?...`). One frame in the middle of each of so many
videos, spread over all: mean end-point error in pixels of no motion at all, of DIS, and of DIS on
frames that were enlarged or smoothed before.
"""

from __future__ import annotations

import argparse
from collections.abc import Callable
from functools import partial

import cv2
import numpy as np

from hotstart.data import open_dataset
from hotstart.data.flow import Field, Picture, optical_flow

WAYS: dict[str, tuple[int, float]] = {
    "DIS": (1, 0.0),
    "twice as large": (2, 0.0),
    "four times as large": (4, 0.0),
    "smoothed by 0.7 px": (1, 0.7),
    "smoothed by 1 px": (1, 1.0),
}


def estimated(first: Picture, second: Picture, times: int, sigma: float) -> Field:
    """Flow (H, W, 2) by DIS, after smoothing and enlarging both frames."""
    height, width = first.shape[:2]

    def prepared(frame: Picture) -> Picture:
        smooth = cv2.GaussianBlur(frame, (0, 0), sigma) if sigma else frame
        large = cv2.resize(smooth, (width * times, height * times), interpolation=cv2.INTER_CUBIC)
        return np.asarray(large, np.uint8)

    flow, _ = optical_flow(prepared(first), prepared(second))
    reduced = cv2.resize(flow, (width, height), interpolation=cv2.INTER_AREA)
    return np.asarray(reduced / times, np.float32)


def main() -> None:
    """Print a line for each way."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("clips")
    parser.add_argument("--videos", type=int, default=60)
    parser.add_argument("--size", type=int, default=32, help="two thirds of the clips' side")
    options = parser.parse_args()
    dataset = open_dataset(options.clips, size=options.size)
    footage = dataset.footage
    if footage is None or "exact_flow" not in dataset.keys:
        parser.error(f"{options.clips} holds no clips whose flow is known")
    asked = []
    for i in np.linspace(0, len(footage.facts.rows) - 1, options.videos).astype(np.int64):
        frame = int(footage.reels.counts[i]) // 2
        stamp = int(footage.reels.stamps[footage.reels.first[i] + frame])
        truth = footage.source.truth(int(footage.facts.rows[i]), "exact_flow", stamp)
        both = footage.reels.pictures(np.array([i, i]), np.array([frame, frame + 1]))
        if both[0].numpy().shape[:2] != truth.shape[1:]:
            parser.error(f"frames of {truth.shape[1:]} px are kept smaller: give a larger --size")
        asked.append((both[0].numpy(), both[1].numpy(), np.moveaxis(truth, 0, -1)))

    def error(answer: Callable[[Picture, Picture], Field]) -> float:
        off = [np.linalg.norm(answer(a, b) - truth, axis=-1) for a, b, truth in asked]
        return float(np.mean([np.nanmean(one) for one in off]))

    print(f"{'no motion':20} {error(lambda a, b: np.zeros((*a.shape[:2], 2), np.float32)):.3f} px")
    for name, way in WAYS.items():
        print(f"{name:20} {error(partial(estimated, times=way[0], sigma=way[1])):.3f} px")


if __name__ == "__main__":
    main()

"""Clips a second from the cache and from files, beside plain PyAV; what training takes time for.

All three give the same clips (eight frames over 7/8 of a second, at places drawn for each), uint8
RGB. Plain PyAV is what one would write: open the file, seek to the key frame before, decode until
the last frame, convert. It hands out frames as they are in the file, Hotstart reduced ones. The
share of the model is, as in `step.py`, the bare forward, backward and optimiser on one fixed batch
of views over a step of the loop, which loads and makes the views too; both in one process, in turn.

    python benchmarks/video.py [DATA] [--size 64] [--tasks A,B] [--json]

Without DATA: generated videos, in MPEG-4 files of 2 seconds, through the usual cache.
"""

from __future__ import annotations

import argparse
import json
import os
import tempfile
import time
from collections.abc import Callable
from fractions import Fraction
from pathlib import Path
from typing import Any

import av
import cv2
import numpy as np
import torch

from hotstart.data import open_dataset
from hotstart.data.sample import Spec
from hotstart.league.pretraining import default_encoder
from hotstart.pretext.registry import task_class
from step import measure

FRAMES, SECONDS = 8, 7 / 8
TASKS = ("video_prediction", "video_masked_autoencoder", "order_verification")
WIDTH, HEIGHT, HZ, LENGTH_SECONDS = 176, 144, 25, 2


def generate(folder: Path, count: int) -> Path:
    """Videos of smooth noise that drifts."""
    folder.mkdir()
    rng = np.random.default_rng(0)
    for i in range(count):
        coarse = rng.integers(0, 256, (16, 16, 3), dtype=np.uint8)
        wide = cv2.resize(coarse, (2 * WIDTH, 2 * HEIGHT), interpolation=cv2.INTER_CUBIC)
        with av.open(str(folder / f"{i:04d}.mp4"), "w") as container:
            stream: Any = container.add_stream("mpeg4", rate=HZ)
            stream.width, stream.height, stream.pix_fmt = WIDTH, HEIGHT, "yuv420p"
            stream.codec_context.time_base = Fraction(1, HZ)
            for t in range(HZ * LENGTH_SECONDS):
                part = wide[t : t + HEIGHT, t : t + WIDTH]
                shown = np.ascontiguousarray(part, dtype=np.uint8)
                frame = av.VideoFrame.from_ndarray(shown, format="rgb24")
                frame.pts, frame.time_base = t, Fraction(1, HZ)
                container.mux(stream.encode(frame))
            container.mux(stream.encode())
    return folder


def plain_clip(path: Path, place: float) -> np.ndarray:
    """Uint8 (T, H, W, 3), by PyAV alone."""
    with av.open(str(path)) as container:
        stream = container.streams.video[0]
        stream.thread_type = "AUTO"
        assert stream.duration is not None
        assert stream.time_base is not None
        length = float(stream.duration * stream.time_base)
        start = place * max(length - SECONDS, 0)
        asked = start + np.linspace(0, min(SECONDS, length), FRAMES)
        container.seek(int(start / stream.time_base), stream=stream)
        shown: list[np.ndarray] = []
        last = None
        for frame in container.decode(stream):
            while len(shown) < FRAMES and frame.time > asked[len(shown)] and last is not None:
                shown.append(last.to_ndarray(format="rgb24"))
            last = frame
            if len(shown) == FRAMES:
                break
        assert last is not None
        shown += [last.to_ndarray(format="rgb24")] * (FRAMES - len(shown))
    return np.stack(shown)


def clips_per_second(fetch: Callable[[np.ndarray, torch.Tensor], object], items: int) -> float:
    """Over 3 seconds or more, 16 clips at a time."""
    rng = np.random.default_rng(0)
    done, began = 0, 0.0
    for number in range(100_000):
        if number == 1:  # The first batch opens files and starts threads.
            began = time.perf_counter()
        fetch(rng.integers(0, items, 16), torch.from_numpy(rng.random(16, dtype=np.float32)))
        done += 16 * (number > 0)
        if number and time.perf_counter() - began > 3:
            break
    return round(done / (time.perf_counter() - began), 1)


def reading(data: str, size: int, scratch: Path) -> dict[str, object]:
    """Clips a second, three ways."""
    needs = {"clip": Spec(FRAMES, SECONDS)}
    cached = open_dataset(data, size=size, cache_dir=scratch / "cached")
    files = open_dataset(data, size=size, cache_dir=scratch / "files", cache_bytes=0)
    root = Path(data)
    paths = [root / cached.path(i) for i in range(len(cached))]

    def plain(items: np.ndarray, places: torch.Tensor) -> None:
        for item, place in zip(items.tolist(), places.tolist(), strict=True):
            plain_clip(paths[item], place)

    found = {
        "cache": clips_per_second(lambda i, at: cached.batch(i, needs, at), len(cached)),
        "files": clips_per_second(lambda i, at: files.batch(i, needs, at), len(files)),
        "plain_pyav": clips_per_second(plain, len(cached)),
    }
    return {
        "benchmark": "video",
        "videos": len(cached),
        "size": size,
        **{f"{name}_clips_per_second": value for name, value in found.items()},
        "cache_over_plain": round(found["cache"] / found["plain_pyav"], 2),
        "files_over_plain": round(found["files"] / found["plain_pyav"], 2),
    }


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("data", nargs="?", help="a folder of videos; generated ones by default")
    parser.add_argument("--size", type=int, default=64)
    parser.add_argument("--tasks", default=",".join(TASKS))
    parser.add_argument("--encoder", help="that of every task; its own by default")
    parser.add_argument("--batch", type=int, help="clips; each task's own by default")
    parser.add_argument("--rounds", type=int, default=10)
    parser.add_argument("--json", action="store_true")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as scratch:
        os.environ["XDG_CACHE_HOME"] = scratch
        data = options.data or str(generate(Path(scratch) / "videos", 240))
        read = reading(data, options.size, Path(scratch))
        trained = [
            measure(task, data, options.size, encoder, batch, options.rounds, "small")
            for task in options.tasks.split(",")
            for encoder in (options.encoder or default_encoder(task),)
            for batch in (options.batch or task_class(task).batch_size,)
        ]
    if options.json:
        print(json.dumps([read, *trained], indent=1))
        return
    for row in (read, *trained):
        print("  ".join(f"{key} {value}" for key, value in row.items()))


if __name__ == "__main__":
    main()

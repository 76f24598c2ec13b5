"""What the benchmarks share: pictures to work on, taking turns, a process apart, the machine."""

from __future__ import annotations

import argparse
import os
import platform
import statistics
import subprocess
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from importlib.metadata import version
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

Row = dict[str, Any]


def parser_of(documentation: str | None) -> argparse.ArgumentParser:
    """A parser with the first line of a benchmark's documentation, and `--json`."""
    parser = argparse.ArgumentParser(description=(documentation or "").split("\n")[0])
    parser.add_argument("--json", action="store_true", help="print a JSON array and nothing else")
    return parser


def machine(*packages: str) -> str:
    """One line: processor, cores, Python and the versions of `packages`."""
    versions = ", ".join(f"{name} {version(name)}" for name in packages)
    return f"{processor()}, {os.cpu_count()} cores, Python {platform.python_version()}, {versions}"


def processor() -> str:
    """The processor's name, as the system tells it."""
    told = Path("/proc/cpuinfo")
    if told.exists():
        for line in told.read_text(encoding="utf-8").splitlines():
            if line.startswith("model name"):
                return line.partition(":")[2].strip()
    return platform.processor() or platform.machine()


def smooth_noise(rng: np.random.Generator, width: int, height: int) -> Image.Image:
    """A picture of smooth colours with some grain, which JPEG compresses like a photograph."""
    coarse = Image.fromarray(rng.integers(0, 256, (12, 16, 3), dtype=np.uint8))
    picture = np.asarray(coarse.resize((width, height), Image.Resampling.BICUBIC), np.int16)
    grain = rng.integers(-12, 13, picture.shape, dtype=np.int16)
    return Image.fromarray(np.clip(picture + grain, 0, 255).astype(np.uint8))


def write_jpegs(folder: Path, count: int, width: int, height: int, classes: int = 10) -> Path:
    """`count` JPEG files in class folders; 64 different pictures, each with its own last byte."""
    rng = np.random.default_rng(0)
    kept: list[bytes] = []
    for i in range(count):
        path = folder / f"class{i % classes}" / f"{i:07d}.jpg"
        path.parent.mkdir(parents=True, exist_ok=True)
        if len(kept) < 64:
            smooth_noise(rng, width, height).save(path, quality=88)
            kept.append(path.read_bytes())
        else:
            # Bytes behind the end marker make the file another file and the picture no other.
            path.write_bytes(kept[i % 64] + i.to_bytes(4, "little"))
    return folder


def take_turns(
    contenders: Mapping[str, Callable[[], object]], rounds: int
) -> dict[str, list[float]]:
    """Seconds of each contender, A B A B ..., `rounds` times."""
    seconds: dict[str, list[float]] = {name: [] for name in contenders}
    for _ in range(rounds):
        for name, work in contenders.items():
            start = time.perf_counter()
            work()
            seconds[name].append(time.perf_counter() - start)
    return seconds


def medians(seconds: Mapping[str, Sequence[float]]) -> dict[str, float]:
    """The median of each contender."""
    return {name: statistics.median(spent) for name, spent in seconds.items()}


def apart(code: str, *arguments: str, **environment: str) -> str:
    """What a fresh interpreter prints that runs `code` with `arguments`.

    Raises `subprocess.CalledProcessError`, with what it said, when it fails.
    """
    done = subprocess.run(
        [sys.executable, "-c", code, *arguments],
        capture_output=True,
        text=True,
        check=False,
        env={**os.environ, **environment},
    )
    if done.returncode:
        sys.exit(f"a measured process failed:\n{done.stderr}")
    return done.stdout

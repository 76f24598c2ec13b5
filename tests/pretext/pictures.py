"""Pictures of noise or of even slopes, their batches, and their draws."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

from hotstart.data.draws import Draws
from hotstart.data.sample import Batch, Pictures

SIZE = 32


def noise(rows: int, size: int = SIZE, seed: int = 0) -> list[Any]:
    rng = np.random.default_rng(seed)
    return list(rng.integers(0, 256, (rows, size, size, 3), dtype=np.uint8))


def batch_of(arrays: list[Any]) -> Batch:
    return {"image": Pictures.from_arrays(arrays)}


def draws(rows: int, step: int = 0) -> Draws:
    return Draws(0, step, total=rows)


def slopes(rows: int, seed: int) -> list[Any]:
    """Pictures whose colours change evenly from side to side: each part tells the others."""
    rng = np.random.default_rng(seed)
    y, x = np.mgrid[0 : 1 : SIZE * 1j, 0 : 1 : SIZE * 1j]
    start, right, down = rng.uniform(0, 1, (3, rows, 1, 1, 3))
    colours = (1 - x - y)[..., None] * start + x[..., None] * right + y[..., None] * down
    return list((np.clip(colours, 0, 1) * 255).astype(np.uint8))


def patches(folder: Path, count: int) -> Path:
    """Files of pictures of a few random patches of colour, no two of them alike."""
    folder.mkdir(exist_ok=True)
    rng = np.random.default_rng(0)
    for i in range(count):
        few = Image.fromarray(rng.integers(0, 256, (4, 4, 3), dtype=np.uint8))
        few.resize((40, 40), Image.Resampling.BICUBIC).save(folder / f"{i:03d}.png")
    return folder


def gratings(folder: Path, groups: int, count: int) -> Path:
    """Stripes: group i % groups has a direction, all else is another for each picture."""
    rng = np.random.default_rng(0)
    y, x = np.mgrid[0:40, 0:40]
    for i in range(count):
        angle = np.pi * (i % groups) / groups
        along = x * np.cos(angle) + y * np.sin(angle)
        stripes = np.sin(2 * np.pi * along / 10 + rng.uniform(0, 2 * np.pi))
        colours = rng.uniform(20, 235, (2, 3))
        pixels = colours[0] + (stripes[..., None] + 1) / 2 * (colours[1] - colours[0])
        pixels = np.clip(pixels + rng.normal(0, 3, pixels.shape), 0, 255).astype(np.uint8)
        Image.fromarray(pixels).save(folder / f"{i:03d}.png")
    return folder

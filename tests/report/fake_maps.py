"""Maps as a run leaves them, each thumbnail of a colour of its own."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

PER_ROW, CELL_PX = 25, 32


def colour_of(i: int) -> tuple[int, int, int]:
    """Of thumbnail i, below 250."""
    return (5 * (i % 50), 40 * (i // 50), 200)


def sprite_of(count: int) -> Image.Image:
    """Thumbnails 0 to `count` - 1, in rows of 25."""
    sprite = np.full((-(-count // PER_ROW) * CELL_PX, PER_ROW * CELL_PX, 3), 255, np.uint8)
    for i in range(count):
        top, left = i // PER_ROW * CELL_PX, i % PER_ROW * CELL_PX
        sprite[top : top + CELL_PX, left : left + CELL_PX] = colour_of(i)
    return Image.fromarray(sprite)


def told_map(
    count: int, classes: tuple[str, ...], name: str, *, before: bool = False
) -> dict[str, Any]:
    """Picture i in row i // 10, far from the others; before training upside down."""
    ys = [round((i // 10) / (-(-count // 10)), 4) for i in range(count)]
    return {
        "when": "before training" if before else "after training",
        "method": "t-SNE",
        "kind": "map",
        "task": "simclr",
        "data": "cifar10",
        "split": "val",
        "sprite": "map.png",
        "cell_px": CELL_PX,
        "per_row": PER_ROW,
        "classes": list(classes),
        "label": [i % len(classes) if classes else None for i in range(count)],
        "name": [f"{name}{i}" for i in range(count)],
        "x": [(i % 10) / 10 for i in range(count)],
        "y": [1 - y for y in ys] if before else ys,
    }


def write_map(
    folder: Path, *, count: int = 60, classes: tuple[str, ...] = ("cat", "dog"), name: str = "pic"
) -> None:
    """Both maps and the sprite in `folder/panels`."""
    panels = folder / "panels"
    panels.mkdir(parents=True, exist_ok=True)
    sprite_of(count).save(panels / "map.png")
    for file, before in (("map", False), ("map-before", True)):
        told = told_map(count, classes, name, before=before)
        (panels / f"{file}.json").write_text(json.dumps(told), encoding="utf-8")

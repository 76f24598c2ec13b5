"""Embedding maps as a run leaves them, of invented pictures: each has a colour of its own."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path

import numpy as np
from PIL import Image

CELL_PX, PER_ROW = 32, 25


def colour(number: int) -> tuple[int, int, int]:
    """Of picture `number`, below 240."""
    return number, 255 - number, 128


def write_map(
    run: Path,
    count: int = 60,
    *,
    names: Sequence[str] = (),
    classes: Sequence[str] = ("cat", "dog"),
) -> None:
    """Map of before and after with `count` pictures, class by turns; places are a grid of tens."""
    folder = run / "panels"
    folder.mkdir(parents=True, exist_ok=True)
    places = [((i % 10) / 10, (i // 10) / 10) for i in range(count)]
    told = {
        "kind": "map",
        "task": "rotation",
        "data": "cifar10",
        "split": "val",
        "sprite": "map.png",
        "cell_px": CELL_PX,
        "per_row": PER_ROW,
        "classes": list(classes),
        "label": [i % len(classes) if classes else None for i in range(count)],
        "name": [*names, *(f"p/{i}.png" for i in range(len(names), count))],
        "method": "t-SNE",
    }
    for file, when, order in (
        ("map-before", "before training", places[::-1]),
        ("map", "after training", places),
    ):
        xs, ys = [x for x, _ in order], [y for _, y in order]
        text = json.dumps({"when": when, "x": xs, "y": ys, **told})
        (folder / f"{file}.json").write_text(text, encoding="utf-8")
    rows = -(-count // PER_ROW)
    sprite = np.full((rows * CELL_PX, PER_ROW * CELL_PX, 3), 255, np.uint8)
    for i in range(count):
        top, left = i // PER_ROW * CELL_PX, i % PER_ROW * CELL_PX
        sprite[top : top + CELL_PX, left : left + CELL_PX] = colour(i)
    Image.fromarray(sprite).save(folder / "map.png")

"""Small scenes with a label map each: a bright disc (1) and a dark square (2) on grey (0)."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
from PIL import Image

Array = npt.NDArray[np.uint8]
WIDTH, HEIGHT = 48, 40


def scene(
    seed: int, width: int = WIDTH, height: int = HEIGHT, side: int = 12
) -> tuple[Array, Array]:
    """Uint8 picture (H, W, 3) and label map (H, W)."""
    rng = np.random.default_rng(seed)
    y, x = np.mgrid[:height, :width]
    labels = np.zeros((height, width), np.uint8)
    left, top = rng.integers(0, width - side), rng.integers(0, height - side)
    labels[top : top + side, left : left + side] = 2
    cx, cy = rng.integers(side // 2, width - side // 2), rng.integers(side // 2, height - side // 2)
    labels[(x - cx) ** 2 + (y - cy) ** 2 <= (side / 2) ** 2] = 1
    colours = np.array([[128, 128, 128], [230, 200, 60], [30, 40, 90]])
    noisy = colours[labels] + rng.normal(0, 12, (height, width, 3))
    return noisy.clip(0, 255).astype(np.uint8), labels


def save(path: Path, array: Array, *, palette: bool = False) -> Path:
    """As PNG; with a palette, the values are its indices."""
    path.parent.mkdir(parents=True, exist_ok=True)
    image = Image.fromarray(array)
    if palette:
        image = Image.fromarray(array, mode="P")
        image.putpalette([value * 7 % 256 for value in range(768)])
    image.save(path)
    return path


def write_scenes(
    root: Path,
    seeds: Sequence[int],
    *,
    pictures: str = "images",
    masks: str = "masks",
    ending: str = "",
    **options: Any,
) -> Path:
    """Pictures and label maps in folders of those names."""
    for seed in seeds:
        picture, labels = scene(seed, **options)
        save(root / pictures / f"{seed:03d}.png", picture)
        save(root / masks / f"{seed:03d}{ending}.png", labels)
    return root


def coco_of(seeds: Sequence[int]) -> dict[str, Any]:
    """The square of each scene as a polygon, the disc as run lengths, counted down the columns."""
    content: dict[str, Any] = {
        "images": [],
        "annotations": [],
        "categories": [{"id": 7, "name": "disc"}, {"id": 9, "name": "square"}],
    }
    for seed in seeds:
        _, labels = scene(seed)
        content["images"].append(
            {"id": seed, "file_name": f"{seed:03d}.png", "width": WIDTH, "height": HEIGHT}
        )
        ys, xs = np.nonzero(labels == 2)
        x0, y0, x1, y1 = xs.min(), ys.min(), xs.max() + 1, ys.max() + 1
        polygon = [int(v) for v in (x0, y0, x1, y0, x1, y1, x0, y1)]
        flat = (labels == 1).T.reshape(-1)
        edges = np.flatnonzero(np.diff(np.concatenate([[0], flat, [0]])))
        runs = np.diff(np.concatenate([[0], edges, [flat.size]])).tolist()
        outlines = {7: {"size": [HEIGHT, WIDTH], "counts": runs}, 9: [polygon]}
        for category, outline in outlines.items():
            content["annotations"].append(
                {
                    "id": len(content["annotations"]),
                    "image_id": seed,
                    "category_id": category,
                    "segmentation": outline,
                    "iscrowd": 0,
                }
            )
    return content


def write_coco(root: Path, name: str, seeds: Sequence[int]) -> dict[str, Any]:
    """Pictures in `images/`, annotations in a JSON of that name."""
    content = coco_of(seeds)
    for seed in seeds:
        save(root / "images" / f"{seed:03d}.png", scene(seed)[0])
    (root / name).write_text(json.dumps(content), encoding="utf-8")
    return content

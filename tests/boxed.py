"""Folders of pictures with boxes whose truth is known, in every format that is read."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
from PIL import Image

COLOURS = {"blue": (40, 60, 230), "red": (230, 50, 40)}
SIDE = (96, 72)
"""Width and height of every picture."""
Box = tuple[int, int, int, int]


def picture(rng: np.random.Generator) -> tuple[npt.NDArray[np.uint8], list[tuple[str, Box]]]:
    """Grey noise with one or two squares, each red or blue; their boxes x0, y0, x1, y1."""
    wide, high = SIDE
    pixels = rng.integers(90, 160, (high, wide, 1)).repeat(3, axis=2).astype(np.uint8)
    objects: list[tuple[str, Box]] = []
    for column in range(int(rng.integers(1, 3))):
        side = int(rng.integers(18, 40))
        x = int(rng.integers(0, wide // 2 - side)) if side < wide // 2 - 1 else 0
        x0, y0 = x + column * wide // 2, int(rng.integers(0, high - side))
        name = str(rng.choice(list(COLOURS)))
        pixels[y0 : y0 + side, x0 : x0 + side] = COLOURS[name]
        objects.append((name, (x0, y0, x0 + side, y0 + side)))
    return pixels, objects


def write_coco(root: Path, counts: dict[str, int], seed: int = 0) -> dict[str, Any]:
    """`images/` and one JSON for each split; hands back the content of each JSON."""
    rng = np.random.default_rng(seed)
    (root / "images").mkdir(parents=True)
    names = list(COLOURS)
    content: dict[str, Any] = {}
    for split, count in counts.items():
        images: list[dict[str, Any]] = []
        annotations: list[dict[str, Any]] = []
        for i in range(count):
            pixels, objects = picture(rng)
            name = f"{split}-{i:03d}.png"
            Image.fromarray(pixels).save(root / "images" / name)
            images.append({"id": i, "file_name": name, "width": SIDE[0], "height": SIDE[1]})
            for label, (x0, y0, x1, y1) in objects:
                annotations.append(
                    {
                        "id": len(annotations),
                        "image_id": i,
                        "category_id": names.index(label) + 1,
                        "bbox": [x0, y0, x1 - x0, y1 - y0],
                        "iscrowd": 0,
                    }
                )
        content[split] = {
            "images": images,
            "annotations": annotations,
            "categories": [{"id": k + 1, "name": name} for k, name in enumerate(names)],
        }
        (root / f"{split}.json").write_text(json.dumps(content[split]))
    return content


def as_voc(root: Path, content: dict[str, Any], source: Path) -> None:
    """The same in Pascal VOC's layout."""
    (root / "Annotations").mkdir(parents=True)
    (root / "ImageSets" / "Main").mkdir(parents=True)
    shutil.copytree(source / "images", root / "JPEGImages")
    names = list(COLOURS)
    for split, one in content.items():
        stems = []
        for image in one["images"]:
            objects = "".join(
                f"<object><name>{names[a['category_id'] - 1]}</name><difficult>0</difficult>"
                f"<bndbox><xmin>{a['bbox'][0] + 1}</xmin><ymin>{a['bbox'][1] + 1}</ymin>"
                f"<xmax>{a['bbox'][0] + a['bbox'][2]}</xmax>"
                f"<ymax>{a['bbox'][1] + a['bbox'][3]}</ymax></bndbox></object>"
                for a in one["annotations"]
                if a["image_id"] == image["id"]
            )
            stem = Path(image["file_name"]).stem
            stems.append(stem)
            (root / "Annotations" / f"{stem}.xml").write_text(
                f"<annotation><filename>{image['file_name']}</filename><size>"
                f"<width>{SIDE[0]}</width><height>{SIDE[1]}</height><depth>3</depth></size>"
                f"{objects}</annotation>"
            )
        (root / "ImageSets" / "Main" / f"{split}.txt").write_text("\n".join(stems))


def as_yolo(root: Path, content: dict[str, Any], source: Path) -> None:
    """The same in YOLO's layout."""
    for split, one in content.items():
        for kind in ("images", "labels"):
            (root / kind / split).mkdir(parents=True)
        for image in one["images"]:
            name = image["file_name"]
            shutil.copy(source / "images" / name, root / "images" / split / name)
            lines = []
            for a in one["annotations"]:
                if a["image_id"] == image["id"]:
                    x, y, w, h = a["bbox"]
                    shares = (
                        (x + w / 2) / SIDE[0],
                        (y + h / 2) / SIDE[1],
                        w / SIDE[0],
                        h / SIDE[1],
                    )
                    lines.append(" ".join(map(str, (a["category_id"] - 1, *shares))))
            (root / "labels" / split / name).with_suffix(".txt").write_text("\n".join(lines))
    (root / "data.yaml").write_text(
        "path: .\ntrain: images/train\nval: images/val\ntest: ../images/test\nnames: [blue, red]\n"
    )

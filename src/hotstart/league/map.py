"""The embedding map of a run: where its encoder puts pictures, before and after training."""

from __future__ import annotations

import io
import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import torch
from PIL import Image

from hotstart.augment import centre_view
from hotstart.data import Dataset
from hotstart.downstream.features import extract, recalibrate_batchnorm
from hotstart.downstream.layout import lay_out
from hotstart.encoders import Encoder, build_encoder
from hotstart.pretext.task import to_uint8
from hotstart.training.folder import PANELS

MAP, MAP_BEFORE = "map", "map-before"
PICTURES = 600
PER_ROW = 25
SMALL_PX, CELL_PX = 32, 48
"""Side of a thumbnail: of pictures that are trained on at 32 px or less, and of larger ones."""

Int64s = npt.NDArray[np.int64]


@dataclass(frozen=True)
class Drawn:
    """The same pictures before and after training.

    The sprite has thumbnail i at column i % 25, row i // 25. A map holds its places `x`, `y` in
    0..1, the `name` and `label` of each picture, and `classes`.
    """

    before: dict[str, Any] | None
    after: dict[str, Any]
    sprite: Image.Image


def write_maps(
    run: Path,
    encoder: Encoder,
    dataset: Dataset,
    items: Int64s,
    *,
    task: str,
    split: str,
    seed: int,
    device: torch.device,
    labels: bool = False,
) -> None:
    """Lay up to 600 of the pictures `items` out on a plane, by the features h of `encoder`.

    Writes `panels/map.json` (places, names), `panels/map.png` (a sprite of thumbnails) and
    `panels/map-before.json`, the same pictures as the encoder saw them before it was trained:
    freshly initialised from `seed`, its BatchNorm statistics estimated on these pictures. `random`
    was never trained, so it has no map of before. What was there is replaced.

    labels: whether the pictures may be told by their class; for evaluations alone.
    """
    items = items[np.argsort(dataset.hashes[items], kind="stable")][:PICTURES]
    if not len(items):
        return
    fresh = None
    if task != "random":
        fresh = build_encoder(encoder.spec, seed).to(device)
        recalibrate_batchnorm(fresh, dataset, items)
    drawn = draw_maps(
        encoder, fresh, dataset, items, task=task, split=split, device=device, labels=labels
    )
    folder = run / PANELS
    folder.mkdir(exist_ok=True)
    if drawn.before is not None:
        _write(folder / f"{MAP_BEFORE}.json", json.dumps(drawn.before).encode())
    _write(folder / f"{MAP}.png", png_of(drawn.sprite))
    _write(folder / f"{MAP}.json", json.dumps(drawn.after).encode())


def draw_maps(
    encoder: Encoder,
    fresh: Encoder | None,
    dataset: Dataset,
    items: Int64s,
    *,
    task: str,
    split: str,
    device: torch.device,
    labels: bool = False,
) -> Drawn:
    """Maps of all the pictures `items`. fresh: the encoder as it was before training."""
    known = dataset.labels[items].tolist() if labels else [-1] * len(items)
    cell_px = SMALL_PX if encoder.spec.size <= SMALL_PX else CELL_PX
    told = {
        "kind": "map",
        "task": task,
        "data": dataset.name,
        "split": split,
        "sprite": f"{MAP}.png",
        "cell_px": cell_px,
        "per_row": PER_ROW,
        "classes": list(dataset.classes) if labels else [],
        "label": [label if label >= 0 else None for label in known],
        "name": [dataset.path(int(item)) for item in items],
    }
    before = None
    if fresh is not None:
        before = {"when": "before training", **_places(fresh, dataset, items, device), **told}
    when = "untrained" if fresh is None else "after training"
    after = {"when": when, **_places(encoder, dataset, items, device), **told}
    return Drawn(before, after, _sprite(dataset, items, cell_px))


def png_of(image: Image.Image) -> bytes:
    """The picture as a PNG file."""
    file = io.BytesIO()
    image.save(file, format="PNG", optimize=True)
    return file.getvalue()


def _places(
    encoder: Encoder, dataset: Dataset, items: Int64s, device: torch.device
) -> dict[str, Any]:
    features = extract(encoder, dataset, items, device=device, stages=False)
    layout = lay_out(features.last)
    places = layout.places.round(4)
    return {"method": layout.method, "x": places[:, 0].tolist(), "y": places[:, 1].tolist()}


def _sprite(dataset: Dataset, items: Int64s, cell_px: int) -> Image.Image:
    rows = -(-len(items) // PER_ROW)
    sprite = np.full((rows * cell_px, PER_ROW * cell_px, 3), 255, np.uint8)
    for i, picture in enumerate(to_uint8(centre_view(dataset.pictures.get(items), cell_px))):
        top, left = i // PER_ROW * cell_px, i % PER_ROW * cell_px
        sprite[top : top + cell_px, left : left + cell_px] = picture
    return Image.fromarray(sprite)


def _write(path: Path, content: bytes) -> None:
    part = path.with_name(path.name + ".part")
    part.write_bytes(content)
    part.replace(path)

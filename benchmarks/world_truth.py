"""How good are the labels that programmes make? The rendered world knows the answer.

`python benchmarks/world_truth.py OUT [--clips 40] [--size 64] [--samples 16] [--json]` renders
clips into OUT, unless they are there, and asks the tasks themselves for their pseudo-labels of
whole frames. Every number stands beside a trivial answer's on the same pixels; means over frames.
"""

from __future__ import annotations

import json
import math
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

from common import Row, parser_of
from hotstart import api
from hotstart.config import PretrainSettings
from hotstart.data import Dataset, open_dataset
from hotstart.data.draws import Draws
from hotstart.data.sample import TRUTHS
from hotstart.pretext.free_labels.mask_task import BOXES, centre_box, intersection_over_union
from hotstart.pretext.task import Batch, Views
from hotstart.training.train import Material, build_task

FRAMES, HZ = 9, 8
PLACES = (0.0, 0.3, 0.6, 1.0)
"""Where in each clip a frame is taken."""
WHOLE = {
    "crop_scale": (1.0, 1.0),
    "crop_ratio": (1.0, 1.0),
    "flip": 0.0,
    "jitter": 0.0,
    "grey": 0.0,
}
STILL_METRES, STILL_TURN = 1e-3, 5e-3
"""A thing that moves and turns (largest change of its rotation's entries) by less is at rest."""
KEYS = ("image", "flow", *TRUTHS)


class Frames:
    """Frames of rendered clips: batches of one place in all clips, and what moves in each."""

    def __init__(self, folder: Path, size: int) -> None:
        self.folder, self.size = folder, size
        self.dataset: Dataset = open_dataset(str(folder), size=size)
        self.items = np.arange(len(self.dataset), dtype=np.int64)

    def __iter__(self) -> Iterator[tuple[Batch, Tensor]]:
        """Each batch, and bool (B, 1, H, W): pixels of things that move until the next frame."""
        for place in PLACES:
            batch = self.dataset.batch(self.items, KEYS, torch.full((len(self.items),), place))
            frames = (batch["flow"].times[:, 0] * HZ).round().long().tolist()
            rows = zip(self.items.tolist(), frames, batch["instances"], strict=True)
            yield batch, torch.stack([self._moving(*row) for row in rows])

    def _moving(self, item: int, frame: int, instances: Tensor) -> Tensor:
        label = self.folder / "labels" / f"{self.dataset.path(item)}.json"
        here, there = json.loads(label.read_text(encoding="utf-8"))["frames"][frame : frame + 2]
        moved = [
            number
            for number, (a, b) in enumerate(zip(here["things"], there["things"], strict=True), 1)
            if math.dist(a["position_metres"], b["position_metres"]) > STILL_METRES
            or np.abs(np.subtract(a["rotation"], b["rotation"])).max() > STILL_TURN
        ]
        return torch.isin(instances, torch.tensor(moved, dtype=instances.dtype))

    def labels(self, task: str) -> Callable[[Batch], Views]:
        """What `task` itself would be trained on, of whole frames in their own colours."""
        settings = PretrainSettings(
            data=str(self.folder),
            task=task,
            encoder="resnet10_narrow",
            size=self.size,
            stem="small",
            batch_size=len(self.items),
            steps=1,
            task_settings={task: {"view": WHOLE}},
        )
        made = build_task(settings, Material(self.dataset, self.items, self.items[:0]), 1)
        return partial(made.views, rng=Draws(0, 0, total=len(self.items)))


def masks(frames: Frames, task: str, moving: bool) -> Iterator[Row]:
    """IoU of foreground with the pixels of things (that move), beside the best centred square."""
    labels, own, boxes, count, wanted = frames.labels(task), 0.0, torch.zeros(BOXES), 0, 0
    for batch, moved in frames:
        found, truth = labels(batch), moved if moving else batch["instances"] > 0
        asked = found.get("asked", torch.ones_like(truth))
        judged = asked.flatten(1).any(1) & truth.flatten(1).any(1)
        share = partial(_share, truth=truth, asked=asked, judged=judged)
        own += share(found["pseudo_label"])
        for i in range(BOXES):
            boxes[i] += share(centre_box(frames.size, (i + 1) / BOXES).expand_as(truth))
        count, wanted = count + int(judged.sum()), wanted + int(truth.flatten(1).any(1).sum())
    what = "things that move" if moving else "things"
    yield _row(
        task, f"IoU with {what}", own / count, float(boxes.max()) / count, "centre box", count
    )
    yield _row(task, "frames with such things that it asks about", count / wanted, None, "", wanted)


def _share(said: Tensor, truth: Tensor, asked: Tensor, judged: Tensor) -> float:
    return float(intersection_over_union(said & asked, truth & asked)[judged].sum())


def contours(frames: Frames) -> Iterator[Row]:
    """F-measure with the outlines of things and background, exactly and within a pixel."""
    labels, pixels = frames.labels("contours"), frames.size**2
    for reach, told in ((0, "F, pixel by pixel"), (1, "F, within one pixel")):
        own = trivial = rows = 0.0
        for batch, _ in frames:
            found, truth = labels(batch)["pseudo_label"], batch["contours"]
            own += float(f_measure(found, truth, reach).sum())
            trivial += float(f_measure(torch.ones_like(truth), truth, reach).sum())
            rows += len(truth)
        yield _row("contours", told, own / rows, trivial / rows, "all is edge", int(rows))
    shares = [(labels(b)["pseudo_label"].sum(), b["contours"].sum(), len(m)) for b, m in frames]
    said, true, rows = (float(sum(column)) for column in zip(*shares, strict=True))
    told = "pixels that it calls edge (trivial: those that are)"
    yield _row("contours", told, said / rows / pixels, true / rows / pixels, "the truth", int(rows))


def f_measure(said: Tensor, truth: Tensor, reach: int) -> Tensor:
    """2 P R / (P + R) of bool masks (B, 1, H, W), where `reach` px beside is right too: (B,)."""
    precision = (said & _grown(truth, reach)).sum((1, 2, 3)) / said.sum((1, 2, 3)).clamp_min(1)
    recall = (truth & _grown(said, reach)).sum((1, 2, 3)) / truth.sum((1, 2, 3)).clamp_min(1)
    return 2 * precision * recall / (precision + recall).clamp_min(1e-9)


def _grown(mask: Tensor, reach: int) -> Tensor:
    return F.max_pool2d(mask.float(), 2 * reach + 1, 1, reach) > 0.5


def depth_order(frames: Frames) -> Iterator[Row]:
    """Share of the pairs asked about whose order is right, beside "lower is nearer"."""
    labels, own, lower, count, rows = frames.labels("relative_depth"), 0.0, 0.0, 0, 0
    for batch, _ in frames:
        found = labels(batch)
        pairs, side = found["pairs"], max(frames.size // 4, 1)
        depth = F.interpolate(batch["depth"], size=(side, side), mode="nearest-exact").flatten(1)
        first, second = (depth.gather(1, pairs[..., k]) for k in (0, 1))
        asked = found["asked"] & (first != second)
        judged, each = asked.any(1), asked.sum(1).clamp_min(1)
        for name, said in (
            ("own", found["pseudo_label"]),
            ("lower", pairs[..., 0] // side > pairs[..., 1] // side),
        ):
            right = float((((said == (first < second)) & asked).sum(1) / each)[judged].sum())
            own, lower = (own + right, lower) if name == "own" else (own, lower + right)
        count, rows = count + int(judged.sum()), rows + len(judged)
    yield _row(
        "relative_depth", "pairs in order", own / count, lower / count, "lower is nearer", count
    )
    yield _row("relative_depth", "frames that it asks about", count / rows, None, "", rows)


def flow(frames: Frames) -> Iterator[Row]:
    """End-point error of DIS, as tasks get it, in px of the frame, beside no motion at all."""
    parts = ("all", "seen in both frames", "said to be known", "hidden in the next frame")
    sums = {part: np.zeros(3) for part in parts}
    for batch, _ in frames:
        flows, size = batch["flow"], frames.size
        height, width = int(flows.heights[0]), int(flows.widths[0])
        shape = (len(flows), height, width)
        said = flows.vectors.float().view(*shape, 2).permute(0, 3, 1, 2) * size
        known = flows.known.view(shape)
        # An exact flow of a place that comes behind the camera has no bounds.
        exact = F.adaptive_avg_pool2d(batch["exact_flow"].clamp(-size, size), (height, width))
        hidden = F.adaptive_avg_pool2d(batch["occlusion"].float(), (height, width))[:, 0] > 0.5
        error, length = (said - exact).norm(dim=1), exact.norm(dim=1)
        for part, there in zip(parts, (known | True, ~hidden, known, hidden), strict=True):
            sums[part] += [float(error[there].sum()), float(length[there].sum()), int(there.sum())]
    for part, (error, length, places) in sums.items():
        yield _row(
            "DIS flow",
            f"end-point error in px: {part}",
            error / places,
            length / places,
            "no motion",
            int(places),
        )


def _row(label: str, metric: str, value: float, trivial: float | None, of: str, n: int) -> Row:
    shown = None if trivial is None else round(trivial, 3)
    return {
        "label": label,
        "metric": metric,
        "value": round(value, 3),
        "trivial": shown,
        "trivial_is": of,
        "n": n,
    }


def measure(folder: Path, size: int) -> list[Row]:
    """All rows of the table."""
    frames = Frames(folder, size)
    return [
        *masks(frames, "moving_objects", moving=True),
        *masks(frames, "saliency", moving=False),
        *contours(frames),
        *depth_order(frames),
        *flow(frames),
    ]


def main() -> None:
    parser = parser_of(__doc__)
    parser.add_argument("out", type=Path)
    parser.add_argument("--clips", type=int, default=40)
    parser.add_argument("--size", type=int, default=64)
    parser.add_argument("--samples", type=int, default=16)
    asked: Any = parser.parse_args()
    world = f"world:videos?n={asked.clips}&frames={FRAMES}&hz={HZ}&size={asked.size}&seed=8"
    world += f"&samples={asked.samples}"
    rows = measure(api.render(world, asked.out), asked.size)
    if asked.json:
        print(json.dumps(rows, indent=1))
        return
    print(f"{world}; OpenCV {cv2.__version__}")
    print("| label | measured | value | trivial answer | of |\n|---|---|---|---|---|")
    for row in rows:
        trivial = "" if row["trivial"] is None else f"{row['trivial']:.3f} ({row['trivial_is']})"
        print(f"| {row['label']} | {row['metric']} | {row['value']:.3f} | {trivial} | {row['n']} |")


if __name__ == "__main__":
    main()

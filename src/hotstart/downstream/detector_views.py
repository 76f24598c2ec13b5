"""What a detector is shown in training: random views with their boxes, or kept maps of some."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from hotstart.augment import ViewSettings, apply_view, draw_view
from hotstart.augment.boxes import boxes_in_view
from hotstart.data.boxes import Boxes
from hotstart.data.draws import Draws
from hotstart.data.sample import Pictures
from hotstart.downstream.detector import Maps, Pyramid, Target, stages_read
from hotstart.encoders.encoder import Encoder

Int64s = npt.NDArray[np.int64]
LEAST_SEEN = 0.3
"""A box of which less is left in a crop is not asked for there."""
MOST_BYTES = 2**30
"""Of maps that are kept."""


def training_view(
    pictures: Pictures, boxes: Boxes, views: ViewSettings, side: int, rng: Draws
) -> tuple[Tensor, list[Target]]:
    """Random views (B, 3, side, side) and the boxes of each: `boxes` px (n, 4), `labels` (n,)."""
    parameters = draw_view(views, pictures, side, rng)
    images = apply_view(pictures, parameters, side)
    rows = len(pictures)
    owners = torch.from_numpy(np.repeat(np.arange(rows), np.diff(boxes.starts)))
    corners, seen = boxes_in_view(torch.from_numpy(boxes.corners), owners, pictures, parameters)
    corners = corners * side
    large = (corners[:, 2:] - corners[:, :2]).amin(1) >= 1
    kept = (seen >= LEAST_SEEN) & large & ~torch.from_numpy(boxes.ignored)
    labels = torch.from_numpy(boxes.classes)
    device = images.device
    return images, [
        {"boxes": corners[own].to(device), "labels": labels[own].to(device)}
        for own in (kept & (owners == row) for row in range(rows))
    ]


@dataclass(frozen=True)
class _View:
    """One view of one picture, as a frozen encoder sees it.

    maps: float16 (H, W, C) of each stage that is read, every channel divided by its largest value
    scales: float32 (C,), these values; so neither large nor small features leave float16's range
    """

    maps: dict[int, Tensor]
    scales: dict[int, Tensor]
    target: Target


class KeptMaps:
    """A frozen encoder's maps of a stock of views, each computed when it is first shown.

    In turn t (pass over the pictures) a picture is shown in its view t % `count`. A view is drawn
    from `seed`, its number and the position of the picture in the data alone: all trainings that
    share this object are shown the same ones, whatever pictures they leave out. Maps are kept in
    main memory, as float16.
    """

    def __init__(self, views: ViewSettings, side: int, count: int, seed: int) -> None:
        self.views = views
        self.side = side
        self.count = count
        self.seed = seed
        self.kept: dict[tuple[int, int], _View] = {}

    @classmethod
    def for_pictures(
        cls,
        pictures: int,
        encoder: Encoder,
        views: ViewSettings,
        side: int,
        count: int,
        seed: int,
    ) -> KeptMaps | None:
        """`count` views of each of the pictures, or as many as `MOST_BYTES` hold; None if none."""
        fitting = MOST_BYTES // (pictures * bytes_of_maps(encoder, side))
        return cls(views, side, min(count, fitting), seed) if fitting else None

    def maps(
        self, pyramid: Pyramid, pictures: Pictures, boxes: Boxes, items: Int64s, turns: Int64s
    ) -> tuple[Maps, list[Target]]:
        """The maps that `pyramid` reads of each picture's view, (B, C, H, W), and its boxes.

        items, turns: (B,), the position of each picture in the data, and the pass in which it is
        """
        shown = []
        for row, (item, turn) in enumerate(zip(items.tolist(), turns.tolist(), strict=True)):
            key = item, turn % self.count
            if key not in self.kept:
                self.kept[key] = self._see(
                    pyramid, pictures.select([row]), boxes.of(np.array([row])), *key
                )
            shown.append(self.kept[key])
        found = {}
        for stage in pyramid.sources:
            maps = torch.stack([one.maps[stage] for one in shown]).to(pictures.device)
            scales = torch.stack([one.scales[stage] for one in shown]).to(pictures.device)
            found[stage] = (maps * scales[:, None, None]).permute(0, 3, 1, 2)
        return found, [one.target for one in shown]

    def _see(
        self, pyramid: Pyramid, picture: Pictures, boxes: Boxes, item: int, view: int
    ) -> _View:
        draws = Draws(self.seed, view, total=1, names=(f"picture {item}",))
        image, (target,) = training_view(picture, boxes, self.views, self.side, draws)
        maps, scales = {}, {}
        for stage, found in pyramid.maps(image).items():
            scale = found.abs().amax((2, 3), keepdim=True).clamp_min(torch.finfo().tiny)
            maps[stage] = (found / scale)[0].permute(1, 2, 0).half().contiguous().cpu()
            scales[stage] = scale.flatten().cpu()
        return _View(maps, scales, target)


def bytes_of_maps(encoder: Encoder, side: int) -> int:
    """Of what is kept for one view of `side` px."""
    return sum(
        encoder.stage_dims[stage] * (2 * (side // encoder.stage_strides[stage]) ** 2 + 4)
        for stage in set(stages_read(encoder))
    )

"""Moving objects: which pixels belong to what would move by itself?"""

from __future__ import annotations

from collections.abc import Mapping
from typing import ClassVar

import torch
from torch import Tensor

from hotstart.augment import apply_flow, flow_colours
from hotstart.augment.settings import plain
from hotstart.augment.views import centre_box
from hotstart.config import Field
from hotstart.data.sample import Spec
from hotstart.pretext.free_labels.barrier import otsu_threshold
from hotstart.pretext.free_labels.dominant_motion import dominant_motion, whole_flow
from hotstart.pretext.free_labels.mask_task import Found, MaskSettings, MaskTask
from hotstart.pretext.panels import with_flow_key
from hotstart.pretext.task import Batch, Draws, Panel, Settings

LARGEST = 0.2
"""Residual motion in shares of the side; what is faster is as fast."""


class MovingObjectsSettings(MaskSettings):
    """Settings of `moving_objects`."""

    least_motion: float = Field(default=0.001, gt=0)
    """Of a frame that is asked about: by how much, in shares of the side in an eighth of a second,
    its objects move beside the rest; below it, flow is noise (docs/tasks/free_labels.md)."""
    least_area: float = Field(default=0.005, ge=0, lt=1)
    """Share of the frame that its objects cover."""
    most_area: float = Field(default=0.5, gt=0, le=1)


class MovingObjects(MaskTask):
    """Find, in a single frame, the pixels that a programme saw move.

    Pathak 2017 (arXiv:1612.06370): what moves together is a thing, and who knows from one picture
    what would move knows things. The programme sees the optical flow from this frame to the next:
    the residual of the affine motion that most of the frame follows (the camera's), with Otsu's
    threshold. Frames in which nothing moves, or too little or much of the area, and pixels whose
    flow is unknown, are not asked about.

    The loss is the binary cross-entropy of every pixel and one less the soft intersection over
    union (Rahman & Wang 2016, doi:10.1007/978-3-319-50835-1_22): few pixels move, and cross-entropy
    alone is content to say that none does.

    Deviations: the paper's programme, uNLC, also votes among superpixels of the whole video; the
    loss has its second term; crops in other colours.
    """

    name: ClassVar[str] = "moving_objects"
    question: ClassVar[str] = "What would move?"
    answer: ClassVar[str] = (
        "What moves otherwise than most of the frame, as a programme finds it in the optical flow "
        "that the network does not see,"
    )
    needs: ClassVar[Mapping[str, Spec]] = {"image": Spec(), "flow": Spec()}
    Settings: ClassVar[type[Settings]] = MovingObjectsSettings
    settings: MovingObjectsSettings

    def find(self, batch: Batch) -> Found:
        """Residual motion of whole frames."""
        vectors, known = whole_flow(batch, self.side)
        residual = (vectors - dominant_motion(vectors, known)).norm(dim=1).clamp(max=LARGEST)
        # Where it is unknown it has no say in the threshold either.
        maps = residual * known
        largest = maps.amax((1, 2)).clamp_min(1e-6)
        thresholds = otsu_threshold(maps / largest[:, None, None]) * largest
        area = (maps > thresholds[:, None, None]).float().mean((1, 2))
        usable = (thresholds >= self.settings.least_motion) & (
            (area >= self.settings.least_area) & (area <= self.settings.most_area)
        )
        return Found(maps, thresholds, (known & usable[:, None, None]).float())

    def losses(self, logits: Tensor, truth: Tensor, asked: Tensor) -> Tensor:
        """A row's loss, ln 2 + 1 - a / (1 + a) for an even answer where a share a moves: (B,)."""
        said, there = logits.sigmoid() * asked, (truth & asked).to(logits)
        both = (said * there).sum((1, 2, 3))
        either = (said + there - said * there).sum((1, 2, 3))
        judged = asked.flatten(1).any(1)
        overlap = torch.where(judged, 1 - both / either.clamp_min(1e-6), 0.0)
        return super().losses(logits, truth, asked) + overlap

    def clues(self, batch: Batch) -> dict[str, Tensor]:
        """The flow, by the colour wheel."""
        box = plain(centre_box(batch["image"]))
        vectors = apply_flow(batch["flow"], batch["image"], box, self.info.size)[0][:, 0]
        length = vectors.norm(dim=1).flatten(1).amax(1).clamp_min(1e-6)
        return {"optical flow": flow_colours(vectors, length)}

    def panels(self, batch: Batch, rng: Draws, *, answers: bool = True) -> list[Panel]:
        """With the key to the colours of the flow."""
        return [with_flow_key(panel) for panel in super().panels(batch, rng, answers=answers)]

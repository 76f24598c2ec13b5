"""What `rendered` may be asked beside depth, normals and contours: which thing, and where to."""

from __future__ import annotations

from abc import ABC, abstractmethod
from typing import ClassVar

import torch
import torch.nn.functional as F
from torch import Tensor

from hotstart.augment import flow_colours
from hotstart.augment.settings import ViewParameters
from hotstart.data.sample import Pictures
from hotstart.pretext.free_labels.geometry_maps import masked_mean, moved
from hotstart.pretext.free_labels.mask_task import BOXES, centre_box, intersection_over_union
from hotstart.pretext.task import Score, Views

FARTHEST = 1.0
"""Sides of the view: a longer flow (of what comes to the camera's plane it has no bounds) counts
as this long."""


class Asked(ABC):
    """One more map. key: of the batch; channels: C, of the answer; shown: what a panel calls it."""

    key: ClassVar[str]
    channels: ClassVar[int]
    shown: ClassVar[str]

    @abstractmethod
    def truth(self, known: Tensor, pictures: Pictures, drawn: ViewParameters, size: int) -> Views:
        """What is known of views: `known` (B, ., h, w) is the batch's, of whole pictures."""

    @abstractmethod
    def loss(self, said: Tensor, views: Views) -> Tensor:
        """Of answers (B, C, S, S)."""

    @abstractmethod
    def add(self, said: Tensor, views: Views, mean: Views) -> None:
        """Count the errors of answers; mean: of `truth` over all pictures, (1, ., S, S) each."""

    @abstractmethod
    def scores(self, rows: int) -> list[Score]:
        """From all that was added since it was made."""

    @abstractmethod
    def picture(self, said: Tensor) -> Tensor:
        """Answers as pictures (B, 3, S, S) in 0..1."""

    @abstractmethod
    def true_picture(self, views: Views) -> Tensor:
        """The truth in the same form."""


class VectorErrors:
    """End-point errors of vectors, in sides of the view: said, none at all, the mean's."""

    def __init__(self) -> None:
        self.own = self.none = self.usual = self.places = 0.0

    def add(self, said: Tensor, truth: Tensor, mean: Tensor, known: Tensor) -> None:
        """Vectors (B, 2, S, S) at places that are known, bool (B, 1, S, S)."""
        there = known[:, 0]
        self.own += float((said - truth).norm(dim=1)[there].sum())
        self.none += float(truth.norm(dim=1)[there].sum())
        self.usual += float((mean - truth).norm(dim=1)[there].sum())
        self.places += float(there.sum())

    def score(self, metric: str, size: int, rows: int) -> Score:
        """In pixels of the view, beside the better of no vector and the mean at each place."""
        pixels = size / max(self.places, 1)
        trivial = min(self.none, self.usual)
        return Score(metric, self.own * pixels, trivial * pixels, rows)


class Things(Asked):
    """Instance masks: which pixels are of a thing, and where the middle of that thing is.

    Pixels of one thing point to one place, which tells things apart whatever their number, as in
    Kendall 2018 (arXiv:1705.07115), section 4: L1 of the way to the middle of what is seen of the
    thing, in sides of the view, on things; and binary cross-entropy of being one.
    """

    key: ClassVar[str] = "instances"
    channels: ClassVar[int] = 3
    shown: ClassVar[str] = "things"

    def __init__(self) -> None:
        self.errors, self.overlap, self.judged = VectorErrors(), 0.0, 0
        self.boxes, self.size = torch.zeros(BOXES), 1

    def truth(self, known: Tensor, pictures: Pictures, drawn: ViewParameters, size: int) -> Views:
        """things: bool (B, 1, S, S); centres: (B, 2, S, S), from each place, 0 beside things."""
        which = moved(known.float(), pictures, drawn, size).long()
        return {"things": which > 0, "centres": to_the_middle(which[:, 0])}

    def loss(self, said: Tensor, views: Views) -> Tensor:
        """At first ln 2 and the mean of |x| + |y| for an answer that says nothing."""
        truth = views["things"]
        found = F.binary_cross_entropy_with_logits(said[:, :1], truth.to(said))
        away = (said[:, 1:] - views["centres"]).abs().sum(1, keepdim=True)
        return found + masked_mean(away, truth)

    def add(self, said: Tensor, views: Views, mean: Views) -> None:
        truth, self.size = views["things"].cpu(), said.shape[-1]
        there = truth.flatten(1).any(1)
        self.overlap += float(intersection_over_union(said[:, :1].cpu() > 0, truth)[there].sum())
        for i in range(BOXES):
            box = centre_box(self.size, (i + 1) / BOXES).expand_as(truth)
            self.boxes[i] += intersection_over_union(box, truth)[there].sum()
        self.judged += int(there.sum())
        self.errors.add(said[:, 1:], views["centres"], mean["centres"], views["things"])

    def scores(self, rows: int) -> list[Score]:
        """`things_iou` beside the best centred square; `centres_px`."""
        count = max(self.judged, 1)
        overlap = Score("things_iou", self.overlap / count, float(self.boxes.max()) / count, rows)
        return [overlap, self.errors.score("centres_px", self.size, rows)]

    def picture(self, said: Tensor) -> Tensor:
        return said[:, :1].sigmoid() * directions(said[:, 1:])

    def true_picture(self, views: Views) -> Tensor:
        return views["things"] * directions(views["centres"])


class ExactFlow(Asked):
    """The flow to the next frame, from this frame alone: L1, in sides of the view.

    Which way a camera turns cannot be seen in one frame: the best answer is a middle one.
    """

    key: ClassVar[str] = "exact_flow"
    channels: ClassVar[int] = 2
    shown: ClassVar[str] = "flow"

    def __init__(self) -> None:
        self.errors, self.size = VectorErrors(), 1

    def truth(self, known: Tensor, pictures: Pictures, drawn: ViewParameters, size: int) -> Views:
        """vectors: (B, 2, S, S), right and down, in sides of the view."""
        height, width = known.shape[-2:]
        shares = known / known.new_tensor([width, height])[:, None, None]
        extent = torch.stack([pictures.widths, pictures.heights], 1).cpu() / drawn.box[:, 2:].cpu()
        sign = torch.where(drawn.flip.cpu()[:, None], torch.tensor([-1.0, 1.0]), torch.ones(2))
        scale = (extent * sign).to(known)[:, :, None, None]
        vectors = moved(shares, pictures, drawn, size) * scale
        return {"vectors": vectors.clamp(-FARTHEST, FARTHEST)}

    def loss(self, said: Tensor, views: Views) -> Tensor:
        return (said - views["vectors"]).abs().sum(1).mean()

    def add(self, said: Tensor, views: Views, mean: Views) -> None:
        truth, self.size = views["vectors"], said.shape[-1]
        everywhere = torch.ones_like(truth[:, :1], dtype=torch.bool)
        self.errors.add(said, truth, mean["vectors"], everywhere)

    def scores(self, rows: int) -> list[Score]:
        """`flow_px`."""
        return [self.errors.score("flow_px", self.size, rows)]

    def picture(self, said: Tensor) -> Tensor:
        return directions(said)

    def true_picture(self, views: Views) -> Tensor:
        return directions(views["vectors"])


ASKED: dict[str, type[Asked]] = {"instances": Things, "flow": ExactFlow}


def to_the_middle(which: Tensor) -> Tensor:
    """Which thing, int64 (B, S, S), 0 none -> the way to its middle, (B, 2, S, S), in sides."""
    size = which.shape[-1]
    along = (torch.arange(size, device=which.device) + 0.5) / size
    places = torch.stack(torch.meshgrid(along, along, indexing="xy"))
    ways = torch.zeros(len(which), 2, size, size, device=which.device)
    for number in range(1, int(which.max()) + 1):
        mask = (which == number)[:, None]
        middle = (places * mask).sum((2, 3)) / mask.sum((2, 3)).clamp_min(1)
        ways = torch.where(mask, middle[:, :, None, None] - places, ways)
    return ways


def directions(vectors: Tensor) -> Tensor:
    """Vectors (B, 2, S, S) by the colour wheel, (B, 3, S, S): white is none."""
    longest = vectors.norm(dim=1).flatten(1).amax(1).clamp_min(1e-6)
    return flow_colours(vectors, longest)

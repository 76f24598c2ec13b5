"""Triplet: nearer to its own kind than to any other picture."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from typing import ClassVar, Literal

import torch
from torch import Tensor

from hotstart.config import Field
from hotstart.data.sample import Spec
from hotstart.encoders import Encoder, mlp
from hotstart.errors import UsageError
from hotstart.pretext.clustering import kmeans, pairwise_order, whitened, whitening
from hotstart.pretext.distributed import first_decides, rank
from hotstart.pretext.spread import PROJECTION_STD, dimension_std
from hotstart.pretext.task import (
    Batch,
    Draws,
    Epoch,
    Info,
    OptimiserSettings,
    Progress,
    Score,
    Settings,
    Step,
    Views,
)
from hotstart.pretext.triplets import mates, triplet_loss
from hotstart.pretext.two_views import TwoViewSettings, TwoViewTask, positive_first

COMPONENTS = 64
"""Principal components of h that are clustered, as in `deep_cluster`."""


class TripletSettings(TwoViewSettings):
    """Settings of `triplet`."""

    positives: Literal["view", "group", "cluster"] = "view"
    """What is to be near an anchor: the other view of the picture; another picture of its group
    (`--group`: the same person, the same film); another one of its cluster of the network's own
    features, found anew each epoch."""
    negatives: Literal["semi_hard", "hardest"] = "semi_hard"
    """`hardest`, the nearest of all, may collapse, and is there to see it."""
    margin: float = Field(default=0.2, ge=0)
    """By how much the negative is to be farther, in squared distances of unit vectors, 0..4."""
    clusters: int | None = Field(default=None, ge=2)
    """For `positives=cluster`. None: the square root of the number of pictures."""
    hidden: int = Field(default=512, ge=1)
    """Width of the projector's hidden layer; the paper has none."""
    projection: int = Field(default=128, ge=1)
    """Length of z."""


class Triplet(TwoViewTask):
    """Bring an anchor nearer to its positive than to a semi-hard negative, by a margin.

    Schroff 2015 (FaceNet, arXiv:1503.03832), eq. 3 and 4, whose positives are other photographs of
    a person; here, without labels, another view of the picture (as Wang & Gupta 2015,
    arXiv:1505.00687, take another frame of a tracked patch), or another picture of its group or
    cluster. A picture whose group has no other one in the batch keeps its own second view;
    `mates` tells how many have one. With clusters, two of each are loaded side by side.

    Deviations: one positive of the batch for each anchor in place of all; AdamW; a projector that
    is dropped, as in SimCLR.
    """

    name: ClassVar[str] = "triplet"
    needs: ClassVar[Mapping[str, Spec]] = {"image": Spec(), "index": Spec(), "group": Spec()}
    Settings: ClassVar[type[Settings]] = TripletSettings
    optimiser: ClassVar[OptimiserSettings] = OptimiserSettings(
        name="adamw", learning_rate=1.5e-3, weight_decay=1e-4
    )
    batch_size: ClassVar[int] = 128
    settings: TripletSettings
    assignments: Tensor

    def __init__(self, encoder: Encoder, settings: TripletSettings, info: Info) -> None:
        super().__init__(encoder, settings, info)
        self.projector = mlp((encoder.dim, settings.hidden, settings.projection))
        self.clusters = settings.clusters or max(round(info.items**0.5), 2)
        if settings.positives == "cluster" and self.clusters > info.items:
            raise UsageError(
                f"triplet.clusters is {self.clusters}, and there are {info.items} pictures: "
                "a cluster needs one at least"
            )
        # By position in the pretraining set; used, and kept with the weights, for clusters alone.
        count = info.items if settings.positives == "cluster" else 0
        self.register_buffer("assignments", torch.arange(count))

    def before_epoch(self, features: Callable[[], Tensor], rng: Draws) -> Epoch:
        """With `positives=cluster`: cluster anew, and load pictures of one cluster in pairs."""
        if self.settings.positives != "cluster":
            return Epoch()
        h = features()
        points = whitened(h, *whitening(h, min(COMPONENTS, self.encoder.dim)))
        found = kmeans(points, self.clusters, rng.named("clusters").generator)[1]
        first_decides(self.assignments.copy_(found))
        assignments = self.assignments.cpu().numpy()
        return Epoch(order=pairwise_order(assignments, rng.named("order").generator))

    def views(self, batch: Batch, rng: Draws) -> Views:
        """`first` and `second`, (B, 3, S, S) each; `group` (B,) where pictures have company."""
        views = super().views(batch, rng)
        if self.settings.positives == "group" and "group" in batch:
            views["group"] = batch["group"]
        elif self.settings.positives == "cluster" and "index" in batch:
            views["group"] = self.assignments[batch["index"].to(self.assignments.device)]
        return views

    def forward(self, views: Views, progress: Progress, player: str) -> Step:
        """The triplet loss; near the margin at random, 0 at best."""
        z1, z2 = self.project(views).chunk(2)
        group = views.get("group")
        hardest = self.settings.negatives == "hardest"
        loss = triplet_loss(z1, z2, self.settings.margin, group, hardest=hardest)
        metrics = {"positive_first": positive_first(z1, z2), PROJECTION_STD: dimension_std(z1)}
        if group is not None:
            own = torch.arange(len(group), device=group.device) + rank() * len(group)
            metrics["mates"] = (mates(group) != own).float().mean()
        return Step(loss, metrics)

    def score(self, batches: Iterable[Batch], rng: Draws) -> Score:
        """Whether two views of a held-out picture find each other, whatever the positives were."""
        return super().score(({"image": batch["image"]} for batch in batches), rng)

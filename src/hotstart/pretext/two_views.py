"""What all tasks share that see two views of each picture, with negatives or without."""

from __future__ import annotations

from typing import ClassVar

import torch
from torch import Tensor, nn

from hotstart.augment import ViewSettings, random_view
from hotstart.pretext.losses import pair_similarities
from hotstart.pretext.panels import neighbour_panel, pair_panel
from hotstart.pretext.task import Batch, Draws, Panel, PretextTask, Settings, Views


class TwoViewSettings(Settings):
    """Settings of all tasks with two views."""

    view: ViewSettings = ViewSettings(crop_scale=(0.2, 1.0), strength=0.5, blur=0.0)
    """SimCLR's for CIFAR-10 (arXiv:2002.05709, appendix B.9), but crops of at least a fifth; at
    96 px and more blur=0.5, strength=1."""


class TwoViewTask(PretextTask):
    """Two views of each picture, of which the network must find that they belong together."""

    name: ClassVar[str]
    """As registered; panels are named after it."""
    metric: ClassVar[str] = "positive_first"
    settings: TwoViewSettings
    projector: nn.Module
    """Features h (B, D) -> projections z, which are compared."""

    def trivial(self, rows: int) -> float:
        """Chance that the positive is ranked first among the other 2B - 1 views."""
        return 1 / (2 * rows - 1)

    def views(self, batch: Batch, rng: Draws) -> Views:
        """`first` and `second`, (B, 3, S, S) each: two independent views of the same pictures."""
        return {
            name: random_view(batch["image"], self.settings.view, self.info.size, rng.named(name))
            for name in ("first", "second")
        }

    def project(self, views: Views) -> Tensor:
        """Z (2B, D) of the first views, then of the second, in single precision at least."""
        both = torch.cat([views["first"], views["second"]])
        return at_least_float(self.projector(self.encoder(both)))

    @torch.no_grad()
    def panels(self, batch: Batch, rng: Draws, *, answers: bool = True) -> list[Panel]:
        """Pairs of views; and what the encoder finds alike among held-out pictures."""
        views = [pair_panel(self.name, self.views, batch, self.info.size, rng)]
        return views + ([neighbour_panel(self.name, self.encoder, batch)] if answers else [])


def at_least_float(vectors: Tensor) -> Tensor:
    """Half precision becomes single: cosines and batch statistics need it. Double stays double."""
    return vectors if vectors.dtype == torch.float64 else vectors.float()


@torch.no_grad()
def positive_first(z1: Tensor, z2: Tensor, keys: tuple[Tensor, Tensor] | None = None) -> Tensor:
    """Share of the 2B views whose positive is, of the other 2B - 1, the most alike by cosine.

    z1, z2: (B, D), two views of the same B pictures; those of all processes are ranked. keys: what
    a teacher makes of the two views, where that is what z1 and z2 are to be like.
    """
    similarity, positive = pair_similarities(z1, z2, keys)
    return (similarity.argmax(1) == positive).float().mean()

"""What all tasks share that see two views of each picture, with negatives or without."""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor

from hotstart.augment import ViewSettings, random_view
from hotstart.encoders import Encoder
from hotstart.pretext.losses import pair_similarities
from hotstart.pretext.panels import neighbour_panel, pair_panel
from hotstart.pretext.task import Batch, Draws, Panel, Views

SMALL_PICTURES = ViewSettings(crop_scale=(0.2, 1.0), strength=0.5, blur=0.0)
"""SimCLR's views for CIFAR-10 (arXiv:2002.05709, B.9), but crops of at least a fifth."""


def two_views(batch: Batch, settings: ViewSettings, size: int, rng: Draws) -> Views:
    """`first` and `second`, (B, 3, S, S) each: two independent views of the same pictures."""
    return {
        name: random_view(batch["image"], settings, size, rng.named(name))
        for name in ("first", "second")
    }


@torch.no_grad()
def positive_first(z1: Tensor, z2: Tensor, keys: tuple[Tensor, Tensor] | None = None) -> Tensor:
    """Share of the 2B views whose positive is, of the other 2B - 1, the most alike by cosine.

    z1, z2: (B, D), two views of the same B pictures; those of all processes are ranked. keys: what
    a teacher makes of the two views, where that is what z1 and z2 are to be like.
    """
    similarity, positive = pair_similarities(z1, z2, keys)
    return (similarity.argmax(1) == positive).float().mean()


def positive_first_at_chance(rows: int) -> float:
    """`positive_first` where all of the 2B - 1 other views are as likely to be the first.

    rows: B.
    """
    return 1 / (2 * rows - 1)


def pair_panels(
    task: str,
    encoder: Encoder,
    views: Callable[[Batch, Draws], Views],
    batch: Batch,
    size: int,
    rng: Draws,
    *,
    answers: bool,
) -> list[Panel]:
    """Pairs of views; and with `answers` what the encoder finds alike among the pictures."""
    shown = [pair_panel(task, views, batch, size, rng)]
    return shown + ([neighbour_panel(task, encoder, batch)] if answers else [])

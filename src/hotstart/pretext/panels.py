"""Panels that several tasks show."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace

import torch
import torch.nn.functional as F
from torch import Tensor

from hotstart.augment import centre_view, colour_wheel
from hotstart.encoders import Encoder
from hotstart.pretext.task import Batch, Draws, Panel, Views, to_uint8

SHOWN = 6
NEIGHBOURS = 5
MEMBERS = 8
KEY_PX = 96


@torch.no_grad()
def pair_panel(
    task: str,
    views: Callable[[Batch, Draws], Views],
    batch: Batch,
    size: int,
    rng: Draws,
) -> Panel:
    """A few pictures beside their two views.

    views: gives `first` and `second`, (B, 3, S, S) each.
    """
    count = min(SHOWN, len(batch["image"]))
    shown = batch["image"].select(range(count))
    pair = views({"image": shown}, rng.batch(0, count))
    columns = centre_view(shown, size), pair["first"], pair["second"]
    return Panel(
        f"{task}-views",
        "Two views of one picture",
        "What the network must recognise as the same picture.",
        ("picture", "first view", "second view"),
        list(zip(*map(to_uint8, columns), strict=True)),
        [["", "", ""]] * count,
    )


def with_flow_key(panel: Panel) -> Panel:
    """The same with the colour wheel in a last column, and what it means in the caption."""
    (wheel,) = to_uint8(colour_wheel(KEY_PX)[None])
    return replace(
        panel,
        caption=f"{panel.caption} Hue is direction as in the last column, white is none.",
        columns=(*panel.columns, "key"),
        pictures=[[*row, wheel] for row in panel.pictures],
        texts=[[*row, ""] for row in panel.texts],
    )


@torch.no_grad()
def neighbour_panel(task: str, encoder: Encoder, batch: Batch, when: str = "") -> Panel:
    """A few pictures beside those of the batch that the encoder finds most alike.

    when: what the encoder has been through, for the title ("before training").
    """
    wholes = centre_view(batch["image"], encoder.spec.size)
    h = F.normalize(encoder(wholes).float(), dim=1)
    count = min(SHOWN, len(h))
    similarity = (h @ h.T).fill_diagonal_(-1)
    nearest = similarity[:count].topk(min(NEIGHBOURS, len(h) - 1)).indices
    whole = to_uint8(wholes)
    return Panel(
        "-".join(filter(None, (task, "neighbours", when.replace(" ", "-")))),
        " ".join(filter(None, ("Nearest neighbours", when))),
        f"Pictures and those of {len(h)} that the encoder finds most alike, by cosine similarity "
        "of h; nobody told it what they show.",
        ("picture", *(f"nearest {k + 1}" for k in range(nearest.shape[1]))),
        [[whole[i], *(whole[int(j)] for j in nearest[i])] for i in range(count)],
        [["", *(f"{float(similarity[i, j]):.2f}" for j in nearest[i])] for i in range(count)],
        "neighbours",
    )


def cluster_panel(
    task: str,
    caption: str,
    images: Tensor,
    clusters: Tensor,
    texts: Sequence[str] | None = None,
) -> Panel:
    """One row for each of the largest clusters: the first few of its pictures, not the best ones.

    images: (B, 3, S, S) in 0..1. clusters: int64 (B,), whatever their numbers. texts: one for each
    picture.
    """
    clusters = clusters.cpu()
    numbers, sizes = clusters.unique(return_counts=True)
    largest = sizes.argsort(descending=True, stable=True)[:SHOWN]
    # All rows are as long as the last: a row of one picture alone would show no cluster.
    width = min(max(int(sizes[largest[-1]]), 2), MEMBERS, int(sizes[largest[0]]))
    rows = [
        torch.nonzero(clusters == numbers[k])[:width, 0].tolist()
        for k in largest
        if sizes[k] >= width
    ]
    pictures = to_uint8(images)
    return Panel(
        f"{task}-clusters",
        "Clusters",
        f"{caption} A row holds pictures of one of the {len(rows)} largest clusters among "
        f"{len(images)} pictures that were not trained on.",
        tuple(f"picture {k + 1}" for k in range(width)),
        [[pictures[i] for i in row] for row in rows],
        [["" if texts is None else texts[i] for i in row] for row in rows],
        "clusters",
    )

"""Score and panel of tasks that make pictures, or parts of them, whose truth is known."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping

import torch
from torch import Tensor

from hotstart.pretext.task import Batch, Draws, Panel, Score, batch_rows, to_uint8


@torch.no_grad()
def mean_score(
    metric: str,
    batches: Iterable[Batch],
    rng: Draws,
    measure: Callable[[Batch, Draws], tuple[Tensor, Tensor]],
) -> Score:
    """Means over all pictures of what the network's and the trivial answer are worth.

    measure: of the B pictures of a batch, with its own draws, both answers' values, (B,) each: to
    the same questions, or the two could not be compared.
    """
    value, trivial, rows = 0.0, 0.0, 0
    for i, batch in enumerate(batches):
        count = batch_rows(batch)
        answer, other = measure(batch, rng.batch(i, count))
        value += float(answer.sum())
        trivial += float(other.sum())
        rows += count
    return Score(metric, value / max(rows, 1), trivial / max(rows, 1), rows)


def painted_panel(
    name: str,
    title: str,
    caption: str,
    columns: Mapping[str, Tensor],
    decibels: Mapping[str, Tensor],
) -> Panel:
    """Columns of pictures beside each other, and under some their PSNR.

    columns: (B, 3, S, S) in 0..1 by its heading. decibels: (B,) by the same heading, for answers;
    none before training, when there is no answer to show.
    """
    rows = len(next(iter(columns.values())))
    texts = [
        [f"{float(decibels[column][i]):.1f} dB" if column in decibels else "" for column in columns]
        for i in range(rows)
    ]
    return Panel(
        name,
        title,
        caption,
        list(columns),
        list(zip(*map(to_uint8, columns.values()), strict=True)),
        texts,
        "prediction" if decibels else "views",
    )

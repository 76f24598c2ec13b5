"""Which of two things belong together: wrong partners, retrieval, and how well it went."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence

import numpy as np
import torch
from torch import Tensor

from hotstart.pretext.distributed import gather
from hotstart.pretext.task import Batch, Draws, PretextTask, Score, Step, Views, batch_rows

RANKS = (1, 5, 10)
Embeds = Callable[[Views], tuple[Tensor, Tensor]]
Answers = Callable[[Tensor, Tensor, Views], Step]
Agrees = Callable[[Tensor, Tensor], Tensor]
LOTS = 2**31
"""From how many numbers a lot is drawn."""
AMONG = 100
"""Things that the right one is sought among."""


def strangers(groups: Tensor, lot: Tensor) -> tuple[Tensor, Tensor]:
    """For each row one of another group, drawn evenly: a wrong partner.

    groups: int64 (B,) of this process's rows; lot: int64 (B,), drawn for each.
    Returns int64 (B,), positions among the rows of all processes, and bool (B,), whether there is
    one at all.
    """
    other = groups[:, None] != gather(groups)[None]
    count = other.sum(1)
    number = lot % count.clamp_min(1)
    return (other.cumsum(1) > number[:, None]).long().argmax(1), count > 0


def distinct(groups: Tensor, most: int = AMONG) -> Tensor:
    """Positions int64 (N,) of the first row of each group, at most so many, ascending."""
    first = (groups[:, None] == groups[None]).long().argmax(1)
    own = first == torch.arange(len(groups), device=groups.device)
    return own.nonzero()[:most, 0]


def recalls(agreement: Tensor, ranks: Sequence[int] = RANKS) -> list[float]:
    """Recall@k for each k of `ranks`: the share of questions whose answer is among the first k.

    agreement[i, j], (N, N): how well answer j fits question i, whose own answer is i. Of answers
    that fit as well as the right one each is as likely to stand first, so that who finds all alike
    is at chance, k / N.
    """
    right = agreement.diagonal()[:, None]
    before, alike = (agreement > right).sum(1), (agreement == right).sum(1)
    return [float(((rank - before) / alike).clamp(0, 1).mean()) for rank in ranks]


def each_with_each(agrees: Agrees, first: Tensor, second: Tensor) -> Tensor:
    """(N, P) and (M, P) -> agreement of each with each, (N, M)."""
    shape = len(first), len(second), first.shape[1]
    return agrees(first[:, None].expand(shape), second[None].expand(shape))


@torch.no_grad()
def score_matches(
    task: PretextTask,
    batches: Iterable[Batch],
    rng: Draws,
    *,
    embeds: Embeds,
    answers: Answers,
    agrees: Agrees,
    sought: tuple[str, str],
) -> Score:
    """The share of right answers, and how well each of a pair is found by the other.

    embeds gives both things of each row (B, P); answers, their step with its `accuracy`; agrees,
    how well rows of both fit. sought: names of the second, sought by the first, and of the first.
    Of every batch, up to 100 groups are one retrieval, whose number N may differ from batch to
    batch; recalls, and k / N that is their chance, are the means over all questions.
    """
    right, rows = 0.0, 0
    found: list[list[float]] = []
    counts: list[int] = []
    for i, batch in enumerate(batches):
        count = batch_rows(batch)
        views = task.views(batch, rng.batch(i, count))
        first, second = embeds(views)
        right += float(answers(first, second, views).metrics["accuracy"]) * count
        rows += count
        asked = distinct(views["group"])
        fits = each_with_each(agrees, first[asked], second[asked])
        found.append(recalls(fits) + recalls(fits.T))
        counts.append(len(asked))
    others: list[Score] = []
    if counts:
        questions, among = sum(counts), (min(counts), max(counts))
        measured = [(what, rank) for what in sought for rank in RANKS]
        means = np.average(found, 0, counts).tolist()
        for (what, rank), mean in zip(measured, means, strict=True):
            chance = sum(min(rank, n) for n in counts) / questions
            others.append(Score(f"{what}_recall{rank}", mean, chance, questions, among=among))
    return Score(task.metric, right / max(rows, 1), task.trivial(rows), rows, tuple(others))

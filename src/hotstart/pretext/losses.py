"""Losses as pure functions; each is checked against a naive loop written from its paper."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor

from hotstart.pretext.distributed import each_share, gather, rank


def pair_similarities(
    z1: Tensor, z2: Tensor, keys: tuple[Tensor, Tensor] | None = None
) -> tuple[Tensor, Tensor]:
    """How alike each view is to every view, and which of them shows the same picture.

    z1, z2: (B, D), two views of the same B pictures on each process; M pictures on all of them.
    keys: what another network makes of the same two views, (B, D) each, to compare z1 and z2 with;
    None: z1 and z2 themselves.

    Returns the cosines (2B, 2M) of this process's views with all views, -inf of a view with itself,
    with gradient; and the column of each one's positive, int64 (2B,).
    """
    key1, key2 = (z1, z2) if keys is None else keys
    z1, z2 = F.normalize(z1, dim=1), F.normalize(z2, dim=1)
    rows = len(z1)
    all1, all2 = gather(F.normalize(key1, dim=1)), gather(F.normalize(key2, dim=1))
    similarity = torch.cat([z1, z2]) @ torch.cat([all1, all2]).T
    own = torch.arange(rows, device=z1.device) + rank() * rows
    itself = torch.cat([own, own + len(all1)])
    positive = torch.cat([own + len(all1), own])
    return similarity.scatter(1, itself[:, None], float("-inf")), positive


def nt_xent(z1: Tensor, z2: Tensor, temperature: float) -> Tensor:
    """Normalised temperature-scaled cross-entropy, Chen 2020 (arXiv:2002.05709), eq. 1.

    z1, z2: (B, D) projections of two views of the same B pictures; row i of one is the positive of
    row i of the other, the other 2B - 2 rows are negatives (of all processes' rows, with gradient).
    temperature: > 0.

    Returns the mean over this process's 2B anchors. At random it is near ln(2B - 1).
    """
    similarity, positive = pair_similarities(z1, z2)
    return F.cross_entropy(similarity / temperature, positive)


def regression_loss(prediction: Tensor, target: Tensor) -> Tensor:
    """Squared distance of unit vectors, 2 - 2 cos: Grill 2020 (BYOL, arXiv:2006.07733), eq. 2.

    prediction, target: (B, D), row by row; the target gets no gradient. Returns the mean over rows,
    in 0..4; 2 for directions that have nothing to do with each other.
    """
    return 2 - 2 * F.cosine_similarity(prediction, target.detach(), dim=1).mean()


def negative_cosine(prediction: Tensor, target: Tensor) -> Tensor:
    """- cos(p, z): Chen & He 2021 (SimSiam, arXiv:2011.10566), eq. 1 and 2.

    prediction, target: (B, D), row by row; the target gets no gradient. Returns the mean over rows,
    in -1..1; 0 for directions that have nothing to do with each other.
    """
    return -F.cosine_similarity(prediction, target.detach(), dim=1).mean()


def queue_nce(
    queries: Tensor,
    keys: Tensor,
    queue: Tensor,
    temperature: float,
    excluded: Tensor | None = None,
) -> Tensor:
    """InfoNCE against a queue of earlier keys: He 2020 (MoCo, arXiv:1911.05722), eq. 1.

    queries, keys: (B, D), row by row two views of one picture; keys get no gradient. queue: (K, D),
    of length 1, the negatives. temperature: > 0. excluded: bool (B, K), keys that are no negatives
    of a query, such as those of its own picture; the paper has no such exception.

    Returns the mean over queries; near ln(1 + K) at random.
    """
    queries, keys = F.normalize(queries, dim=1), F.normalize(keys.detach(), dim=1)
    positive = (queries * keys).sum(1, keepdim=True)
    negative = queries @ queue.detach().to(queries.dtype).T
    if excluded is not None:
        negative = negative.masked_fill(excluded, float("-inf"))
    logits = torch.cat([positive, negative], dim=1) / temperature
    return F.cross_entropy(logits, logits.new_zeros(len(logits), dtype=torch.int64))


def across_nce(
    first: Tensor,
    second: Tensor,
    temperature: float,
    groups: Tensor,
    asked: Tensor | None = None,
) -> Tensor:
    """InfoNCE from one modality to the other and back: Morgado 2021 (arXiv:2004.12943), eq. 3.

    first, second: (B, D), row i of one belongs to row i of the other. temperature: > 0. groups:
    int64 (B,), rows of one group are no negatives of each other (of all processes' rows, with
    gradient). asked: bool (B,), False for rows that are negatives alone; None: all are asked.
    Deviation: negatives come from the batch, not from a memory.

    Returns the mean over both directions and this process's rows; near ln B at random.
    """
    one, other = F.normalize(first, dim=1), F.normalize(second, dim=1)
    rows = torch.arange(len(one), device=one.device)
    own = rows + rank() * len(one)
    same = groups[:, None] == gather(groups)[None]
    same[rows, own] = False
    agreements = [a @ gather(b).T / temperature for a, b in ((one, other), (other, one))]
    losses = torch.stack(
        [
            F.cross_entropy(each.masked_fill(same, float("-inf")), own, reduction="none")
            for each in agreements
        ]
    ).mean(0)
    if asked is None:
        return losses.mean()
    weight = asked.to(losses)
    count = each_share(weight.sum())
    return (losses * weight).sum() / torch.where(count > 0, count, 1.0)

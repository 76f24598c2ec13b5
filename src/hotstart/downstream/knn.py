"""Nearest neighbours of features: weighted classification, and retrieval."""

from __future__ import annotations

from collections.abc import Iterator

import torch
import torch.nn.functional as F
from torch import Tensor

NEIGHBOURS = 20
TEMPERATURE = 0.07
SIMILARITIES_AT_ONCE = 1 << 25


def knn_predict(
    train: Tensor,
    labels: Tensor,
    queries: Tensor,
    classes: int,
    *,
    neighbours: int = NEIGHBOURS,
    temperature: float = TEMPERATURE,
) -> Tensor:
    """Predicted class of each query, int64 (Q,).

    train: float (N, D); labels: int64 (N,), 0 .. classes - 1; queries: float (Q, D)

    Each of the `neighbours` training items nearest by cosine votes for its label with weight
    exp(cosine / temperature) (Wu et al. 2018, arXiv:1805.01978, section 3.4; they take k = 200 of
    ImageNet's 1.3 million, we take 20). Fewer labels than neighbours: all of them vote.
    """
    predicted = []
    for similarity, nearest in _nearest(train, queries, neighbours):
        # The nearest neighbour's weight is 1: the vote is the same and no exponent overflows.
        weight = ((similarity - similarity[:, :1]) / temperature).exp()
        votes = weight.new_zeros(len(nearest), classes).scatter_add_(1, labels[nearest], weight)
        predicted.append(votes.argmax(dim=1))
    return torch.cat(predicted)


def retrieve(train: Tensor, queries: Tensor, count: int) -> Tensor:
    """Rows of the `count` training items nearest by cosine to each query, the nearest first.

    train: float (N, D); queries: float (Q, D). Returns int64 (Q, count), or (Q, N) where there are
    fewer.
    """
    return torch.cat([nearest for _, nearest in _nearest(train, queries, count)])


def _nearest(train: Tensor, queries: Tensor, count: int) -> Iterator[tuple[Tensor, Tensor]]:
    """Cosine and row of the nearest, each (q, count), for some of the queries at a time."""
    reference = F.normalize(train, dim=1)
    at_once = max(64, SIMILARITIES_AT_ONCE // len(reference))
    for start in range(0, len(queries), at_once):
        cosine = F.normalize(queries[start : start + at_once], dim=1) @ reference.T
        similarity, nearest = cosine.topk(min(count, len(reference)), dim=1)
        yield similarity, nearest

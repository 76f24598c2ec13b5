"""Weighted k-nearest-neighbour classification of features."""

from __future__ import annotations

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
    reference = F.normalize(train, dim=1)
    k = min(neighbours, len(reference))
    at_once = max(64, SIMILARITIES_AT_ONCE // len(reference))
    predicted = []
    for start in range(0, len(queries), at_once):
        chunk = queries[start : start + at_once]
        cosine = F.normalize(chunk, dim=1) @ reference.T
        similarity, nearest = cosine.topk(k, dim=1)
        # The nearest neighbour's weight is 1: the vote is the same and no exponent overflows.
        weight = ((similarity - similarity[:, :1]) / temperature).exp()
        votes = weight.new_zeros(len(chunk), classes).scatter_add_(1, labels[nearest], weight)
        predicted.append(votes.argmax(dim=1))
    return torch.cat(predicted)

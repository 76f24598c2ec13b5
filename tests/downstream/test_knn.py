"""k-NN against votes counted by hand and by a naive loop."""

from __future__ import annotations

import math

import numpy as np
import torch
from torch import Tensor

from hotstart.downstream.knn import knn_predict


def test_votes_by_hand() -> None:
    # Angles in degrees of unit vectors; the query lies at 0.
    train = torch.tensor([[math.cos(a), math.sin(a)] for a in map(math.radians, (5, 20, 22, 90))])
    labels = torch.tensor([0, 1, 1, 2])
    query = torch.tensor([[3.0, 0.0]])
    # exp(cos 5 / 0.07) = 1.517e6; exp(cos 20 / 0.07) + exp(cos 22 / 0.07) = 6.77e5 + 5.66e5.
    assert knn_predict(train, labels, query, 3, neighbours=3).tolist() == [0]
    # A high temperature counts heads: two of label 1 against one of label 0.
    assert knn_predict(train, labels, query, 3, neighbours=3, temperature=10.0).tolist() == [1]
    assert knn_predict(train, labels, query, 3, neighbours=1).tolist() == [0]


def test_more_neighbours_than_labels() -> None:
    train = torch.tensor([[1.0, 0.0], [0.0, 1.0]])
    labels = torch.tensor([1, 0])
    assert knn_predict(train, labels, torch.tensor([[1.0, 0.2]]), 2, neighbours=20).tolist() == [1]


def naive(
    train: Tensor, labels: Tensor, queries: Tensor, classes: int, k: int, t: float
) -> list[int]:
    """Wu et al. 2018 (arXiv:1805.01978), section 3.4, one query at a time, in float64."""
    bank, bank_labels = train.double().numpy(), labels.numpy()
    answers = []
    for query in queries.double().numpy():
        cosine = bank @ query / np.linalg.norm(bank, axis=1) / np.linalg.norm(query)
        votes = np.zeros(classes)
        for i in np.argsort(-cosine)[:k]:
            votes[bank_labels[i]] += math.exp(cosine[i] / t)
        answers.append(int(votes.argmax()))
    return answers


def test_equals_a_naive_loop_in_chunks() -> None:
    generator = torch.Generator().manual_seed(0)
    train = torch.randn(700, 16, generator=generator)
    labels = torch.randint(0, 5, (700,), generator=generator)
    queries = torch.randn(300, 16, generator=generator)
    expected = naive(train, labels, queries, 5, 20, 0.07)
    assert knn_predict(train, labels, queries, 5).tolist() == expected

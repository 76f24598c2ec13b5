"""The linear probe against scikit-learn's logistic regression."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
import pytest
import torch
from sklearn.linear_model import LogisticRegression
from torch import Tensor

from hotstart.downstream.features import Standardiser
from hotstart.downstream.linear import PENALTIES, fit_linear_probe
from hotstart.downstream.logistic import Axes, Problems, solve
from hotstart.downstream.subsets import inner_folds

CLASSES = 7


def made(count: int, dim: int = 40, seed: int = 0) -> tuple[Tensor, Tensor]:
    """Correlated, rectified features of very unequal scale, as a network's are; labels in them."""
    generator = torch.Generator().manual_seed(1)
    mix = torch.randn(dim, dim, generator=generator) * torch.arange(1, dim + 1).pow(-0.7)[:, None]
    centres = 0.5 * torch.randn(CLASSES, dim, generator=generator)
    generator.manual_seed(seed)
    labels = torch.randint(0, CLASSES, (count,), generator=generator)
    features = torch.randn(count, dim, generator=generator) + centres[labels]
    return torch.relu(features @ mix) * torch.logspace(-3, 3, dim), labels


def folds_of(labels: Tensor) -> list[npt.NDArray[np.int64]]:
    count = len(labels)
    hashes = np.arange(count).astype(np.uint64)
    return inner_folds(labels.numpy(), hashes, np.arange(count), seed=0)


@pytest.mark.parametrize("count", [60, 2_000])
@pytest.mark.parametrize("penalty", [1e-4, 1e-2, 1.0])
def test_solution_is_that_of_scikit_learn(count: int, penalty: float) -> None:
    features, labels = made(count)
    features = Standardiser.fit(features)(features)
    axes = Axes.of(features)
    problems = Problems(
        axes, labels, CLASSES, torch.tensor([penalty]), torch.full((1, count), 1 / count)
    )
    solution = solve(problems, tolerance=1e-6)
    peer = LogisticRegression(C=1 / (penalty * count), tol=1e-8, max_iter=10_000)
    peer.fit(features.double().numpy(), labels.numpy())
    weight = torch.from_numpy(peer.coef_).float() @ axes.rotation
    theirs = torch.cat([weight, torch.from_numpy(peer.intercept_).float()[:, None]], dim=1)
    only = torch.tensor([0])
    value = problems.value_and_gradient(only, solution)[0].item()
    assert value == pytest.approx(
        problems.value_and_gradient(only, theirs[None])[0].item(), rel=1e-4
    )
    # The bias is free up to a constant shared by all classes.
    ours = solution[0].clone()
    ours[:, -1] -= ours[:, -1].mean()
    theirs[:, -1] -= theirs[:, -1].mean()
    torch.testing.assert_close(ours, theirs, rtol=0.02, atol=0.02 * float(theirs.abs().max()))


def test_gradient_is_that_of_autograd() -> None:
    features, labels = made(50, dim=6)
    axes = Axes.of(Standardiser.fit(features)(features))
    weight = torch.rand(3, 50)
    problems = Problems(axes, labels, CLASSES, torch.tensor([0.1, 0.0, 2.0]), weight)
    which = torch.tensor([2, 0])
    at = torch.randn(2, CLASSES, 7, requires_grad=True)
    value, gradient = problems.value_and_gradient(which, at.detach())
    loss = torch.zeros(())
    for p, solution in zip(which.tolist(), at, strict=True):
        log_share = (axes.rotated @ solution.T).log_softmax(dim=1)[torch.arange(50), labels]
        size = solution[:, :-1].square().sum()
        loss = loss - (weight[p] * log_share).sum() + problems.penalty[p] / 2 * size
    loss.backward()
    torch.testing.assert_close(value.sum().float(), loss.detach())
    assert at.grad is not None
    torch.testing.assert_close(gradient, at.grad, rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("count", [300, 6_000])
def test_accuracy_is_that_of_scikit_learn_with_the_same_sweep(count: int) -> None:
    features, labels = made(count)
    asked, truth = made(5_000, seed=1)
    folds = folds_of(labels)
    probe = fit_linear_probe(features, labels, CLASSES, folds)
    ours = (probe.predict(asked) == truth).double().mean().item()
    scale = Standardiser.fit(features)
    peer = LogisticRegression(C=1 / (probe.penalty * count), max_iter=2_000)
    peer.fit(scale(features).numpy(), labels.numpy())
    assert abs(ours - peer.score(scale(asked).numpy(), truth.numpy())) <= 0.003
    # The chosen penalty is, within noise, the best that could have been chosen.
    best = max(
        (fit_linear_probe(features, labels, CLASSES, folds, [p]).predict(asked) == truth)
        .double()
        .mean()
        .item()
        for p in PENALTIES
    )
    assert ours >= best - 0.03


def test_scale_of_a_feature_changes_nothing_and_constants_do_no_harm() -> None:
    features, labels = made(300)
    asked, _ = made(200, seed=1)
    folds = folds_of(labels)
    first = fit_linear_probe(features, labels, CLASSES, folds).predict(asked)
    scaled = torch.cat([features * 100, torch.full((300, 1), 5.0)], dim=1)
    scaled_asked = torch.cat([asked * 100, torch.full((200, 1), 5.0)], dim=1)
    second = fit_linear_probe(scaled, labels, CLASSES, folds).predict(scaled_asked)
    assert (first == second).double().mean() > 0.99


def test_shuffled_labels_give_chance() -> None:
    features, labels = made(2_000)
    asked, truth = made(2_000, seed=1)
    shuffled = labels[torch.randperm(len(labels), generator=torch.Generator().manual_seed(3))]
    probe = fit_linear_probe(features, shuffled, CLASSES, folds_of(shuffled))
    right = (probe.predict(asked) == truth).double().mean().item()
    assert abs(right - 1 / CLASSES) < 0.05


def test_one_label_a_class() -> None:
    features = torch.eye(3) + 0.01
    labels = torch.arange(3)
    probe = fit_linear_probe(features, labels, 3, folds_of(labels))
    assert probe.predict(features).tolist() == [0, 1, 2]

"""DeepCluster: clusters by index, a classifier that begins anew, a score that is not fooled."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor

from hotstart.data.draws import Draws
from hotstart.errors import UsageError
from hotstart.pretext.clustering import agreement
from hotstart.pretext.context.deep_cluster import DeepCluster
from hotstart.training.loop import Material
from tests.conformance.material import draws, first_batch, make_loop, make_task, material_from, play

ROWS = 32


@pytest.fixture(scope="module")
def material(class_folder: Path) -> Material:
    return material_from(class_folder)


def build(material: Material, **settings: Any) -> DeepCluster:
    made = make_task(
        "deep_cluster", material, ROWS, task_settings={"deep_cluster": {"clusters": 4, **settings}}
    )
    assert isinstance(made, DeepCluster)
    return made


def features(material: Material, dim: int = 256) -> Tensor:
    """Four groups of features, of 8, 4, 2 and 1 shares of the pictures."""
    count = len(material.train)
    truth = torch.tensor([0] * 8 + [1] * 4 + [2] * 2 + [3]).repeat(count // 15 + 1)[:count]
    middles = torch.randn(4, dim, generator=torch.Generator().manual_seed(0))
    noise = torch.randn(count, dim, generator=torch.Generator().manual_seed(1))
    return middles[truth] * 5 + 0.1 * noise


def epoch(number: int) -> Draws:
    return Draws(0, number, total=1, names=("epoch",))


def test_pseudo_labels_are_the_clusters_of_the_pictures_by_index(material: Material) -> None:
    task = build(material, components=3)
    h = features(material)
    plan = task.before_epoch(lambda: h, epoch(0))
    for a in range(15):
        assert len(task.assignments[a::15].unique()) == 1
    assert len(task.assignments.unique()) == 4
    assert plan.order is not None
    loaded = np.bincount(task.assignments.numpy()[plan.order])
    assert loaded.max() - loaded.min() <= 2
    batch = first_batch(task, material, ROWS)
    batch["index"] = torch.arange(ROWS).flip(0)
    views = task.views(batch, draws(0, ROWS))
    assert torch.equal(views["pseudo_label"], task.assignments[:ROWS].flip(0))


def test_each_clustering_begins_a_new_classifier_at_chance(material: Material) -> None:
    task = build(material, recluster_epochs=2).train()
    views = task.views(first_batch(task, material, ROWS), draws(0, ROWS))
    weights, clusterings, agreed = [], [], []
    for number in range(4):
        h = features(material).roll(number, 0)
        plan = task.before_epoch(lambda h=h: h, epoch(number))  # type: ignore[misc]
        mine = {id(p) for p in task.classifier.parameters()}
        assert {id(p) for p in plan.reset} == (mine if number % 2 == 0 else set())
        weights.append(task.classifier.weight.detach().clone())
        clusterings.append(int(task.clusterings))
        agreed.append("nmi" in play(task, views, "task").metrics)
        with torch.no_grad():
            task.classifier.bias.add_(1.0)
        if plan.reset:
            assert play(task, views, "task").loss.item() == pytest.approx(np.log(4), abs=0.1)
    assert clusterings == [1, 1, 2, 2]
    assert agreed == [False, False, True, True]
    assert torch.equal(weights[0], weights[1])
    assert not torch.equal(weights[1], weights[2])
    assert 0 < float(task.nmi) < 1
    assert 0.25 < float(task.balance) < 1


def test_no_clustering_that_the_run_has_no_time_for(material: Material) -> None:
    """120 pictures or more in batches of 32; 100 steps end within some epoch."""
    task = build(material)
    steps = max(task.info.items // ROWS, 1)
    task.epochs.fill_(100 // steps)
    assert task._due() == (100 / steps - 100 // steps >= 0.5)
    task.epochs.fill_(100 // steps - 1)
    assert task._due()


def test_the_optimiser_forgets_the_old_classifier(material: Material) -> None:
    loop = make_loop("deep_cluster", material, None, 100)
    task = loop.task
    assert isinstance(task, DeepCluster)
    per_epoch = loop.epoch_steps
    list(loop.run(stop=per_epoch))
    before = task.classifier.weight.detach().clone()
    (optimiser,) = loop.optimisers.values()
    list(loop.run(stop=per_epoch + 1))
    assert int(task.clusterings) == 2
    state = optimiser.optimizer.state
    assert int(state[task.classifier.weight]["step"]) == 1
    first = next(task.encoder.parameters())
    assert int(state[first]["step"]) == per_epoch + 1
    assert not torch.allclose(task.classifier.weight, before)


def test_always_naming_the_largest_cluster_scores_chance(material: Material) -> None:
    task = build(material).eval()
    task.before_epoch(lambda: features(material), epoch(0))
    batch = material.dataset.batch(material.heldout, tuple(task.needs))
    truth = torch.tensor([0] * 30 + [1] * 7 + [3] * 3)
    task.pseudo_labels = lambda pictures: truth  # type: ignore[method-assign]
    with torch.no_grad():
        task.classifier.weight.zero_()
        task.classifier.bias.copy_(torch.tensor([9.0, 0.0, 0.0, 0.0]))
    score = task.score([batch], draws(0, 1))
    assert score.trivial == pytest.approx(1 / 3)
    assert score.value == pytest.approx(1 / 3)
    assert score.examples == 40


def test_the_score_tells_how_far_the_last_two_clusterings_agree(material: Material) -> None:
    """Caron 2018, section 4.1: between the epochs t - 1 and t, once there are two."""
    task = build(material).eval()
    batches = [material.dataset.batch(material.heldout, tuple(task.needs))]
    scores, seen = [task.score(batches, draws(0, 1))], []
    for number in range(3):
        h = features(material).roll(number**2, 0)
        task.before_epoch(lambda h=h: h, epoch(number))  # type: ignore[misc]
        seen.append(task.assignments.numpy().copy())
        scores.append(task.score(batches, draws(0, 1)))
    assert [len(score.others) for score in scores] == [0, 0, 1, 1]
    for score, first, second in zip(scores[2:], seen, seen[1:], strict=False):
        (agreed,) = score.others
        assert (score.metric, agreed.metric) == ("accuracy", "nmi")
        assert agreed.value == pytest.approx(agreement(first, second))
        assert agreed.examples == task.info.items
        assert agreed.trivial is not None
        assert 0 < agreed.trivial < 0.1  # four clusters of 200 pictures, one of them shuffled
    assert 0 < scores[2].others[0].value != scores[3].others[0].value
    again = build(material).eval()
    again.load_state_dict(task.state_dict())
    assert again.score(batches, draws(0, 1)) == scores[3]


def test_heldout_pseudo_labels_stay_those_of_the_last_clustering(material: Material) -> None:
    loop = make_loop("deep_cluster", material, None, 100)
    task = loop.task
    assert isinstance(task, DeepCluster)
    list(loop.run(stop=1))
    pictures = material.dataset.batch(material.train, ("image",))["image"]
    task.eval()
    torch.testing.assert_close(task.pseudo_labels(pictures), task.assignments)


def test_collapsed_features_end_in_one_cluster_that_the_log_shows(material: Material) -> None:
    task = build(material).train()
    task.before_epoch(lambda: torch.ones(task.info.items, 256), epoch(0))
    assert len(task.assignments.unique()) == 1
    assert float(task.balance) == pytest.approx(1 / 4)
    views = task.views(first_batch(task, material, ROWS), draws(0, ROWS))
    assert torch.isfinite(play(task, views, "task").loss)


def test_more_clusters_than_pictures_are_an_error(material: Material) -> None:
    with pytest.raises(UsageError, match=r"clusters is 5000, and there are"):
        build(material, clusters=5000)

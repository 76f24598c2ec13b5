"""Triplet: positives by view, by the data's group, and by cluster."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor

from hotstart.errors import UsageError
from hotstart.pretext.context.triplet import Triplet
from hotstart.pretext.triplets import triplet_loss
from hotstart.training.loop import Material
from tests.conformance.material import draws, first_batch, make_task, material_from, play

ROWS = 16


@pytest.fixture(scope="module")
def material(class_folder: Path) -> Material:
    return material_from(class_folder)


def make(material: Material, **own: Any) -> Triplet:
    made = make_task("triplet", material, ROWS, task_settings={"triplet": own})
    assert isinstance(made, Triplet)
    return made


def projections(task: Triplet, views: dict[str, Tensor]) -> tuple[Tensor, Tensor]:
    z1, z2 = task.project(views).chunk(2)
    return z1, z2


def test_by_default_the_positive_is_the_other_view(material: Material) -> None:
    task = make(material).eval()
    views = task.views(first_batch(task, material, ROWS), draws(0, ROWS))
    assert set(views) == {"first", "second"}
    result = play(task, views, "task")
    torch.testing.assert_close(result.loss, triplet_loss(*projections(task, views), 0.2))
    assert "mates" not in result.metrics


def test_positives_of_the_datas_groups(material: Material) -> None:
    task = make(material, positives="group").eval()
    batch = first_batch(task, material, ROWS)
    # Four films of three pictures each, and four pictures of their own.
    batch["group"] = torch.tensor([0, 1, 2, 3] * 3 + [10, 11, 12, 13])
    views = task.views(batch, draws(0, ROWS))
    result = play(task, views, "task")
    expected = triplet_loss(*projections(task, views), 0.2, batch["group"])
    torch.testing.assert_close(result.loss, expected)
    assert result.metrics["mates"].item() == pytest.approx(12 / 16)


def test_positives_of_clusters_found_anew_and_loaded_in_pairs(material: Material) -> None:
    task = make(material, positives="cluster", clusters=4).eval()
    corners = torch.eye(task.encoder.dim)[torch.arange(task.info.items) % 4] * 9
    rng = draws(0, task.info.items)
    order = task.before_epoch(lambda: corners, rng).order
    assert order is not None
    assert sorted(order) == list(range(task.info.items))
    clusters = task.assignments
    assert len(clusters.unique()) == 4
    # The cluster is the corner that a picture lies at.
    assert all(len(clusters[corner::4].unique()) == 1 for corner in range(4))
    batch = material.dataset.batch(material.train[order[:ROWS]], tuple(task.needs))
    batch["index"] = torch.from_numpy(order[:ROWS])
    views = task.views(batch, draws(0, ROWS))
    assert torch.equal(views["group"], clusters[order[:ROWS]])
    assert play(task, views, "task").metrics["mates"].item() == 1.0


def test_heldout_pictures_need_no_cluster(material: Material) -> None:
    task = make(material, positives="cluster").eval()
    batch = material.dataset.batch(material.heldout[:ROWS], tuple(task.needs))
    assert int(batch["index"].max()) >= task.info.items
    assert task.score([batch], draws(0, 1)).examples == ROWS


def test_more_clusters_than_pictures_are_named(material: Material) -> None:
    with pytest.raises(UsageError, match=r"triplet.clusters is 1000, and there are 200 pictures"):
        make(material, positives="cluster", clusters=1000)
    assert np.isfinite(make(material, clusters=1000).settings.margin)

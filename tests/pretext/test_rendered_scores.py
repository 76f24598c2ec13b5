"""What `rendered` is held against, and that it learns more than that."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from hotstart import api
from hotstart.data import open_dataset
from hotstart.data.draws import Draws
from hotstart.pretext.free_labels.rendered import Rendered
from hotstart.pretext.task import Batch
from hotstart.training.loop import Material
from tests.conformance.material import draws, fit, make_task


def world(folder: Path, count: int, learnt: int) -> Material:
    """So many renderings of 32 px, of which so many are trained on."""
    made = api.render(
        f"world:images?n={count}&size=32&samples=4", folder / "w", form="shards", processes=1
    )
    items = np.arange(count)
    return Material(open_dataset(str(made), size=32), items[:learnt], items[learnt:])


def batches(task: Rendered, material: Material, shuffled: bool = False) -> Any:
    """64 pictures at a time; shuffled: beside the truth of others."""
    whole: Any = dict(material.dataset.batch(material.train, task.needs))
    count, rng = len(material.train), np.random.default_rng(0)
    others = torch.randperm(count, generator=torch.Generator().manual_seed(0))

    def views(step: int) -> dict[str, torch.Tensor]:
        rows = torch.from_numpy(rng.choice(count, 64, replace=False))
        batch: Any = {"image": whole["image"].select(rows)}
        for key in ("depth", "normals", "contours"):
            batch[key] = whole[key][others[rows] if shuffled else rows]
        return task.views(batch, draws(step, 64))

    return views


def heldout(task: Rendered, material: Material) -> list[Batch]:
    return [material.dataset.batch(material.heldout, task.needs)]


@pytest.mark.slow
def test_it_learns_what_the_engine_knows_and_not_what_it_does_not(tmp_path: Path) -> None:
    """Of 800 pictures; 64 are learnt by heart, and then the mean of depths is nearer."""
    material = world(tmp_path, 848, 800)
    found = {}
    for shuffled in (False, True):
        torch.manual_seed(0)
        task = make_task("rendered", material, 64)
        assert isinstance(task, Rendered)
        fit(task, batches(task, material, shuffled), 240, 4e-3, decay=True)
        score = task.eval().score(heldout(task, material), Draws(0, 0, total=1))
        found[shuffled] = {one.metric: one for one in score.each}
    true, false = found[False], found[True]
    assert true["depth_close"].value > (true["depth_close"].trivial or 1) + 0.05
    # From another picture's truth it still learns where floors and skies are, and no more.
    assert true["depth_rmse_metres"].value < false["depth_rmse_metres"].value
    assert true["normals_degrees"].value < false["normals_degrees"].value - 0.5


def test_the_mean_that_it_is_held_against_is_of_known_places(tmp_path: Path) -> None:
    """Sky counts as 100 m nowhere: half of each picture is sky, the rest 4 to 6 m away."""
    material = world(tmp_path, 72, 24)
    task = make_task("rendered", material, 64)
    batch: Any = dict(heldout(task, material)[0])  # type: ignore[arg-type]
    rows = len(batch["image"])
    batch["depth"] = torch.full_like(batch["depth"], float("inf"))
    batch["normals"] = torch.zeros_like(batch["normals"])
    above = torch.arange(rows)[:, None] % 2 == torch.arange(batch["depth"].shape[-1]) % 2
    there = above[:, None, None].expand_as(batch["depth"])
    batch["depth"][there] = torch.linspace(4, 6, rows)[:, None, None, None].expand_as(there)[there]
    batch["normals"][there.expand_as(batch["normals"])] = 3**-0.5
    score = task.eval().score([batch], Draws(0, 0, total=1))
    trivial = {one.metric: one.trivial for one in score.each}
    assert trivial["depth_rmse_metres"] == pytest.approx(2 / 12**0.5, rel=0.1)
    assert trivial["depth_close"] == 1.0

"""Pictures, tasks and loops in the size that a conformance check needs."""

from __future__ import annotations

import math
from collections.abc import Iterable
from dataclasses import replace
from pathlib import Path
from typing import Any, cast

import numpy as np
import torch
from lightning_fabric import Fabric

from hotstart.config import PretrainSettings
from hotstart.data import open_dataset
from hotstart.data.draws import Draws
from hotstart.data.sample import Batch, Clips, Flows, Pictures
from hotstart.league.pretraining import default_encoder
from hotstart.pretext.registry import task_class
from hotstart.pretext.task import PretextTask, Progress, Step, batch_rows
from hotstart.training.log import Log
from hotstart.training.loop import Loop, Material, Plan
from hotstart.training.optimisers import REFERENCE_BATCH, build_optimiser
from hotstart.training.train import build_task

SIZE = 32


def settings_for(task: str, batch_size: int, **changes: Any) -> PretrainSettings:
    """Settings of a small run of `task`."""
    values: dict[str, Any] = {
        "data": "test",
        "task": task,
        "encoder": default_encoder(task),
        "size": SIZE,
        "stem": "small",
        "batch_size": batch_size,
        **changes,
    }
    return PretrainSettings(**values)


def material_from(folder: Path) -> Material:
    """A folder of the fixtures, all but 40, or a third of few, for training."""
    dataset = open_dataset(str(folder), size=SIZE)
    items = np.arange(len(dataset))
    held_out = 40 if len(items) >= 100 else len(items) // 3
    return Material(dataset, items[:-held_out], items[-held_out:])


def kind_of(task: str) -> str:
    """The fixture of the folder that `task` can learn from: pictures, films or renderings."""
    needs = set(task_class(task).needs)
    if not needs.isdisjoint({"clip", "flow", "audio"}):
        return "film_folder"
    return "rendered_folder" if "depth" in needs else "class_folder"


def make_task(task: str, material: Material, batch_size: int, **changes: Any) -> PretextTask:
    """A fresh task."""
    return build_task(settings_for(task, batch_size, **changes), material, total_steps=100)


def first_batch(task: PretextTask, material: Material, rows: int) -> Batch:
    """The first pictures, with the keys that the task asks for and no others."""
    return material.dataset.batch(material.train[:rows], task.needs)


def play(task: PretextTask, views: dict[str, torch.Tensor], player: str, step: int = 0) -> Step:
    """One forward pass."""
    result = task(views, Progress(step, 100), player)
    assert isinstance(result, Step)
    return result


def carried(result: Step) -> dict[str, torch.Tensor]:
    """What the loop hands on to the players that come after."""
    return {key: value.detach() for key, value in result.carry.items()}


def play_all(task: PretextTask, views: dict[str, torch.Tensor]) -> dict[str, Step]:
    """One forward pass of every player, in the order of play."""
    results: dict[str, Step] = {}
    for name in task.players():
        results[name] = play(task, views, name)
        views = views | carried(results[name])
    return results


def fit(
    task: PretextTask,
    batches: Any,
    steps: int,
    rate: float | None = None,
    *,
    batch_size: int = REFERENCE_BATCH,
    decay: bool = False,
) -> list[Step]:
    """Train on `batches(step)`, a function to views, without the loop's schedule.

    decay: rates fall to 0 along a half cosine; else they stay.
    """
    players = task.players()
    changes = {} if rate is None else {"name": "adamw", "learning_rate": rate}
    optimisers = {
        name: build_optimiser(p.parameters, p.optimiser.model_copy(update=changes), batch_size)
        for name, p in players.items()
    }
    peaks = {name: [group["lr"] for group in o.param_groups] for name, o in optimisers.items()}
    task.train()
    history = []
    for step in range(steps):
        views = dict(batches(step))
        share = 0.5 * (1 + math.cos(math.pi * step / steps)) if decay else 1.0
        for name, optimiser in optimisers.items():
            for group, full in zip(optimiser.param_groups, peaks[name], strict=True):
                group["lr"] = share * full
            for other, player in players.items():
                for weight in player.parameters:
                    weight.requires_grad_(other == name)
            result = play(task, views, name, step)
            optimiser.zero_grad()
            result.loss.backward()
            optimiser.step()
            history.append(result)
            views |= carried(result)
        task.after_step(result, Progress(step, steps))
    return history


@torch.no_grad()
def settle(task: PretextTask, batches: list[dict[str, torch.Tensor]]) -> None:
    """BatchNorm's statistics of the weights as they are: `fit` has no schedule that ends at 0."""
    norms = [m for m in task.modules() if isinstance(m, torch.nn.modules.batchnorm._BatchNorm)]
    for norm in norms:
        norm.reset_running_stats()
        norm.momentum = None
    for views in batches:
        play(task, views, next(iter(task.players())))
    task.eval()


def make_loop(task: str, material: Material, folder: Path | None, total_steps: int) -> Loop:
    """A loop over `material` on the CPU."""
    batch_size = 32 if len(material.train) >= 60 else len(material.train) // 5
    settings = settings_for(task, batch_size)
    plan = Plan(0, batch_size, total_steps, 1e9, None if folder is None else folder / "checkpoint")
    fabric = Fabric(accelerator="cpu", devices=1)
    return Loop(build_task(settings, material, total_steps), material, plan, fabric, Log(None))


def noise_pictures(count: int, seed: int) -> Pictures:
    """Pictures of noise alone: no content that a pseudo-label could depend on."""
    rng = np.random.default_rng(seed)
    return Pictures.from_arrays(list(rng.integers(0, 256, (count, 40, 40, 3), dtype=np.uint8)))


def with_noise(batch: Batch, seed: int) -> Batch:
    """The batch with noise for its pictures, or for every frame of its clips."""
    if "clip" not in batch:
        return with_image(batch, noise_pictures(batch_rows(batch), seed))
    times = batch["clip"].times
    changed = dict(batch)
    changed["clip"] = Clips(noise_pictures(times.numel(), seed), times)
    return changed  # type: ignore[return-value]


def draws(step: int, rows: int, start: int = 0, stop: int | None = None) -> Draws:
    """The draws of one step."""
    return Draws(0, step, total=rows, start=start, stop=stop)


def take(batch: Batch, rows: Iterable[int]) -> Batch:
    """Some rows of a batch."""
    chosen: Any = {}
    for key, value in cast(dict[str, Any], batch).items():
        packed = isinstance(value, Pictures | Clips | Flows)
        chosen[key] = value.select(list(rows)) if packed else value[list(rows)]
    return cast(Batch, chosen)


def with_image(batch: Batch, pictures: Pictures) -> Batch:
    """The batch with other pictures in it."""
    changed = dict(batch)
    changed["image"] = pictures
    return changed  # type: ignore[return-value]


def same_state(a: torch.nn.Module, b: torch.nn.Module) -> bool:
    """Bit for bit."""
    mine, other = a.state_dict(), b.state_dict()
    return set(mine) == set(other) and all(torch.equal(mine[k], other[k]) for k in mine)


def only(material: Material, rows: int) -> Material:
    """The first `rows` pictures for training."""
    return replace(material, train=material.train[:rows])

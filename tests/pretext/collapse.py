"""Runs that are made to collapse, and what their log says of it."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

from hotstart.pretext.task import PretextTask
from hotstart.training.log import Log
from hotstart.training.loop import Loop, Material
from hotstart.training.optimisers import REFERENCE_BATCH
from hotstart.training.train import build_task
from tests.conformance.material import make_loop, material_from, settings_for
from tests.pretext.pictures import patches

RATE = 4e-3
"""High enough to move a network in 50 steps."""


def different_pictures(folder: Path) -> Material:
    """160 pictures of a few random patches of colour, no two of them alike."""
    return material_from(patches(folder, 160))


def train(
    name: str,
    material: Material,
    folder: Path,
    own: dict[str, Any] | None = None,
    break_it: Callable[[Any], None] | None = None,
    steps: int = 50,
    encoder: str | None = None,
) -> list[dict[str, Any]]:
    """A short run at a rate that moves it, and all that it logged.

    own: the task's settings. break_it: changes the task before it trains. encoder: None for the
    task's default.
    """
    small = make_loop(name, material, None, steps)
    changes: dict[str, Any] = {} if encoder is None else {"encoder": encoder}
    rows = small.plan.batch_size
    settings = settings_for(name, rows, task_settings={name: own or {}}, **changes)
    task: PretextTask = build_task(settings, material, steps)
    rate = {"learning_rate": RATE * REFERENCE_BATCH / rows}
    task.optimiser = task.optimiser.model_copy(update=rate)  # type: ignore[misc]
    if break_it is not None:
        break_it(task)
    folder.mkdir()
    log = Log(folder)
    list(Loop(task, material, small.plan, small.fabric, log).run())
    log.close()
    lines = (folder / "log.jsonl").read_text().splitlines()
    return [json.loads(line) for line in lines]


def diagnoses(events: list[dict[str, Any]]) -> list[str]:
    """What the run said of its health."""
    return [event["message"] for event in events if event["kind"] == "diagnosis"]


def last_step(events: list[dict[str, Any]]) -> dict[str, Any]:
    """The last step that was logged."""
    return [event for event in events if event["kind"] == "step"][-1]

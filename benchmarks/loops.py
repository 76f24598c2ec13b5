"""Hotstart's own loop, as `pretrain` builds it, for benchmarks that look inside."""

from __future__ import annotations

from pathlib import Path

from hotstart.config import PretrainSettings
from hotstart.pretext.task import PretextTask
from hotstart.training.log import Log
from hotstart.training.loop import Loop, Material, Plan
from hotstart.training.train import build_task, make_fabric


def loop_of(
    settings: PretrainSettings, material: Material, total_steps: int, folder: Path
) -> tuple[Loop, PretextTask]:
    """The loop of a run with these settings, its log in `folder`, and the task inside it."""
    task = build_task(settings, material, total_steps)
    plan = Plan(
        seed=settings.seed,
        batch_size=settings.batch_size,
        total_steps=total_steps,
        checkpoint_seconds=60.0,
        folder=folder / "checkpoint",
    )
    return Loop(task, material, plan, make_fabric(settings), Log(folder)), task

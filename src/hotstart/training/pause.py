"""A run that is trained a part of its way: how fast that goes, and up to a step and no further."""

from __future__ import annotations

from pathlib import Path

from lightning_fabric import Fabric

from hotstart.config import PretrainSettings
from hotstart.encoders import Encoder
from hotstart.training.budget import Pace, measure_pace
from hotstart.training.log import Listener, Log
from hotstart.training.loop import Loop, Material
from hotstart.training.train import begin, new_loop


def pace_of(settings: PretrainSettings, material: Material, fabric: Fabric, seconds: float) -> Pace:
    """Time a trial of the run for about `seconds`; it leaves no trace.

    What is computed from the data once, and then lies in the cache, counts as spent alone.
    """

    def start() -> Loop:
        return new_loop(settings, material, fabric, Log(None), settings.steps or 1000, None)

    material.dataset.require(start().task.needs)
    return measure_pace(start, seconds)


def train_to(
    settings: PretrainSettings,
    material: Material,
    folder: Path,
    fabric: Fabric,
    stop: int,
    listener: Listener | None = None,
) -> Encoder:
    """Train, or go on training, the run in `folder` up to step `stop`; what it has learnt so far.

    Schedules are those of the whole run, `settings.steps`. A checkpoint is written at `stop`, from
    which `train` goes on as if there had been no stop.
    """
    log = Log(folder, listener)
    try:
        _, loop = begin(settings, material, folder, fabric, log)
        before = loop.step
        for _ in loop.run(stop):
            pass
        if before < loop.step < loop.plan.total_steps:  # at its end the loop has saved
            loop.save()
        return loop.task.encoder
    finally:
        log.close()

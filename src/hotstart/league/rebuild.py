"""A trained task as it was when its run was last saved: encoder, heads, teachers, clusters."""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np

from hotstart.config import PretrainSettings
from hotstart.data import Dataset, add_real
from hotstart.data.leaks import exclude, read_hashes
from hotstart.errors import TrainingError, UsageError
from hotstart.league.heldout import heldout_in
from hotstart.pretext.registry import task_class
from hotstart.pretext.task import PretextTask
from hotstart.training import checkpoint
from hotstart.training import folder as files
from hotstart.training.train import Material, build_task


@dataclass(frozen=True)
class Rebuilt:
    """A task out of its checkpoint, and pictures to ask it about."""

    task: PretextTask
    """In evaluation mode, on the CPU."""
    settings: PretrainSettings
    material: Material
    """`heldout` holds what the run was not trained on: all that it can use, if not its own."""
    own_pictures: bool
    """Whether these are the pictures that the run was trained on."""
    step: int
    """Steps that the checkpoint has behind it."""


def rebuild_task(run: Path, dataset: Dataset) -> Rebuilt:
    """The task of the run in folder `run`, as its newest checkpoint has it.

    Raises DataError when `run` is no run, does not tell what it held out, or `dataset` lacks what
    the task needs, UsageError when no checkpoint is left, TrainingError when it does not fit the
    run's settings.
    """
    settings = files.load_run(run)
    saved = checkpoint.newest(run / files.CHECKPOINTS)
    if saved is None:
        raise UsageError(f"{run}: no checkpoint left, so the task's heads are gone")
    if settings.real is not None and dataset.real is None:
        add_real(dataset, settings.real)
        exclude(dataset, read_hashes(settings.exclude or ()))
    held = heldout_in(run, dataset)
    is_own = held is not None
    cls = task_class(settings.task)
    dataset.require(cls.needs)
    usable = dataset.having(cls.needs) & ((dataset.labels >= 0) | (not cls.uses_labels))
    if held is None:  # in the order of hashes, as what was held out: every batch a bit of all
        held = np.argsort(dataset.hashes, kind="stable")
    asked = held[usable[held]]
    state = checkpoint.load(saved)
    material = Material(dataset, np.arange(0), asked)
    # Buffers that grow with the training set (cluster assignments) keep that set's size.
    sized = replace(material, train=np.arange(int(state["items"])))
    task = build_task(settings, sized, settings.steps or 1)
    try:
        task.load_state_dict(state["task"])
    except RuntimeError as error:
        raise TrainingError(
            f"{saved}: its weights are not those of {settings.task} as {run} has it ({error})"
        ) from None
    return Rebuilt(task.eval(), settings, material, is_own, int(state["step"]))

"""A trained task as it was when its run was last saved: encoder, heads, teachers, clusters."""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np

from hotstart.config import PretrainSettings
from hotstart.data import Dataset, add_real
from hotstart.errors import TrainingError, UsageError
from hotstart.league.pretraining import material_of
from hotstart.league.subject import pretext_record_of
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
    """`heldout` holds what the run was not trained on: all pictures, if they are not its own."""
    own_pictures: bool
    """Whether these are the pictures that the run was trained on."""
    step: int
    """Steps that the checkpoint has behind it."""


def rebuild_task(run: Path, dataset: Dataset) -> Rebuilt:
    """The task of the run in folder `run`, as its newest checkpoint has it.

    Raises DataError when `run` is no run or `dataset` lacks what the task needs, UsageError when
    no checkpoint is left, TrainingError when it does not fit the run's settings.
    """
    settings = files.load_run(run)
    saved = checkpoint.newest(run / files.CHECKPOINTS)
    if saved is None:
        raise UsageError(f"{run}: no checkpoint left, so the task's heads are gone")
    if settings.real is not None and dataset.real is None:
        add_real(dataset, settings.real)
    own_pictures = trained_on(run, settings, dataset)
    if own_pictures:
        material = material_of(settings.task, dataset)
    else:
        cls = task_class(settings.task)
        dataset.require(cls.needs)
        asked = dataset.labels >= 0 if cls.uses_labels else np.ones(len(dataset), bool)
        material = Material(dataset, np.arange(0), np.flatnonzero(asked))
    state = checkpoint.load(saved)
    # Buffers that grow with the training set (cluster assignments) keep that set's size.
    sized = replace(material, train=np.arange(int(state["items"])))
    task = build_task(settings, sized, settings.steps or 1)
    try:
        task.load_state_dict(state["task"])
    except RuntimeError as error:
        raise TrainingError(
            f"{saved}: its weights are not those of {settings.task} as {run} has it ({error})"
        ) from None
    return Rebuilt(task.eval(), settings, material, own_pictures, int(state["step"]))


def trained_on(run: Path, settings: PretrainSettings, dataset: Dataset) -> bool:
    """Whether these are the pictures that `run` was, or is being, trained on."""
    record = pretext_record_of(run)
    if record is None:  # not finished: its data are known by name alone
        return settings.data == dataset.name
    return record.data_fingerprints.get("pretrain") == dataset.fingerprint

"""Who takes part in a league: the tasks, and for every encoder its own controls."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from hotstart.config import PretrainSettings
from hotstart.data import Dataset
from hotstart.errors import DataError, HotstartError
from hotstart.league.cell import Cell
from hotstart.league.pretraining import check_names, material_of, settle
from hotstart.league.settings import CONTROLS, LeagueSettings
from hotstart.pretext.registry import find, parts
from hotstart.training.train import counted_steps


@dataclass(frozen=True)
class Contender:
    """A task, or a control, on one encoder. settings: everything but the seed and the steps."""

    name: str
    settings: PretrainSettings
    counted: int | None
    """Steps of the budget where they need no timing."""

    def with_seed(self, seed: int, steps: int) -> PretrainSettings:
        """The settings of one of its runs."""
        changes = {"seed": seed, "steps": steps, "minutes": None, "epochs": None}
        return self.settings.model_copy(update=changes)

    def calibration(self) -> Cell:
        """The cell that finds out how many steps fit its minutes."""
        return Cell(
            name=f"{self.name}-calibration",
            title=f"{self.name}: timing",
            function="calibrate",
            arguments=pretrain_arguments(self.settings),
        )


def contenders(
    asked: LeagueSettings, dataset: Dataset
) -> tuple[dict[str, Contender], dict[str, str]]:
    """Who takes part, by name, and what keeps others out. Every encoder has its own controls."""
    found: dict[str, Contender] = {}
    problems: dict[str, str] = {}

    def enter(task: str, encoder: str | None, name: str) -> None:
        try:
            values = _values(asked, task, encoder)
            check_names(values)
            settings = settle(values, dataset)
            items = len(material_of(task, dataset).train)
            found[name] = Contender(name, settings, counted_steps(settings, items))
        except HotstartError as error:
            problems[name] = str(error)

    for task in asked.tasks:
        if task not in CONTROLS:
            # A task that can fill one encoder alone brings it, whatever the others learn.
            encoder = None if find(task).encoder else asked.encoder
            enter(task, encoder, _safe(task, taken={*found, *problems, *CONTROLS}))
    if problems and not found:
        raise DataError("no task can be run: " + "; ".join(problems.values()))
    free = [one.settings for one in found.values() if not find(one.settings.task).encoder]
    encoders = list(dict.fromkeys(settings.encoder for settings in free))
    controls = [c for c in CONTROLS if c != "supervised" or "label" in dataset.keys]
    for i, encoder in enumerate(encoders or [asked.encoder]):
        for control in controls:
            enter(control, encoder, control if i == 0 else _safe(f"{control}-{encoder}", set()))
    # The floor first, the ceiling last.
    order = sorted(found, key=lambda name: _rank(found[name].settings.task))
    return {name: found[name] for name in order}, problems


def pretrain_arguments(settings: PretrainSettings) -> dict[str, Any]:
    """Keyword arguments of `hotstart.pretrain` that give these settings."""
    return settings.model_dump(exclude_none=True)


def _values(asked: LeagueSettings, task: str, encoder: str | None) -> dict[str, Any]:
    """The settings of a run, as they are asked for."""
    tables = asked.task_settings
    values = {
        "data": asked.data,
        "task": task,
        "encoder": encoder,
        "size": asked.size,
        "stem": None if asked.stem == "auto" else asked.stem,
        "seed": asked.seeds[0],
        "steps": asked.steps,
        "epochs": asked.epochs,
        "minutes": asked.minutes,
        "batch_size": asked.batch_size,
        "precision": asked.precision,
        "accelerator": asked.accelerator,
        "checkpoint_seconds": asked.checkpoint_seconds,
        "label": asked.label,
        "group": asked.group,
        "task_settings": {part: tables[part] for part in parts(task) if tables.get(part)},
    }
    return {name: value for name, value in values.items() if value is not None}


def _rank(task: str) -> int:
    floor = {"random": 0, "pca": 1, "kmeans": 2}
    return {**floor, "weakly_supervised": 4, "supervised": 5}.get(task, 3)


def _safe(task: str, taken: set[str]) -> str:
    """A folder name; a third party's class by its own name, where no other has it."""
    names = ("+".join(part.rpartition(":")[2] for part in parts(task)), task)
    short, whole = ("".join(c if c.isalnum() or c in "-_.+" else "_" for c in n) for n in names)
    return whole if short in taken else short

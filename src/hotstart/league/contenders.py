"""Who takes part in a league: the tasks, and for every encoder its own controls."""

from __future__ import annotations

import itertools
from dataclasses import dataclass
from typing import Any

from hotstart.config import PretrainSettings, Settings, parse
from hotstart.data import Dataset
from hotstart.data.leaks import write_hashes
from hotstart.errors import DataError, HotstartError, UsageError
from hotstart.league.cell import Cell
from hotstart.league.material import material_of
from hotstart.league.pretraining import check_names, settle
from hotstart.league.settings import CONTROLS, LeagueSettings
from hotstart.league.variants import changed, full_name, value_in, write_variant
from hotstart.pretext.registry import find, parts, task_class
from hotstart.training.train import counted_steps, trains

LONGEST = 100
"""Letters of a task or a variant in the name of a folder."""


@dataclass(frozen=True)
class Contender:
    """A task, a variant of it, or a control, on one encoder.

    name: safe as that of a folder; settings: everything but the seed and the steps.
    """

    name: str
    settings: PretrainSettings
    counted: int | None
    """Steps of the budget where they need no timing."""

    @property
    def title(self) -> str:
        """For people: `jigsaw, permutations=10`."""
        variant = self.settings.variant
        return self.name if variant is None else full_name(self.settings.task, variant)

    def with_seed(self, seed: int, steps: int) -> PretrainSettings:
        """The settings of one of its runs."""
        changes = {"seed": seed, "steps": steps, "minutes": None, "epochs": None}
        return self.settings.model_copy(update=changes)

    def calibration(self) -> Cell:
        """The cell that finds out how many steps fit its minutes."""
        return Cell(
            name=f"{self.name}-calibration",
            title=f"{self.title}: timing",
            function="calibrate",
            arguments=pretrain_arguments(self.settings),
        )


def contenders(
    asked: LeagueSettings, dataset: Dataset
) -> tuple[dict[str, Contender], dict[str, str]]:
    """Who takes part, by name, and what keeps others out. Every encoder has its own controls."""
    found: dict[str, Contender] = {}
    problems: dict[str, str] = {}

    def enter(task: str, encoder: str | None, name: str, variant: Variant | None = None) -> None:
        try:
            values = _values(asked, task, encoder, variant)
            if len(dataset.excluded):
                values["exclude"] = tuple(write_hashes(dataset.excluded))
            check_names(values)
            settings = settle(values, dataset)
            items = len(material_of(task, dataset).train)
            found[name] = Contender(name, settings, counted_steps(settings, items))
        except HotstartError as error:
            problems[name] = str(error)

    for task in asked.tasks:
        if task not in CONTROLS:
            # A task that can fill one encoder alone brings it, whatever the others learn.
            encoder = None if find(task).encoder else _fitting(task, asked.encoder)
            name = _safe(task, taken={*found, *problems, *CONTROLS})
            enter(task, encoder, name)
            for one in variants(asked, task):
                taken = {*found, *problems}
                enter(task, encoder, _numbered(f"{name}-{_file(one.name)}", taken), one)
    if problems and not found:
        raise DataError("no task can be run: " + "; ".join(problems.values()))
    free = [one.settings for one in found.values() if not find(one.settings.task).encoder]
    encoders = list(dict.fromkeys(settings.encoder for settings in free))
    controls = [c for c in CONTROLS if c != "supervised" or "label" in dataset.keys]
    for i, encoder in enumerate(encoders or [_fitting(CONTROLS[0], asked.encoder)]):
        for control in controls:
            enter(control, encoder, control if i == 0 else _file(f"{control}-{encoder}"))
    # The floor first, the ceiling last.
    order = sorted(found, key=lambda name: _rank(found[name].settings.task))
    return {name: found[name] for name in order}, problems


def _fitting(task: str, encoders: str | None) -> str | None:
    """The first of several encoders that the task can train; the first where none can."""
    names = [name.strip() for name in (encoders or "").split(",") if name.strip()]
    return next((name for name in names if trains(task, name)), names[0] if names else None)


def pretrain_arguments(settings: PretrainSettings) -> dict[str, Any]:
    """Keyword arguments of `hotstart.pretrain` that give these settings."""
    return settings.model_dump(exclude_none=True)


@dataclass(frozen=True)
class Variant:
    """One value of a sweep. own: the task's settings that have it."""

    name: str
    own: dict[str, Any]


def variants(asked: LeagueSettings, task: str) -> list[Variant]:
    """Those of `task` that differ from its plain contender, in the order of the sweeps.

    Names tell values as the task has them, so that 1 and 1.0 are one. A value that the task refuses
    stays in the list, for its contender to tell why.
    """
    plain = asked.task_settings.get(task, {})
    seen = [_settled(task, plain)]
    found = []
    for setting, values in asked.sweep.get(task, {}).items():
        for value in values:
            own = changed(plain, setting, value)
            settled = _settled(task, own)
            if settled is None:
                found.append(Variant(write_variant(setting, value), own))
            elif settled not in seen:
                seen.append(settled)
                told = value_in(settled.model_dump(mode="json"), setting)
                found.append(Variant(write_variant(setting, told), own))
    return found


def _settled(task: str, own: dict[str, Any]) -> Settings | None:
    """All settings of the task; None where they cannot be."""
    try:
        return parse(task_class(task).Settings, own, task)
    except UsageError:
        return None


def _values(
    asked: LeagueSettings, task: str, encoder: str | None, variant: Variant | None
) -> dict[str, Any]:
    """The settings of a run, as they are asked for."""
    tables = asked.task_settings if variant is None else {task: variant.own}
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
        "label": asked.label_of(asked.data),
        "group": asked.group,
        "audio_offset_seconds": asked.audio_offset_seconds,
        "real": asked.real,
        "task_settings": {part: tables[part] for part in parts(task) if tables.get(part)},
        "variant": variant.name if variant is not None else None,
    }
    return {name: value for name, value in values.items() if value is not None}


def _rank(task: str) -> int:
    floor = {"random": 0, "pca": 1, "kmeans": 2}
    return {**floor, "weakly_supervised": 4, "supervised": 5}.get(task, 3)


def _safe(task: str, taken: set[str]) -> str:
    """A folder name; a third party's class by its own name, where no other has it."""
    names = ("+".join(part.rpartition(":")[2] for part in parts(task)), task)
    short, whole = map(_file, names)
    return whole if short in taken else short


def _file(name: str) -> str:
    return "".join(c if c.isalnum() or c in "-_.+=" else "_" for c in name)[:LONGEST]


def _numbered(name: str, taken: set[str]) -> str:
    """`name`, or where values differ in what no file name holds, `name` with a number."""
    others = (f"{name}_{number}" for number in itertools.count(2))
    return next(one for one in itertools.chain([name], others) if one not in taken)

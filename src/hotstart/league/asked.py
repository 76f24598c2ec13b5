"""From names of tasks and folders of runs to what a gallery shows, in its order."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from hotstart.config import PretrainSettings
from hotstart.errors import DataError, UsageError
from hotstart.pretext.registry import TASKS, find, task_class
from hotstart.pretext.task import PretextTask
from hotstart.training.folder import ENCODER, SETTINGS, load_run

DEPTH = 3
"""Levels below a folder at which its runs are looked for."""
ALL = "all"


@dataclass(frozen=True)
class Asked:
    """One task to be shown, as `run` has learnt it, or untrained. name: of the run, for people."""

    task: str
    run: Path | None = None
    name: str = ""
    settings: PretrainSettings | None = None


def asked_for(tasks: Sequence[str], folders: Sequence[Path], *, makes: bool = False) -> list[Asked]:
    """Every task of `tasks` by its runs in `folders`, or untrained where there is none.

    tasks: names, or `all`: the whole list without its controls, and whatever the runs were trained
    on. Of each folder and task the first run in the order of names is taken: a finished one if
    there is one, a variant of a league's sweep only where there is no other. makes: whether one of
    the runs must be able to make pictures.

    Raises DataError for a folder without runs, UsageError for an unknown name, or where nothing
    makes pictures.
    """
    found: dict[str, list[Asked]] = {}
    for folder in folders:
        for one in _runs_in(folder):
            found.setdefault(one.task, []).append(one)
    names = list(dict.fromkeys(tasks))
    if ALL in names:
        known = [name for name, entry in TASKS.items() if entry.family != "control"]
        trained = [name for name in found if name != "random"]
        names = list(dict.fromkeys([*known, *trained, *(name for name in names if name != ALL)]))
    for name in names:
        find(name)
    asked = [one for name in names for one in found.get(name, [Asked(name)])]
    if makes and not any(one.run and _makes_pictures(one.task) for one in asked):
        able = [name for name in TASKS if _makes_pictures(name)]
        raise UsageError(
            "--save keeps the pictures that a trained task makes, and none of the runs given "
            f"does: give --runs a folder with a run of {', '.join(able)}"
        )
    return asked


def _runs_in(folder: Path) -> list[Asked]:
    """Of each task in `folder` one run, in the order of their names."""
    if not folder.is_dir():
        raise DataError(f"{folder} is no folder: give a run folder, or a folder that holds some")
    paths = [
        file.parent for depth in range(DEPTH + 1) for file in folder.glob("*/" * depth + SETTINGS)
    ]
    if not paths:
        raise DataError(f"{folder} holds no run: no {SETTINGS} within {DEPTH} levels")
    first: dict[str, Asked] = {}
    runs = {path: load_run(path) for path in paths}

    def order(path: Path) -> tuple[bool, bool, str]:
        return not (path / ENCODER).exists(), runs[path].variant is not None, str(path)

    for path in sorted(paths, key=order):
        settings = runs[path]
        name = (Path(folder.resolve().name) / path.relative_to(folder)).as_posix()
        first.setdefault(settings.task, Asked(settings.task, path, name, settings))
    return list(first.values())


def _makes_pictures(task: str) -> bool:
    return task_class(task).generate is not PretextTask.generate

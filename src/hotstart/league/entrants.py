"""How a race begins: its data, its folder, and who takes part."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

from hotstart.data import Dataset
from hotstart.encoders import encoder_kind
from hotstart.errors import UsageError
from hotstart.league.contenders import Contender, contenders
from hotstart.league.found import tell_found
from hotstart.league.measures import data_key
from hotstart.league.opening import Caching, exclude_tests, fingerprints_of, open_all, open_first
from hotstart.league.race_settings import RACE, Race, RaceSettings, read_race, same_race
from hotstart.league.settings import CONTROLS
from hotstart.league.subject import DEFAULT_ENCODER
from hotstart.pretext.registry import find, task_class
from hotstart.training.folder import SETTINGS
from hotstart.training.train import trains

Listener = Callable[[dict[str, Any]], None]


def open_data(
    asked: RaceSettings, folder: Path, tell: Listener, caching: Caching
) -> dict[str, Dataset]:
    """Every data set by its `data_key`; nothing of a test split is pretrained on."""
    league, judged = asked.league, asked.judged
    if judged is None:
        return {asked.data: open_first(league, caching)}
    datasets = open_all(league, caching)
    labelled = datasets[data_key(judged.kind, judged.data)]
    sentences = [*tell_found(labelled, judged.kind, folder), *exclude_tests(league, datasets)]
    tell({"kind": "found", "sentences": sentences})
    return datasets


def begin(asked: RaceSettings, folder: Path, datasets: dict[str, Dataset]) -> Race:
    """The race of the folder, written down before anything is run."""
    if (folder / SETTINGS).exists():
        raise UsageError(f"{folder} is the folder of a run; give a race one of its own by --out")
    fingerprints = fingerprints_of(datasets, asked.league)
    if not (folder / RACE).exists():
        race = Race(asked, fingerprints)
        race.write(folder)
        return race
    race = read_race(folder)
    same_race(folder, race.asked, asked)
    if race.fingerprints != fingerprints:
        raise UsageError(
            f"the pictures or labels changed since the race in {folder} began; bring them back, or "
            "give another --out"
        )
    return replace(race, asked=asked)


def enter(asked: RaceSettings, dataset: Dataset) -> tuple[dict[str, Contender], dict[str, str]]:
    """Who can be trained on these data with the race's encoder, by name; why others cannot.

    Raises UsageError or DataError where nobody can.
    """
    encoder = asked.encoder or DEFAULT_ENCODER
    others = {task: problem for task in asked.names if (problem := _unfit(task, encoder))}
    tasks = tuple(task for task in asked.names if task not in others)
    if not tasks:
        raise UsageError("; ".join(f"{task}: {problem}" for task, problem in others.items()))
    league = asked.league.model_copy(update={"encoder": encoder, "tasks": tasks})
    entered, problems = contenders(league, dataset)
    racing = {name: one for name, one in entered.items() if one.settings.task not in CONTROLS}
    return racing, {**others, **problems}


def _unfit(task: str, encoder: str) -> str | None:
    """Why `task` cannot train `encoder`, in one sentence."""
    if not find(task).encoder and trains(task, encoder):
        return None
    cls = task_class(task)
    return (
        f"it trains a {' or a '.join(cls.encoders or sorted(cls.accepts))}; this race is one of "
        f"{encoder}, a {encoder_kind(encoder)}: another --encoder is another race"
    )

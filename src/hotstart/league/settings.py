"""What a league is asked to compare, checked without torch, and kept in `league.toml`."""

from __future__ import annotations

import json
import os
import tomllib
from collections.abc import Collection, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, NamedTuple, cast

import tomli_w

from hotstart.config import Field, Precision, Protocol, Settings, Split, Stem, nearest, parse
from hotstart.errors import DataError, UsageError
from hotstart.league.kinds import DOWNSTREAM as DOWNSTREAM
from hotstart.league.kinds import OF_LABEL_MAPS
from hotstart.league.variants import write_variant
from hotstart.pretext.registry import JOIN, find, parts
from hotstart.pretext.setting_names import check_setting

LEAGUE = "league.toml"
CONTROLS = ("random", "supervised")
NOT_THE_LEAGUE = frozenset({"accelerator", "checkpoint_seconds"})
"""Settings that a league may be gone on with differently."""


class On(NamedTuple):
    """One downstream evaluation: its kind, its data, the protocols that it is measured by."""

    kind: str
    data: str
    protocols: tuple[Protocol, ...]


class LeagueSettings(Settings):
    """The question of a league: every task, every seed, every downstream evaluation."""

    data: str
    tasks: tuple[str, ...] = Field(min_length=1)
    """Controls are in without being asked."""
    on: tuple[str, ...] = Field(default=("classify",), min_length=1)
    """`classify=DIR`, or `classify` for the labels of `data`; `segment@finetune=DIR` is measured by
    those protocols in place of `protocols`."""
    seeds: tuple[int, ...] = Field(default=(0, 1, 2), min_length=1)
    encoder: str | None = None
    """Or several, `resnet18,vit_small_patch16_224`: each task trains the first that it can. None:
    the default of each task."""
    size: int | None = Field(default=None, ge=8)
    stem: Stem = "auto"
    protocols: tuple[Protocol, ...] = Field(default=("knn", "linear"), min_length=1)
    labels: tuple[float, ...] = Field(default=(0.01, 0.1, 1.0), min_length=1)
    split: Split = "val"
    stages: bool = True
    steps: int | None = Field(default=None, ge=1)
    epochs: float | None = Field(default=None, gt=0)
    minutes: float | None = Field(default=None, gt=0)
    batch_size: int | None = Field(default=None, ge=2)
    precision: Precision = "32-true"
    accelerator: str = "auto"
    checkpoint_seconds: float = Field(default=60.0, gt=0)
    label: str | None = None
    group: str | None = None
    audio_offset_seconds: float = 0.0
    """By how much the sound of videos, wherever they are read, comes after their frames."""
    real: str | None = None
    """Real pictures that are read beside rendered ones, by every pretraining."""
    allow_leak: bool = False
    """Whether a picture, by its bytes, may be in two splits of what is evaluated on."""
    ignore_index: tuple[int, ...] = ()
    """Values of label maps that are no class."""
    class_names: tuple[str, ...] = ()
    """Of the others."""
    task_settings: dict[str, dict[str, Any]] = Field(default_factory=dict)
    sweep: dict[str, dict[str, list[Any]]] = Field(default_factory=dict)
    """Values by task and setting: each is a contender that differs from its task in that alone."""

    @property
    def evaluations(self) -> list[On]:
        """Each downstream evaluation, in the order of `on`."""
        found = []
        for text in self.on:
            what, equals, where = text.partition("=")
            kind, at, names = what.partition("@")
            own = tuple(dict.fromkeys(name.strip() for name in names.split(",")))
            protocols = cast(tuple[Protocol, ...], own) if at else self.protocols
            found.append(On(kind, where if equals else self.data, protocols))
        return found

    def reading_for(self, data: str, kind: str) -> dict[str, Any]:
        """How `data` is to be read for an evaluation, as far as that concerns its kind."""
        masks = {"ignore_index": self.ignore_index, "class_names": self.class_names}
        masked = "mask" in DOWNSTREAM[kind].needs
        return {
            "label": self.label_of(data, kind),
            "group": self.group,
            "audio_offset_seconds": self.audio_offset_seconds,
            "allow_leak": self.allow_leak,
            **({key: list(told) for key, told in masks.items()} if masked else {}),
        }

    def label_of(self, data: str, kind: str | None = None) -> str | None:
        """`label`, a column of tables, as `data` is opened: for pretraining, or for `kind`.

        Not for a folder where there is a table too, nor where no label of a table is read.
        """
        if kind is not None and "label" not in DOWNSTREAM[kind].needs:
            return None
        everything = (self.data, *(one.data for one in self.evaluations))
        of_tables = any(Path(one).is_file() for one in everything)
        return None if of_tables and not Path(data).is_file() else self.label


def check(values: Mapping[str, Any]) -> LeagueSettings:
    """`values` as settings; every name that can be wrong is looked at, without torch."""
    if "sweep" in values:
        values = {**values, "sweep": _plain(values["sweep"])}
    asked = parse(LeagueSettings, values, "compare")
    for task in asked.tasks:
        find(task)
    doubles = {name for name in asked.tasks if asked.tasks.count(name) > 1}
    if doubles:
        raise UsageError(f"--tasks names {', '.join(sorted(doubles))} more than once")
    if len(set(asked.seeds)) < len(asked.seeds) or min(asked.seeds) < 0:
        raise UsageError(f"--seeds {asked.seeds}: different whole numbers of 0 or more")
    if sum(budget is not None for budget in (asked.steps, asked.epochs, asked.minutes)) != 1:
        raise UsageError("one budget: --steps, --epochs or --minutes")
    for share in asked.labels:
        if not 0 < share <= 1:
            raise UsageError(f"--labels {share:g}: a share above 0 and up to 1")
    _check_evaluations(asked)
    taking_part = dict.fromkeys(part for task in (*asked.tasks, *CONTROLS) for part in parts(task))
    for name in asked.task_settings:
        if name not in taking_part:
            raise UsageError(f"--set {name}.…: the tasks here are {', '.join(taking_part)}")
        for key in asked.task_settings[name]:
            check_setting(name, key)
    _check_sweep(asked)
    return asked


def _check_evaluations(asked: LeagueSettings) -> None:
    """Raise UsageError for a kind unknown, for protocols that are not its own, for one said twice.

    Of the protocols of all evaluations one must be the kind's; of its own, all. And for options
    that no evaluation takes.
    """
    for text, one in zip(asked.on, asked.evaluations, strict=True):
        if one.kind not in DOWNSTREAM:
            raise UsageError(f"--on {one.kind!r}: {nearest(one.kind, DOWNSTREAM)}, as classify=DIR")
        known = DOWNSTREAM[one.kind].frozen + DOWNSTREAM[one.kind].trained
        own = "@" in text.partition("=")[0]
        fitting = [name for name in one.protocols if name in known]
        if not fitting or (own and len(fitting) < len(one.protocols)):
            raise UsageError(
                f"--on {one.kind} is measured by {', '.join(known)}; asked was "
                f"{', '.join(one.protocols)} (`scratch` comes with `finetune`)"
            )
    places = [(one.kind, Path(one.data).absolute()) for one in asked.evaluations]
    for one, place in zip(asked.evaluations, places, strict=True):
        if places.count(place) > 1:
            raise UsageError(
                f"--on names {one.kind} of {one.data} more than once: name its protocols together, "
                f"as {one.kind}@linear,finetune={one.data}"
            )
    kinds = list(dict.fromkeys(one.kind for one in asked.evaluations))
    masks = any("mask" in DOWNSTREAM[kind].needs for kind in kinds)
    if (asked.ignore_index or asked.class_names) and not masks:
        raise UsageError(OF_LABEL_MAPS.format(", ".join(kinds)))


def _plain(sweep: Any) -> Any:
    """As JSON has it, so that a tuple typed in Python equals the list that `league.toml` holds."""
    try:
        return json.loads(json.dumps(sweep))
    except (TypeError, ValueError) as error:
        raise UsageError(
            f"--sweep: values are numbers, text, true, false or lists ({error})"
        ) from None


def _check_sweep(asked: LeagueSettings) -> None:
    """Raise UsageError for a task that is not swept here, a setting unknown, values that are none.

    Whether a value is allowed only the task itself can tell.
    """
    tasks = [task for task in asked.tasks if task not in CONTROLS]
    for task, settings in asked.sweep.items():
        if task in CONTROLS:
            raise UsageError(f"--sweep {task}.…: a control is the same for all, and not varied")
        if JOIN in task:
            raise UsageError(
                f"--sweep {task}.…: a sweep varies one task by itself, not several at once; name "
                "that task in --tasks and sweep it"
            )
        if task not in tasks:
            raise UsageError(f"--sweep {task}.…: the tasks here are {', '.join(tasks)}")
        for setting, values in settings.items():
            check_setting(task, setting.partition(".")[0])
            told = [write_variant(setting, value) for value in values]
            doubles = {text for text in told if told.count(text) > 1}
            if not values:
                raise UsageError(f"--sweep {task}.{setting}: no values; write value,value,...")
            if doubles:
                raise UsageError(
                    f"--sweep {task}.{setting}: {', '.join(sorted(doubles))} more than once"
                )
            for value in values:
                if value is None or isinstance(value, dict):
                    raise UsageError(
                        f"--sweep {task}.{setting}: {json.dumps(value)} is no value to sweep over; "
                        "allowed are numbers, text, true, false, and lists of these; a setting "
                        f"inside {setting} is written {setting}.name=value"
                    )


@dataclass(frozen=True)
class League:
    """`league.toml`: what was asked, of which pictures, and the steps that the budget came to."""

    asked: LeagueSettings
    fingerprints: dict[str, str] = field(default_factory=dict)
    """Of each data set, as it was when the league began."""
    steps: dict[str, int] = field(default_factory=dict)
    """For each contender; measured once where the budget is in minutes."""
    variants: dict[str, list[str]] = field(default_factory=dict)
    """Of each task that is swept, those that differ from the plain one."""

    def with_steps(self, contender: str, steps: int) -> League:
        """The same with one budget more."""
        return replace(self, steps={**self.steps, contender: steps})

    def write(self, folder: Path) -> None:
        """Whole or not at all."""
        told = self.asked.model_dump(exclude_none=True)
        own, sweep = told.pop("task_settings"), told.pop("sweep")
        tables = {
            "league": {k: list(v) if isinstance(v, tuple) else v for k, v in told.items()},
            "fingerprints": self.fingerprints,
            "steps": self.steps,
            "task": own,
            **({"sweep": sweep, "variants": self.variants} if sweep else {}),
        }
        part = folder / (LEAGUE + ".part")
        with part.open("wb") as file:
            tomli_w.dump(tables, file)
            file.flush()
            os.fsync(file.fileno())
        part.replace(folder / LEAGUE)


def read_league(folder: Path) -> League:
    """What `folder` holds. Raises DataError where there is no league."""
    path = folder / LEAGUE
    try:
        tables = tomllib.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        raise DataError(f"{folder} holds no league: {LEAGUE} is missing") from None
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise DataError(f"{path}: not a league's file ({error})") from None
    others = {"task_settings": tables.get("task", {}), "sweep": tables.get("sweep", {})}
    known = (tables.get(key, {}) for key in ("fingerprints", "steps", "variants"))
    return League(check({**tables.get("league", {}), **others}), *known)


def same_league(folder: Path, there: LeagueSettings, here: LeagueSettings) -> None:
    """Raise UsageError unless both ask the same question."""
    differing = differences(there, here, NOT_THE_LEAGUE)
    if differing:
        raise UsageError(
            f"{folder} holds another league: {differing}. Give another --out (what is "
            f"the same can be taken over by --known {folder / 'results.jsonl'}), or go on with "
            f"`hotstart compare --resume {folder}`"
        )


def differences(there: Settings, here: Settings, beside: Collection[str]) -> str:
    """In which settings two questions differ, but for those `beside` them; empty: in none."""
    old, new = (one.model_dump(exclude=set(beside)) for one in (there, here))
    return "; ".join(
        f"{key} is {old[key]!r} there, {new[key]!r} here" for key in old if old[key] != new[key]
    )

"""What a race is asked, checked without torch, and kept in `race.toml`."""

from __future__ import annotations

import tomllib
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any, Literal

import tomli_w

from hotstart.config import Field, Precision, Settings, Stem, parse
from hotstart.errors import DataError, UsageError
from hotstart.league.halving import Rung
from hotstart.league.kinds import DOWNSTREAM
from hotstart.league.settings import LeagueSettings, On, check, differences
from hotstart.league.whole import write_whole
from hotstart.pretext.registry import TASKS, find

RACE = "race.toml"
ALL = "all"
JUDGED_BY = ("knn", "linear")
NOT_THE_RACE = frozenset({"accelerator", "checkpoint_seconds"})
"""Settings that a race may be gone on with differently."""


class RaceSettings(Settings):
    """The question of a race: which of these tasks, on this encoder, for these data?"""

    data: str
    tasks: tuple[str, ...] = Field(default=(ALL,), min_length=1)
    """`all`: every pretext task that can be trained here."""
    minutes: float = Field(default=60.0, gt=0)
    by: Literal["rank", "labels"] = "rank"
    on: str | None = None
    """`classify=DIR`, `classify` for the labels of `data`, `classify@linear=DIR` for a linear probe
    in place of k-NN; None: no label is read. By rank, it is told beside."""
    labels: float = Field(default=0.1, gt=0, le=1)
    """Share of the training labels."""
    halving: int = Field(default=2, ge=2)
    """One of so many contenders goes on to the next rung."""
    encoder: str | None = None
    size: int | None = Field(default=None, ge=8)
    stem: Stem = "auto"
    seed: int = Field(default=0, ge=0)
    batch_size: int | None = Field(default=None, ge=2)
    precision: Precision = "32-true"
    accelerator: str = "auto"
    checkpoint_seconds: float = Field(default=60.0, gt=0)
    label: str | None = None
    group: str | None = None
    audio_offset_seconds: float = 0.0
    real: str | None = None
    allow_leak: bool = False
    task_settings: dict[str, dict[str, Any]] = Field(default_factory=dict)

    @cached_property
    def league(self) -> LeagueSettings:
        """The same as a league would ask it: its data, its tasks, its evaluation."""
        own = {"tasks", "by", "on", "labels", "halving", "seed"}
        return check(
            {
                **self.model_dump(exclude=own),
                "tasks": self.names,
                "seeds": (self.seed,),
                "protocols": JUDGED_BY[:1],
                "labels": (self.labels,),
                **({} if self.on is None else {"on": (self.on,)}),
            }
        )

    @property
    def names(self) -> tuple[str, ...]:
        """The tasks, `all` written out."""
        every = [name for name, entry in TASKS.items() if entry.family != "control"]
        return tuple(name for asked in self.tasks for name in (every if asked == ALL else (asked,)))

    @property
    def judged(self) -> On | None:
        """By whose labels."""
        return None if self.on is None else self.league.evaluations[0]


def check_race(values: Mapping[str, Any]) -> RaceSettings:
    """`values` as settings; every name that can be wrong is looked at, without torch."""
    if "by" not in values and "on" in values:
        values = {**values, "by": "labels"}
    if values.get("by") == "labels" and "on" not in values:
        values = {**values, "on": "classify"}
    asked = parse(RaceSettings, values, "race")
    for name in asked.names:
        if find(name).family == "control":
            raise UsageError(
                f"--tasks {name}: a control does not race; `random` is told beside without being "
                "asked, and `hotstart compare` has all of them"
            )
    kind = (asked.on or "").partition("=")[0].partition("@")[0]
    if kind in DOWNSTREAM and kind != "classify":
        raise UsageError(
            f"--on {kind}: a race is judged by classify alone, as classify=DIR; "
            f"`hotstart evaluate RUN --on {kind}` judges its winner"
        )
    assert asked.league
    one = asked.judged
    if one is not None and (len(one.protocols) > 1 or one.protocols[0] not in JUDGED_BY):
        raise UsageError(
            f"--on {asked.on}: a race is judged by one protocol, {' or '.join(JUDGED_BY)}, as "
            "classify@linear=DIR"
        )
    return asked


@dataclass(frozen=True)
class Race:
    """`race.toml`: what was asked, of which pictures, and what the budget came to."""

    asked: RaceSettings
    fingerprints: dict[str, str] = field(default_factory=dict)
    """Of each data set, as it was when the race began."""
    calibration_seconds: float = 0.0
    """What was spent before the first rung."""
    step_seconds: dict[str, float] = field(default_factory=dict)
    """Of each contender, as timed."""
    steps: dict[str, int] = field(default_factory=dict)
    """Of a whole run; empty as long as nothing is timed."""
    rungs: tuple[Rung, ...] = ()
    left_out: dict[str, str] = field(default_factory=dict)
    """Who takes no part, and why, in one sentence."""
    winner: str | None = None
    finish_seconds: float = 0.0
    """What was spent on the winner after the last rung."""

    def write(self, folder: Path) -> None:
        """Whole or not at all."""
        told = self.asked.model_dump(exclude_none=True)
        own = told.pop("task_settings")
        tables = {
            "race": {**told, "tasks": list(self.asked.tasks)},
            "plan": {
                "calibration_seconds": self.calibration_seconds,
                "finish_seconds": self.finish_seconds,
                "rungs": [asdict(rung) for rung in self.rungs],
                **({} if self.winner is None else {"winner": self.winner}),
            },
            "fingerprints": self.fingerprints,
            "steps": self.steps,
            "step_seconds": self.step_seconds,
            "left_out": self.left_out,
            "task": own,
        }
        write_whole(folder / RACE, tomli_w.dumps(tables))


def read_race(folder: Path) -> Race:
    """What `folder` holds. Raises DataError where there is no race."""
    path = folder / RACE
    try:
        tables = tomllib.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        raise DataError(f"{folder} holds no race: {RACE} is missing") from None
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise DataError(f"{path}: not a race's file ({error})") from None
    asked = check_race({**tables.get("race", {}), "task_settings": tables.get("task", {})})
    plan = tables.get("plan", {})
    return Race(
        asked,
        tables.get("fingerprints", {}),
        plan.get("calibration_seconds", 0.0),
        tables.get("step_seconds", {}),
        tables.get("steps", {}),
        tuple(Rung(**rung) for rung in plan.get("rungs", [])),
        tables.get("left_out", {}),
        plan.get("winner"),
        plan.get("finish_seconds", 0.0),
    )


def same_race(folder: Path, there: RaceSettings, here: RaceSettings) -> None:
    """Raise UsageError unless both ask the same question."""
    differing = differences(there, here, NOT_THE_RACE)
    if differing:
        raise UsageError(
            f"{folder} holds another race: {differing}. Give another --out, or go on "
            f"with `hotstart race --resume {folder}`"
        )

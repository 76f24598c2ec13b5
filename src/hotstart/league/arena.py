"""What the statistics of a league are of: contenders, columns, and numbers that may be compared."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Literal, NamedTuple

from hotstart.league.variants import full_name
from hotstart.pretext.registry import TASKS

Resampled = Literal["seeds and items", "items", "seeds"]


class Who(NamedTuple):
    """A contender: what was learnt, by which network."""

    task: str
    encoder: str
    variant: str | None = None

    @property
    def name(self) -> str:
        """For people, without the encoder."""
        return full_name(self.task, self.variant)


@dataclass(frozen=True)
class Standing:
    """What one contender reached in one column, and how far that is above its control."""

    task: str
    """`scratch`: trained from random weights, the control of the column `finetune`."""
    encoder: str
    values: dict[int, float]
    """By seed."""
    n: int
    mean: float
    deviation: float | None
    """Over seeds (n - 1); None for one seed."""
    control: str | None = None
    """`random`, or `scratch` for `finetune`; None where it was not measured, and for itself."""
    gain: float | None = None
    """Mean over the seeds that both have."""
    gain_by_seed: dict[int, float] = field(default_factory=dict)
    low: float | None = None
    high: float | None = None
    """Ends of the 95 % interval of the gain; None where there is nothing to resample."""
    p: float | None = None
    """One-sided, of a gain of 0 or less."""
    p_holm: float | None = None
    """Corrected over the tasks of the column, of a variant over its variants too; None for
    controls."""
    resampled: Resampled | None = None
    """`seeds`: the predictions are missing, and the interval leaves the choice of items out."""
    items: int = 0
    """Test items that were resampled."""
    variant: str | None = None
    """How it differs from the league's settings of its task, as `permutations=10`."""

    @property
    def who(self) -> Who:
        return Who(self.task, self.encoder, self.variant)


@dataclass(frozen=True)
class Column:
    """One protocol, share of the labels and stage; the best first."""

    protocol: str
    labels: float | None
    stage: str | int | None
    standings: list[Standing]


@dataclass(frozen=True)
class Arena:
    """Numbers that may be compared: one downstream task, data set, split and metric."""

    downstream: str
    data: str
    split: str
    metric: str
    fingerprint: str
    """Of the pictures measured on."""
    chance: float | None
    columns: list[Column]


def is_control(task: str) -> bool:
    """Whether `task` is what tasks are measured against."""
    return task == "scratch" or (task in TASKS and TASKS[task].family == "control")

"""What a downstream evaluation hands back: one number, and the prediction behind each item."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import PurePath
from typing import Any, Literal

from hotstart.config import Protocol, Split
from hotstart.data.dataset import Dataset
from hotstart.data.panel import Panel
from hotstart.downstream.predictions import Predictions

Progress = Callable[[str, int, int], None]
"""Called with what is being done, how much of it is done, and how much there is."""

Stage = Literal["last"] | int


@dataclass(frozen=True)
class Outcome:
    """One measured number of one encoder on one downstream task."""

    protocol: Protocol
    stage: Stage
    """`last`, or 1, 2, ... counted from the input. A fine-tuned network's head sits on the last."""
    labels: float
    """Share of the training labels used."""
    split: Split
    seed: int
    metric: str
    value: float
    chance: float
    predictions: Predictions = field(repr=False)
    """`predictions.value(metric)` is `value`."""
    detail: dict[str, Any] = field(default_factory=dict)
    """JSON-ready: what the measurement chose and found on its way."""
    panel: Panel | None = field(default=None, repr=False)
    """Some items, their truth and the answer; never of a test split, for it is looked at often."""


def panel_names(
    on: str, what: str, dataset: Dataset, protocol: Protocol, labels: float
) -> dict[str, str]:
    """`name` and `title` of a panel of answers: no two data sets have the same.

    on: the downstream task; what: in words, what is shown of the data
    """
    where = PurePath(*PurePath(dataset.name).parts[-2:])
    return {
        "name": f"{on}-{protocol}-{labels:g}-{dataset.fingerprint[:8]}",
        "title": f"{what} {where}: {protocol}, {100 * labels:.4g} % of the labels",
    }

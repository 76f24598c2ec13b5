"""How each downstream task is measured: one entry for each name that `--on` takes."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any

from hotstart.config import Protocol, Settings
from hotstart.data import Dataset, open_dataset
from hotstart.data.boxes import open_boxes
from hotstart.data.cache import Progress as Caching
from hotstart.downstream.action import ActionSettings, action
from hotstart.downstream.classifier import FinetuneSettings
from hotstart.downstream.classify import classify
from hotstart.downstream.detect import detect
from hotstart.downstream.detector_training import DetectSettings
from hotstart.downstream.outcome import Outcome
from hotstart.errors import UsageError


@dataclass(frozen=True)
class Measure:
    """A downstream task."""

    run: Callable[..., Iterable[Outcome]]
    """Called as `classify` is."""
    open: Callable[..., Dataset]
    """Called as `open_dataset` is, with `size` the encoder's."""
    training: Mapping[Protocol, Settings] = field(default_factory=dict)
    """Settings of the protocols that have some: other settings, other records."""
    stages: bool = False
    """Whether `linear` is measured at every stage of the encoder too."""
    maps: bool = False
    """Whether each picture has one class, by which a map of features may be coloured."""


def _open_boxes(
    data: str, *, size: int | None, label: str | None, group: str | None, progress: Caching | None
) -> Dataset:
    """Boxes are seen at the detector's size, whatever the encoder was trained at."""
    if label is not None:
        raise UsageError(f"--label {label}: boxes bring their classes; only tables have columns")
    side = DetectSettings().detector.size_px
    return open_boxes(data, size=side, group=group, progress=progress)


def _alike(settings: Settings, *protocols: Protocol) -> dict[Protocol, Settings]:
    return dict.fromkeys(protocols, settings)


MEASURES: dict[str, Measure] = {
    "classify": Measure(
        classify,
        open_dataset,
        _alike(FinetuneSettings(), "finetune", "scratch"),
        stages=True,
        maps=True,
    ),
    "action": Measure(
        action,
        open_dataset,
        _alike(ActionSettings(), "knn", "linear", "finetune", "scratch"),
        stages=True,
        maps=True,
    ),
    "detect": Measure(
        detect, _open_boxes, _alike(DetectSettings(), "linear", "finetune", "scratch")
    ),
}


def open_for(
    on: str,
    data: str,
    *,
    size: int | None,
    label: str | None = None,
    group: str | None = None,
    progress: Caching | None = None,
) -> Dataset:
    """DATA as the downstream task `on` (or `pretext`) reads it."""
    opener: Any = MEASURES[on].open if on in MEASURES else open_dataset
    dataset: Dataset = opener(data, size=size, label=label, group=group, progress=progress)
    return dataset

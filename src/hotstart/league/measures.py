"""How each downstream task is measured: one entry for each name that `--on` takes."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from hotstart.config import Protocol, Settings
from hotstart.data import Dataset, open_dataset
from hotstart.data.boxes import open_boxes
from hotstart.data.cache import Progress as Caching
from hotstart.data.leaks import check_leaks
from hotstart.data.masked import open_masked
from hotstart.downstream.action import ActionSettings, action
from hotstart.downstream.classifier import FinetuneSettings
from hotstart.downstream.classify import classify
from hotstart.downstream.detect import detect
from hotstart.downstream.detector_training import DetectSettings
from hotstart.downstream.outcome import Outcome
from hotstart.downstream.segment import segment
from hotstart.downstream.segmenter import SegmentSettings
from hotstart.errors import UsageError
from hotstart.league.kinds import OF_LABEL_MAPS


@dataclass(frozen=True)
class Measure:
    """A downstream task."""

    run: Callable[..., Iterable[Outcome]]
    """Called as `classify` is."""
    open: Callable[..., Dataset]
    """Called as `open_for` is, without `on`; `size` is the encoder's."""
    training: Mapping[Protocol, Settings] = field(default_factory=dict)
    """Settings of the protocols that have some: other settings, other records."""
    stages: bool = False
    """Whether `linear` is measured at every stage of the encoder too."""
    maps: bool = False
    """Whether each picture has one class, by which a map of features may be coloured."""


def _open_labelled(
    data: str,
    *,
    size: int | None,
    label: str | None,
    group: str | None,
    audio_offset_seconds: float,
    allow_leak: bool,
    progress: Caching | None,
) -> Dataset:
    """Pictures, videos or sounds with a class each."""
    dataset = open_dataset(
        data,
        size=size,
        label=label,
        group=group,
        audio_offset_seconds=audio_offset_seconds,
        progress=progress,
    )
    check_leaks(dataset, allowed=allow_leak)
    return dataset


def _open_boxes(
    data: str,
    *,
    size: int | None,
    label: str | None,
    group: str | None,
    audio_offset_seconds: float,
    allow_leak: bool,
    progress: Caching | None,
) -> Dataset:
    """Boxes are seen at the detector's size, whatever the encoder was trained at; none sounds."""
    if label is not None:
        raise UsageError(f"--label {label}: boxes bring their classes; only tables have columns")
    side = DetectSettings().detector.size_px
    return open_boxes(data, size=side, group=group, allow_leak=allow_leak, progress=progress)


def _open_masks(
    data: str,
    *,
    size: int | None,
    label: str | None,
    group: str | None,
    audio_offset_seconds: float,
    allow_leak: bool,
    progress: Caching | None,
    ignore_index: Sequence[int] = (),
    class_names: Sequence[str] = (),
) -> Dataset:
    """Pictures to be segmented are read whole, at whatever side the encoder was trained; silent."""
    if label is not None:
        raise UsageError(f"--label {label}: label maps hold the classes; only tables have columns")
    return open_masked(
        data,
        ignore=ignore_index,
        names=class_names,
        group=group,
        allow_leak=allow_leak,
        progress=progress,
    )


def _alike(settings: Settings, *protocols: Protocol) -> dict[Protocol, Settings]:
    return dict.fromkeys(protocols, settings)


MEASURES: dict[str, Measure] = {
    "classify": Measure(
        classify,
        _open_labelled,
        _alike(FinetuneSettings(), "finetune", "scratch"),
        stages=True,
        maps=True,
    ),
    "action": Measure(
        action,
        _open_labelled,
        _alike(ActionSettings(), "knn", "linear", "finetune", "scratch"),
        stages=True,
        maps=True,
    ),
    "segment": Measure(
        segment, _open_masks, _alike(SegmentSettings(), "finetune", "scratch"), stages=True
    ),
    "detect": Measure(
        detect, _open_boxes, _alike(DetectSettings(), "linear", "finetune", "scratch")
    ),
}


def data_key(on: str, data: str) -> str:
    """By what a league knows DATA, as `on` reads it, from the same as pictures alone."""
    return data if MEASURES[on].open is _open_labelled else f"{on}={data}"


def open_for(
    on: str,
    data: str,
    *,
    size: int | None,
    label: str | None = None,
    group: str | None = None,
    audio_offset_seconds: float = 0.0,
    allow_leak: bool = False,
    ignore_index: Sequence[int] = (),
    class_names: Sequence[str] = (),
    progress: Caching | None = None,
) -> Dataset:
    """DATA as the downstream task `on` (or `pretext`, which has no splits) reads it.

    audio_offset_seconds: see `open_dataset`; of videos and sounds alone
    ignore_index, class_names: of label maps, see `open_masked`
    """
    opener = MEASURES[on].open if on in MEASURES else _open_labelled
    allow_leak = allow_leak or on not in MEASURES
    told: dict[str, Any] = {"ignore_index": ignore_index, "class_names": class_names}
    if opener is not _open_masks:
        if any(told.values()):
            raise UsageError(OF_LABEL_MAPS.format(on))
        told = {}
    return opener(
        data,
        size=size,
        label=label,
        group=group,
        audio_offset_seconds=audio_offset_seconds,
        allow_leak=allow_leak,
        progress=progress,
        **told,
    )

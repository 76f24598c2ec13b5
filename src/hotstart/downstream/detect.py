"""Detection as a downstream task: boxes and classes of objects, on the maps of an encoder.

Protocols: `linear` trains a slim detector on the frozen encoder, `finetune` trains both, and
`scratch` trains the same from random weights on the same boxes.
"""

from __future__ import annotations

import copy
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any, get_args

import numpy as np
import numpy.typing as npt
import torch
from torchvision.models.detection import FCOS

from hotstart.config import Protocol, Split
from hotstart.data.boxes import BoxSet, check_boxes
from hotstart.data.dataset import Dataset
from hotstart.data.panel import Panel
from hotstart.downstream.average_precision import match, predictions_of
from hotstart.downstream.box_pictures import box_panel
from hotstart.downstream.detector import picture_side
from hotstart.downstream.detector_training import DetectSettings, detect_objects, fit_detector
from hotstart.downstream.detector_views import KeptMaps
from hotstart.downstream.outcome import Outcome, Progress, panel_names
from hotstart.downstream.predictions import BoxPredictions
from hotstart.downstream.search import train_with_best_rate
from hotstart.downstream.subsets import inner_folds, label_subset
from hotstart.encoders.build import build_encoder
from hotstart.encoders.encoder import Encoder
from hotstart.errors import DataError, UsageError

Int64s = npt.NDArray[np.int64]
PROTOCOLS: tuple[Protocol, ...] = ("linear", "finetune", "scratch")


def detect(
    encoder: Encoder,
    dataset: Dataset,
    *,
    protocols: Sequence[Protocol] = ("linear",),
    labels: Sequence[float] = (1.0,),
    split: Split = "val",
    seed: int = 0,
    device: torch.device | str = "cpu",
    stages: bool = True,
    settings: DetectSettings | None = None,
    progress: Progress | None = None,
) -> Iterator[Outcome]:
    """COCO's average precision on `split` for each share of the training pictures and protocol.

    dataset: a `BoxSet`. The share is one of annotated pictures. `seed` draws them, and the weights
    that are trained. The encoder is left bit for bit as it was. `stages` has no meaning here: the
    detector reads a pyramid of several.

    `ap` is the mean over overlaps of 0.5 to 0.95 and over the classes that have objects in the
    split, `ap50` and `ap75` those of one overlap; the detail has the `ap` of each class, and how
    many annotations or pictures were left out. `chance` is 0: what no box at all gets. The
    learning rate is chosen within the pictures in use.

    Raises UsageError for an argument that is not allowed, DataError for data without boxes to learn
    from or to ask for, or with a class that is asked but never shown.
    """
    task = _prepare(encoder, check_boxes(dataset), split, protocols, labels)
    return _run(
        copy.deepcopy(encoder),
        task,
        protocols=protocols,
        fractions=sorted(set(labels), reverse=True),
        seed=seed,
        device=torch.device(device),
        settings=settings or DetectSettings(),
        progress=progress,
    )


@dataclass(frozen=True)
class _Task:
    """Which pictures are learnt from and which are asked, these in the order of their hashes."""

    dataset: BoxSet
    split: Split
    train: Int64s
    asked: Int64s

    def subset(self, fraction: float, seed: int) -> Int64s:
        """Pictures (n,) whose boxes may be used: a share of the training pictures."""
        data = self.dataset
        return self.train[
            label_subset(data.labels[self.train], data.hashes[self.train], fraction, seed)
        ]

    def folds(self, items: Int64s, seed: int) -> list[Int64s]:
        """Parts of `items` on which settings are chosen."""
        data = self.dataset
        return inner_folds(data.labels[items], data.hashes[items], data.groups[items], seed)


def _prepare(
    encoder: Encoder,
    dataset: BoxSet,
    split: Split,
    protocols: Sequence[str],
    fractions: Sequence[float],
) -> _Task:
    """Check what is asked against what the data has."""
    for name, value, allowed in (
        *(("protocol", protocol, PROTOCOLS) for protocol in protocols),
        ("split", split, get_args(Split)),
    ):
        if value not in allowed:
            raise UsageError(f"{name} {value!r}: the choice for detect is {', '.join(allowed)}")
    if not protocols or not fractions:
        raise UsageError("nothing to do: give at least one protocol and one share of the pictures")
    if encoder.kind not in ("cnn", "vit"):
        raise UsageError(
            f"{encoder.spec.name} is a {encoder.kind} encoder; a detector needs the maps of a CNN "
            "or ViT"
        )
    train, asked = (dataset.indices(part) for part in ("train", split))
    asked = asked[np.argsort(dataset.hashes[asked], kind="stable")]
    shown, wanted = (dataset.class_counts(items) for items in (train, asked))
    for part, counts in (("train", shown), (split, wanted)):
        if not counts.sum():
            raise DataError(
                f"{dataset.name}: its {part} split has no box; give more pictures, or another cut "
                "into train, val and test"
            )
    unseen = np.flatnonzero((wanted > 0) & (shown == 0))
    if len(unseen):
        names = ", ".join(repr(dataset.classes[k]) for k in unseen[:5])
        raise DataError(
            f"{dataset.name}: {len(unseen)} of {len(dataset.classes)} classes are asked in the "
            f"{split} split but have no example in train: {names}; add some, or remove the class"
        )
    return _Task(dataset, split, train, asked)


def _run(
    encoder: Encoder,
    task: _Task,
    *,
    protocols: Sequence[Protocol],
    fractions: Sequence[float],
    seed: int,
    device: torch.device,
    settings: DetectSettings,
    progress: Progress | None,
) -> Iterator[Outcome]:
    for fraction in fractions:
        items = task.subset(fraction, seed)
        for protocol in protocols:
            start = encoder if protocol != "scratch" else build_encoder(encoder.spec, seed)
            trained = _Training(start, task, protocol, settings, seed, device)
            predictions, detail = trained.run(items, progress)
            detail |= {
                "per_class": _per_class(task, predictions),
                "left_out": len(task.dataset.quarantine),
            }
            for metric in predictions.metrics:
                yield Outcome(
                    protocol=protocol,
                    stage="last",
                    labels=fraction,
                    split=task.split,
                    seed=seed,
                    metric=metric,
                    value=predictions.value(metric),
                    chance=0.0,
                    predictions=predictions,
                    detail=detail,
                    panel=_panel(task, protocol, fraction, predictions) if metric == "ap" else None,
                )


def _panel(
    task: _Task, protocol: Protocol, fraction: float, predictions: BoxPredictions
) -> Panel | None:
    if task.split == "test":
        return None
    data = task.dataset
    return box_panel(
        data,
        task.asked,
        predictions,
        **panel_names("detect", "Boxes in", data, protocol, fraction),
    )


def _per_class(task: _Task, predictions: BoxPredictions) -> dict[str, float]:
    """AP of each class of which there are objects."""
    each = predictions.by_class(np.ones((1, len(task.asked)), np.int64))[0].tolist()
    named = zip(task.dataset.classes, each, strict=True)
    return {name: value for name, value in named if value == value}


@dataclass(frozen=True)
class _Training:
    """The trainings of one protocol on one encoder."""

    encoder: Encoder
    task: _Task
    protocol: Protocol
    settings: DetectSettings
    seed: int
    device: torch.device

    @property
    def side(self) -> int:
        """Of the pictures that the detector sees, px."""
        return picture_side(self.encoder, self.settings.detector)

    def run(
        self, items: Int64s, progress: Progress | None
    ) -> tuple[BoxPredictions, dict[str, Any]]:
        """Answers for the pictures asked, after training on `items`; how they came about."""
        steps = self.settings.steps_for(len(items))
        kept = self._kept(len(items))
        found = train_with_best_rate(
            partial(self._fit, kept),
            lambda model, part: self._answers(model, part).value("ap"),
            items,
            self.task.folds(items, self.seed)[: self.settings.trial_folds],
            self.settings.rates_for(self.protocol),
            steps=steps,
            trial_steps=max(1, round(self.settings.trial_length * steps)),
            name=f"{self.protocol} on {len(items)} pictures",
            progress=progress,
        )
        detail = {
            **found.detail(steps, len(items)),
            "size_px": self.side,
            "views": kept.count if kept else None,
        }
        return self._answers(found.model, self.task.asked), detail

    def _kept(self, pictures: int) -> KeptMaps | None:
        """What all trainings of a frozen encoder share, where there is memory for it."""
        if self.protocol != "linear":
            return None
        settings = self.settings
        return KeptMaps.for_pictures(
            pictures, self.encoder, settings.views, self.side, settings.frozen_views, self.seed
        )

    def _fit(
        self,
        kept: KeptMaps | None,
        items: Int64s,
        rate: float,
        steps: int,
        tick: Callable[[], None],
        *,
        final: bool,
    ) -> FCOS:
        return fit_detector(
            self.encoder,
            self.task.dataset,
            items,
            frozen=self.protocol == "linear",
            learning_rate=rate,
            steps=steps,
            settings=self.settings,
            seed=self.seed,
            device=self.device,
            tick=tick,
            kept=kept,
        )

    def _answers(self, model: FCOS, items: Int64s) -> BoxPredictions:
        data = self.task.dataset
        found = detect_objects(model, self.side, data, items, self.device)
        most = self.settings.detector.most_boxes
        matches = match(data.boxes.of(items), found, len(data.classes), most)
        return predictions_of(data.hashes[items], found, matches)

"""Detection as a downstream task: boxes and classes of objects, on the maps of an encoder.

Protocols: `linear` trains a slim detector on the frozen encoder, `finetune` trains both, and
`scratch` trains the same from random weights on the same boxes.
"""

from __future__ import annotations

import copy
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any, get_args

import numpy as np
import numpy.typing as npt
import torch

from hotstart.config import Protocol, Split
from hotstart.data.boxes import BoxSet, check_boxes
from hotstart.data.dataset import Dataset
from hotstart.downstream.average_precision import Detections, match, predictions_of
from hotstart.downstream.detector import picture_side
from hotstart.downstream.detector_training import DetectSettings, detect_objects, fit_detector
from hotstart.downstream.outcome import Outcome, Progress
from hotstart.downstream.predictions import BoxPredictions
from hotstart.downstream.subsets import label_subset
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
    split; the detail has `ap50`, `ap75` and `per_class`. `chance` is 0: what no box at all gets.

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

    def predictions(self, found: Sequence[Detections], most: int) -> BoxPredictions:
        truth = self.dataset.boxes.of(self.asked)
        matches = match(truth, found, len(self.dataset.classes), most)
        return predictions_of(self.dataset.hashes[self.asked], found, matches)


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
            began = time.perf_counter()
            side = picture_side(encoder, settings.detector)
            start = encoder if protocol != "scratch" else build_encoder(encoder.spec, seed)
            model, detail = fit_detector(
                start,
                task.dataset,
                items,
                frozen=protocol == "linear",
                settings=settings,
                seed=seed,
                device=device,
                name=f"{protocol} on {len(items)} pictures",
                progress=progress,
            )
            found = detect_objects(model, side, task.dataset, task.asked, device)
            predictions = task.predictions(found, settings.detector.most_boxes)
            detail |= {"seconds": time.perf_counter() - began}
            yield _outcome(task, protocol, fraction, seed, predictions, detail)


def _outcome(
    task: _Task,
    protocol: Protocol,
    fraction: float,
    seed: int,
    predictions: BoxPredictions,
    detail: dict[str, Any],
) -> Outcome:
    each = predictions.by_class(np.ones((1, len(task.asked)), np.int64))[0].tolist()
    named = zip(task.dataset.classes, each, strict=True)
    return Outcome(
        protocol=protocol,
        stage="last",
        labels=fraction,
        split=task.split,
        seed=seed,
        metric="ap",
        value=predictions.value("ap"),
        chance=0.0,
        predictions=predictions,
        detail={
            "ap50": predictions.value("ap50"),
            "ap75": predictions.value("ap75"),
            "per_class": {name: value for name, value in named if value == value},
            **detail,
        },
    )

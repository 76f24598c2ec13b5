"""Classification as a downstream task: what an encoder is worth to someone with labels.

Protocols: `knn` and `linear` read the frozen encoder, `finetune` trains it on, and `scratch` trains
the same architecture from random weights on the same labels.
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
from torch import Tensor

from hotstart.config import Protocol, Split
from hotstart.data.dataset import Dataset
from hotstart.downstream.classifier import FinetuneSettings
from hotstart.downstream.features import Features, Standardiser, extract
from hotstart.downstream.finetune import finetune
from hotstart.downstream.knn import knn_predict
from hotstart.downstream.linear import fit_linear_probe
from hotstart.downstream.outcome import Outcome, Progress, Stage
from hotstart.downstream.predictions import ClassPredictions
from hotstart.downstream.subsets import inner_folds, label_subset
from hotstart.encoders.build import build_encoder
from hotstart.encoders.encoder import Encoder
from hotstart.errors import DataError, UsageError

Int64s = npt.NDArray[np.int64]
FROZEN: tuple[Protocol, ...] = ("knn", "linear")


def classify(
    encoder: Encoder,
    dataset: Dataset,
    *,
    protocols: Sequence[Protocol] = FROZEN,
    labels: Sequence[float] = (1.0,),
    split: Split = "val",
    seed: int = 0,
    device: torch.device | str = "cpu",
    stages: bool = True,
    settings: FinetuneSettings | None = None,
    progress: Progress | None = None,
) -> Iterator[Outcome]:
    """Top-1 accuracy on `split` for each share of the training labels and each protocol.

    Training labels are those of the split `train`, whatever `split` is reported. `seed` draws the
    label subset, the folds and, where weights are trained, those. All settings are chosen within
    the labels in use (`subsets.inner_folds`); items of the reported split are looked at once, for
    the number, and those of the other one never. `stages` adds a linear probe of every stage.
    `settings` are those of `finetune` and `scratch`. The encoder is left bit for bit as it was.

    `chance` is the share of the largest class in the reported split: what the best constant answer
    reaches, 1 / classes when they are balanced.

    Raises UsageError for an argument that is not allowed, DataError for data without labels, with
    fewer than two classes, or with a class to be recognised that has no training example.
    """
    trained = [protocol for protocol in protocols if protocol not in FROZEN]
    if trained and encoder.kind == "fixed":
        raise UsageError(
            f"{encoder.spec.name} has no weights that learn, so {', '.join(trained)} cannot be "
            f"measured; ask for {', '.join(FROZEN)}"
        )
    task = _prepare(dataset, split, protocols, labels)
    return _run(
        copy.deepcopy(encoder),
        task,
        protocols=protocols,
        fractions=sorted(set(labels), reverse=True),
        seed=seed,
        device=torch.device(device),
        stages=stages,
        settings=settings or FinetuneSettings(),
        progress=progress,
    )


@dataclass(frozen=True)
class _Task:
    """Which items are learnt from and which are asked."""

    dataset: Dataset
    split: Split
    train: Int64s
    asked: Int64s
    detail: dict[str, Any]

    @property
    def classes(self) -> int:
        return len(self.dataset.classes)

    @property
    def watched(self) -> Int64s:
        """Items on which training may be watched: a test split is asked once, at the end."""
        return self.asked if self.split == "val" else _labelled(self.dataset, "val")

    @property
    def truth(self) -> Int64s:
        return self.dataset.labels[self.asked]

    @property
    def chance(self) -> float:
        return float(np.bincount(self.truth).max() / len(self.truth))

    def subset(self, fraction: float, seed: int) -> Int64s:
        """Items (n,) whose labels may be used: a share of the training items."""
        labels, hashes = self.dataset.labels[self.train], self.dataset.hashes[self.train]
        return self.train[label_subset(labels, hashes, fraction, seed)]

    def folds(self, items: Int64s, seed: int) -> list[Int64s]:
        data = self.dataset
        return inner_folds(data.labels[items], data.hashes[items], data.groups[items], seed)

    def predictions(self, predicted: Tensor) -> ClassPredictions:
        answer = predicted.cpu().numpy().astype(np.int64)
        return ClassPredictions(self.dataset.hashes[self.asked], self.truth, answer)


def _prepare(
    dataset: Dataset, split: Split, protocols: Sequence[str], fractions: Sequence[float]
) -> _Task:
    """Check what is asked against what the data has."""
    for name, value, allowed in (
        *(("protocol", protocol, get_args(Protocol)) for protocol in protocols),
        ("split", split, get_args(Split)),
    ):
        if value not in allowed:
            raise UsageError(f"{name} {value!r}: the choice is {', '.join(allowed)}")
    for fraction in fractions:
        if not 0 < fraction <= 1:
            raise UsageError(f"label share {fraction:g}: give shares above 0 and up to 1 (100%)")
    if not protocols or not fractions:
        raise UsageError("nothing to do: give at least one protocol and one share of the labels")
    found = dataset.labels
    if not (found >= 0).any():
        raise DataError(
            f"{dataset.name} has no labels, so nothing can be classified; put the pictures into "
            "one folder per class, or give a table of paths with --label COLUMN"
        )
    train, asked = (_labelled(dataset, part) for part in ("train", split))
    for part, items in (("train", train), (split, asked)):
        if not len(items):
            raise DataError(
                f"{dataset.name}: no labelled picture in its {part} split; "
                "give more pictures, or another cut into train, val and test"
            )
    learnt = np.unique(found[train])
    if len(learnt) < 2:
        raise DataError(
            f"{dataset.name}: its train split has one class only, "
            f"{dataset.classes[learnt[0]]!r}; two or more are needed"
        )
    unseen = np.setdiff1d(found[asked], found[train])
    if len(unseen):
        names = ", ".join(repr(dataset.classes[label]) for label in unseen[:5])
        raise DataError(
            f"{dataset.name}: {len(unseen)} of {len(dataset.classes)} classes are asked in the "
            f"{split} split but have no example in train: {names}; add some, or remove the class"
        )
    missing = np.setdiff1d(np.arange(len(dataset.classes)), found[asked])
    detail = {"classes_not_asked": [dataset.classes[label] for label in missing]}
    return _Task(dataset, split, train, asked, detail if len(missing) else {})


def _labelled(dataset: Dataset, split: str) -> Int64s:
    items = dataset.indices(split)
    return items[dataset.labels[items] >= 0]


def _run(
    encoder: Encoder,
    task: _Task,
    *,
    protocols: Sequence[Protocol],
    fractions: Sequence[float],
    seed: int,
    device: torch.device,
    stages: bool,
    settings: FinetuneSettings,
    progress: Progress | None,
) -> Iterator[Outcome]:
    encoder.to(device)

    def outcome(
        protocol: Protocol, stage: Stage, fraction: float, predicted: Tensor, detail: dict[str, Any]
    ) -> Outcome:
        predictions = task.predictions(predicted)
        return Outcome(
            protocol=protocol,
            stage=stage,
            labels=fraction,
            split=task.split,
            seed=seed,
            metric="top1",
            value=predictions.accuracy,
            chance=task.chance,
            predictions=predictions,
            detail={**task.detail, **detail},
        )

    frozen = [protocol for protocol in FROZEN if protocol in protocols]
    if frozen:
        # Subsets are nested: the largest one's features serve them all.
        known = task.subset(fractions[0], seed)
        features = extract(
            encoder,
            task.dataset,
            np.concatenate([known, task.asked]),
            device=device,
            stages=stages and "linear" in protocols,
            progress=progress,
        )
        for fraction in fractions:
            for protocol in frozen:
                for stage, predicted, detail in _probe(
                    protocol, task, features, known, fraction, seed, device
                ):
                    yield outcome(protocol, stage, fraction, predicted, detail)
    for fraction in fractions:
        items = task.subset(fraction, seed)
        for protocol in protocols:
            if protocol in FROZEN:
                continue
            start = encoder if protocol == "finetune" else build_encoder(encoder.spec, seed)
            predicted, detail = finetune(
                start,
                task.dataset,
                items,
                task.asked,
                task.folds(items, seed),
                task.watched,
                settings=settings,
                seed=seed,
                device=device,
                from_scratch=protocol == "scratch",
                name=f"{protocol} on {len(items)} labels",
                progress=progress,
            )
            yield outcome(protocol, "last", fraction, predicted, detail)


def _probe(
    protocol: Protocol,
    task: _Task,
    features: Features,
    known: Int64s,
    fraction: float,
    seed: int,
    device: torch.device,
) -> Iterator[tuple[Stage, Tensor, dict[str, Any]]]:
    """Predictions of a frozen protocol, for the last features and (linear) for every stage.

    features: of the items `known`, then of the items asked
    """
    items = task.subset(fraction, seed)
    rows = torch.from_numpy(np.searchsorted(known, items))
    labels = torch.from_numpy(task.dataset.labels[items]).to(device)
    folds = task.folds(items, seed)
    done: list[tuple[Tensor, tuple[Tensor, dict[str, Any]]]] = []
    for stage, table in features.named():
        began = time.perf_counter()
        train, asked = table[rows].to(device), table[len(known) :].to(device)
        detail: dict[str, Any] = {"label_count": len(items), "dim": train.shape[1]}
        if protocol == "knn":
            standardise = Standardiser.fit(train)
            predicted = knn_predict(standardise(train), labels, standardise(asked), task.classes)
        else:
            # A CNN's last features often are its last stage averaged: no need to fit twice.
            twin = [answer for other, answer in done if torch.equal(other, table)]
            if twin:
                predicted, detail = twin[0]
            else:
                probe = fit_linear_probe(train, labels, task.classes, folds)
                predicted = probe.predict(asked)
                detail["penalty"] = probe.penalty
                detail["inner_accuracy"] = probe.inner_accuracy
        detail.setdefault("seconds", time.perf_counter() - began)
        done.append((table, (predicted, detail)))
        yield stage, predicted, detail
        if protocol == "knn":
            return

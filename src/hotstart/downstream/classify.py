"""Classification as a downstream task: what an encoder is worth to someone with labels.

Protocols: `knn` and `linear` read the frozen encoder, `finetune` trains it on, and `scratch` trains
the same architecture from random weights on the same labels.
"""

from __future__ import annotations

import copy
import time
from collections.abc import Iterator, Sequence

import numpy as np
import torch

from hotstart.config import Protocol, Split
from hotstart.data.dataset import Dataset
from hotstart.downstream.answers import (
    FROZEN,
    Answer,
    Table,
    check_learns,
    linear_answers,
    trained_answer,
)
from hotstart.downstream.classifier import FinetuneSettings
from hotstart.downstream.features import extract
from hotstart.downstream.knn import knn_predict
from hotstart.downstream.labelled import Labelled, labelled
from hotstart.downstream.outcome import Outcome, Progress
from hotstart.downstream.reading import SOUND_WINDOWS, Reading, SoundWindows, reading_of
from hotstart.encoders.encoder import Encoder
from hotstart.errors import UsageError


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
    sound_windows: int = SOUND_WINDOWS,
    progress: Progress | None = None,
) -> Iterator[Outcome]:
    """Top-1 accuracy on `split` for each share of the training labels and each protocol.

    Training labels are those of the split `train`, whatever `split` is reported. `seed` draws the
    label subset, the folds and, where weights are trained, those. All settings are chosen within
    the labels in use (`subsets.inner_folds`); items of the reported split are looked at once, for
    the number, and those of the other one never. `stages` adds a linear probe of every stage.
    `settings` are those of `finetune` and `scratch`. The encoder is left bit for bit as it was.

    An encoder of sounds hears `sound_windows` stretches of each, spread evenly over it; features
    (so a linear probe's logits), and probabilities of a trained classifier, are the mean over them.

    `chance` is the share of the largest class in the reported split: what the best constant answer
    reaches, 1 / classes when they are balanced.

    Raises UsageError for an argument that is not allowed, DataError for data without labels, with
    fewer than two classes, or with a class to be recognised that has no training example.
    """
    check_learns(encoder, protocols)
    if sound_windows < 1:
        raise UsageError(f"sound_windows must be 1 or more, got {sound_windows}")
    task = labelled(dataset, split, protocols, labels)
    return _run(
        copy.deepcopy(encoder),
        task,
        protocols=protocols,
        fractions=sorted(set(labels), reverse=True),
        seed=seed,
        device=torch.device(device),
        stages=stages,
        settings=settings or FinetuneSettings(),
        reading=reading_of(encoder, dataset, sound_windows),
        progress=progress,
    )


def _run(
    encoder: Encoder,
    task: Labelled,
    *,
    protocols: Sequence[Protocol],
    fractions: Sequence[float],
    seed: int,
    device: torch.device,
    stages: bool,
    settings: FinetuneSettings,
    reading: Reading,
    progress: Progress | None,
) -> Iterator[Outcome]:
    encoder.to(device)
    heard = {"sound_windows": reading.windows} if isinstance(reading, SoundWindows) else {}

    def outcome(fraction: float, protocol: Protocol, answer: Answer) -> Outcome:
        predictions = task.predictions(answer.predicted)
        return Outcome(
            protocol=protocol,
            stage=answer.stage,
            labels=fraction,
            split=task.split,
            seed=seed,
            metric="top1",
            value=predictions.accuracy,
            chance=task.chance,
            predictions=predictions,
            detail={**task.detail, **heard, **answer.detail},
        )

    if not set(FROZEN).isdisjoint(protocols):
        # Subsets are nested: the largest one's features serve them all.
        known = task.subset(fractions[0], seed)
        features = extract(
            encoder,
            task.dataset,
            np.concatenate([known, task.asked]),
            device=device,
            stages=stages and "linear" in protocols,
            reading=reading,
            progress=progress,
        )
        for fraction in fractions:
            table = Table(task, features, known, fraction, seed, device)
            if "knn" in protocols:
                yield outcome(fraction, "knn", _vote(table))
            if "linear" in protocols:
                for answer in linear_answers(table):
                    yield outcome(fraction, "linear", answer)
    for fraction in fractions:
        for protocol in protocols:
            if protocol not in FROZEN:
                answer = trained_answer(
                    encoder,
                    task,
                    fraction,
                    protocol,
                    settings=settings,
                    seed=seed,
                    device=device,
                    reading=reading,
                    progress=progress,
                )
                yield outcome(fraction, protocol, answer)


def _vote(table: Table) -> Answer:
    """By the nearest neighbours of the last features."""
    began = time.perf_counter()
    train, asked = table.standardised()
    predicted = knn_predict(train, table.labels, asked, table.task.classes)
    return Answer("last", predicted, table.told(began))

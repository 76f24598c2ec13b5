"""Fine-tuning, from pretraining or from scratch: the search around one training."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import torch
from torch import Tensor

from hotstart.data.dataset import Dataset
from hotstart.downstream.classifier import (
    Classifier,
    FinetuneSettings,
    Int64s,
    fit_classifier,
    predict,
)
from hotstart.downstream.features import extract
from hotstart.downstream.linear import LinearProbe, fit_linear_probe
from hotstart.downstream.outcome import Progress
from hotstart.downstream.reading import Reading
from hotstart.downstream.search import train_with_best_rate
from hotstart.downstream.subsets import inner_folds
from hotstart.encoders.encoder import Encoder

CURVE_AT = (0.05, 0.1, 0.2, 0.4, 0.6, 0.8, 1.0)
CURVE_ITEMS = 2_000


def finetune(
    encoder: Encoder,
    dataset: Dataset,
    train: Int64s,
    asked: Int64s,
    folds: Sequence[Int64s],
    watched: Int64s,
    *,
    settings: FinetuneSettings,
    seed: int,
    device: torch.device,
    reading: Reading | None = None,
    from_scratch: bool = False,
    name: str = "finetune",
    progress: Progress | None = None,
) -> tuple[Tensor, dict[str, Any]]:
    """Predicted class of each of the items `asked`, int64 (A,), after training on `train`.

    reading: how the encoder reads items; None is `reading_of`.

    Starts from a copy of `encoder`, which stays as it is, and, unless `from_scratch`, from its
    linear probe on the same labels (`settings.head`). The learning rate is the one most often
    right, in shorter trainings, on the first of the inner validation parts `folds` (rows of
    `train`); the last training, with it, uses all of `train`.

    The detail's `curve` lists `step` and the accuracies `train` (up to 2,000 of the items trained
    on) and `asked` (up to 2,000 of the items `watched`, which are never a test split's), from step
    0, where the probe stands. It is for the reader: nothing is chosen by it.
    """
    began = time.perf_counter()
    features = None
    if settings.head == "probe" and not from_scratch:
        known = extract(encoder, dataset, train, device=device, stages=False, reading=reading)
        features = known.last.to(device)
    rates = settings.scratch_learning_rates if from_scratch else settings.learning_rates
    steps = settings.steps_for(len(train))
    parts = folds[: settings.trial_folds]
    marks = {0, *(max(1, round(share * steps)) for share in CURVE_AT)}
    curve: list[dict[str, float]] = []
    shown = {"train": _sample(train, seed), "asked": _sample(watched, seed)}

    def classes(model: Classifier, items: Int64s) -> Tensor:
        return predict(model, dataset, items, device, reading=reading, mirrored=settings.mirrored)

    def right(model: Classifier, items: Int64s) -> int:
        answer = classes(model, items).numpy()
        return int((answer == dataset.labels[items]).sum())

    def fit(
        items: Int64s, rate: float, steps: int, tick: Callable[[], None], *, final: bool
    ) -> Classifier:
        def after_step(step: int, model: Classifier) -> None:
            if step > 0:
                tick()
            if final and step in marks:
                accuracy = {
                    key: right(model, items) / len(items)
                    for key, items in shown.items()
                    if len(items)
                }
                curve.append({"step": step, **accuracy})

        probe = None if features is None else _probe(dataset, features, train, items, seed)
        return fit_classifier(
            encoder,
            dataset,
            items,
            learning_rate=rate,
            steps=steps,
            settings=settings,
            seed=seed,
            device=device,
            reading=reading,
            probe=probe,
            after_step=after_step,
        )

    found = train_with_best_rate(
        fit,
        right,
        train,
        parts,
        rates,
        steps=steps,
        trial_steps=max(1, round(settings.trial_length * steps)),
        name=name,
        progress=progress,
    )
    detail = found.detail(steps, len(train), max(1, sum(map(len, parts))))
    detail |= {"curve": curve, "seconds": time.perf_counter() - began}
    return classes(found.model, asked), detail


def _probe(
    dataset: Dataset, features: Tensor, train: Int64s, items: Int64s, seed: int
) -> LinearProbe:
    """The linear probe fitted on `items`, some of `train`, whose `features` (N, D) are known."""
    rows = np.flatnonzero(np.isin(train, items))
    known = train[rows]
    folds = inner_folds(dataset.labels[known], dataset.hashes[known], dataset.groups[known], seed)
    at = torch.from_numpy(rows).to(features.device)
    labels = torch.from_numpy(dataset.labels[known]).to(features.device)
    return fit_linear_probe(features[at], labels, len(dataset.classes), folds)


def _sample(items: Int64s, seed: int) -> Int64s:
    """Up to `CURVE_ITEMS` of the items."""
    if len(items) <= CURVE_ITEMS:
        return items
    return np.random.default_rng([seed, 4]).choice(items, CURVE_ITEMS, replace=False)

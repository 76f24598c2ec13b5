"""How protocols answer for labelled items: a probe of frozen features, or the encoder trained on.

What is asked, by which metric it is judged, and how items are read is up to the downstream task.
"""

from __future__ import annotations

import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from hotstart.config import Protocol
from hotstart.downstream.classifier import FinetuneSettings
from hotstart.downstream.features import Features, Standardiser
from hotstart.downstream.finetune import finetune
from hotstart.downstream.labelled import Labelled
from hotstart.downstream.linear import fit_linear_probe
from hotstart.downstream.outcome import Progress, Stage
from hotstart.downstream.reading import Reading
from hotstart.encoders.build import build_encoder
from hotstart.encoders.encoder import Encoder
from hotstart.errors import UsageError

FROZEN: tuple[Protocol, ...] = ("knn", "linear")


@dataclass(frozen=True)
class Answer:
    """predicted: int64 (A,), the class of each item asked; detail: what was found on the way."""

    stage: Stage
    predicted: Tensor
    detail: dict[str, Any]


@dataclass(frozen=True)
class Table:
    """Features of some labelled items, and of those asked.

    features: of the items `known`, then of the items asked
    fraction: share of the training labels in use; these items are among `known`
    """

    task: Labelled
    features: Features
    known: npt.NDArray[np.int64]
    fraction: float
    seed: int
    device: torch.device

    @cached_property
    def items(self) -> npt.NDArray[np.int64]:
        """The items (n,) whose labels are in use."""
        return self.task.subset(self.fraction, self.seed)

    @property
    def labels(self) -> Tensor:
        """Their labels, int64 (n,)."""
        return torch.from_numpy(self.task.dataset.labels[self.items]).to(self.device)

    def halves(self, features: Tensor) -> tuple[Tensor, Tensor]:
        """Rows of one of the features' tables: of the items in use, (n, D); asked, (A, D)."""
        rows = torch.from_numpy(np.searchsorted(self.known, self.items))
        return features[rows].to(self.device), features[len(self.known) :].to(self.device)

    def standardised(self) -> tuple[Tensor, Tensor]:
        """`halves` of the last features, by the mean and deviation of the items in use."""
        train, asked = self.halves(self.features.last)
        standardise = Standardiser.fit(train)
        return standardise(train), standardise(asked)

    def told(self, began: float) -> dict[str, Any]:
        """What every answer by frozen features says of itself. began: of `time.perf_counter`."""
        return {
            "label_count": len(self.items),
            "dim": self.features.last.shape[1],
            "seconds": time.perf_counter() - began,
        }


def check_learns(encoder: Encoder, protocols: Sequence[Protocol]) -> None:
    """Raise UsageError for an encoder without weights that learn, asked to."""
    trained = [protocol for protocol in protocols if protocol not in FROZEN]
    if trained and encoder.kind == "fixed":
        raise UsageError(
            f"{encoder.spec.name} has no weights that learn, so {', '.join(trained)} cannot be "
            f"measured; ask for {', '.join(FROZEN)}"
        )


def linear_answers(table: Table) -> Iterator[Answer]:
    """A linear probe of the last features, then of every stage that there is."""
    folds = table.task.folds(table.items, table.seed)
    done: list[tuple[Tensor, Answer]] = []
    for stage, features in table.features.named():
        # A CNN's last features often are its last stage averaged: no need to fit twice.
        twin = [answer for other, answer in done if torch.equal(other, features)]
        if twin:
            answer = Answer(stage, twin[0].predicted, twin[0].detail)
        else:
            began = time.perf_counter()
            train, asked = table.halves(features)
            probe = fit_linear_probe(train, table.labels, table.task.classes, folds)
            detail = {
                "penalty": probe.penalty,
                "inner_accuracy": probe.inner_accuracy,
                "dim": features.shape[1],
            }
            predicted = probe.predict(asked)
            answer = Answer(stage, predicted, {**table.told(began), **detail})
        done.append((features, answer))
        yield answer


def trained_answer(
    encoder: Encoder,
    task: Labelled,
    fraction: float,
    protocol: Protocol,
    *,
    settings: FinetuneSettings,
    seed: int,
    device: torch.device,
    reading: Reading | None = None,
    name: str = "",
    progress: Progress | None = None,
) -> Answer:
    """By `finetune`, from `encoder`; or `scratch`, from the same network at random.

    name: what is added to the protocol's where progress is told
    """
    items = task.subset(fraction, seed)
    predicted, detail = finetune(
        encoder if protocol == "finetune" else build_encoder(encoder.spec, seed),
        task.dataset,
        items,
        task.asked,
        task.folds(items, seed),
        task.watched,
        settings=settings,
        seed=seed,
        device=device,
        reading=reading,
        from_scratch=protocol == "scratch",
        name=f"{protocol}{name} on {len(items)} labels",
        progress=progress,
    )
    return Answer("last", predicted, detail)

"""Action recognition as a downstream task: what an encoder knows of what happens in a video.

Protocols: `linear` is a probe of the frozen encoder, `knn` retrieves the nearest videos, `finetune`
trains the encoder on, and `scratch` the same architecture from random weights. Beside every number
stands the same of one frame, for scenes alone may tell the class.
"""

from __future__ import annotations

import copy
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from scipy.special import comb
from torch import Tensor

from hotstart.config import Field, Protocol, Settings, Split
from hotstart.data.clips import FRAMES
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
from hotstart.downstream.knn import retrieve
from hotstart.downstream.labelled import Labelled, labelled
from hotstart.downstream.outcome import Outcome, Progress
from hotstart.downstream.reading import ClipWindows, Reading, Stills
from hotstart.encoders.encoder import Encoder
from hotstart.encoders.video import FrameEncoder

ONE_FRAME = "_one_frame"
"""Ends the name of a metric of one frame."""
RANKS = (1, 5)
"""Of recall."""


class ActionSettings(Settings):
    """How videos are read and, in `finetune` and `scratch`, learnt from."""

    frames: int = Field(default=FRAMES, ge=1)
    """Of a clip."""
    seconds: float | None = Field(default=None, gt=0)
    """From the first frame of a clip to its last; None: (frames - 1) / 8."""
    clips: int = Field(default=3, ge=1)
    """Of a video in evaluation, spread evenly over it."""
    training: FinetuneSettings = FinetuneSettings(batch_size=16, trial_folds=1)


def action(
    encoder: Encoder,
    dataset: Dataset,
    *,
    protocols: Sequence[Protocol] = FROZEN,
    labels: Sequence[float] = (1.0,),
    split: Split = "val",
    seed: int = 0,
    device: torch.device | str = "cpu",
    stages: bool = True,
    settings: ActionSettings | None = None,
    progress: Progress | None = None,
) -> Iterator[Outcome]:
    """Accuracy and recall on the videos of `split`, for each share of the labels and protocol.

    An encoder of clips reads `clips` clips of each video; one of pictures reads every frame of
    them by itself. Features are the mean over clips (so a linear probe's logits are), probabilities
    of a trained classifier too. Arguments, and what is chosen within which labels, as in
    `classify`; whole groups are in one split (see `open_dataset`).

    `linear`, `finetune` and `scratch` give `top1`, whose chance is the share of the largest class.
    `knn` gives `recall1` and `recall5`: the share of the videos that have one of their class among
    the 1 or 5 training videos nearest to them, by cosine of standardised features; its chance is
    that of as many training videos drawn at random. After Xu 2019 (Self-supervised spatiotemporal
    learning via video clip order prediction), who asks for clips, not videos, and does not
    standardise.

    Each is followed by the same with `_one_frame` behind its name: the frame in the middle of the
    video alone, shown to an encoder of clips as a clip in which nothing moves. Stages have none.

    Raises UsageError for an argument that is not allowed, DataError for data without videos, or
    whose labels will not do, as in `classify`.
    """
    dataset.require({"clip"})
    check_learns(encoder, protocols)
    task = labelled(dataset, split, protocols, labels)
    own = copy.deepcopy(encoder).to(device)
    run = _Run(
        FrameEncoder(own) if own.kind in ("cnn", "vit") else own,
        task,
        seed,
        torch.device(device),
        settings or ActionSettings(),
        progress,
    )
    return run.outcomes(protocols, sorted(set(labels), reverse=True), stages)


@dataclass(frozen=True)
class _Run:
    encoder: Encoder
    task: Labelled
    seed: int
    device: torch.device
    settings: ActionSettings
    progress: Progress | None

    @property
    def readings(self) -> dict[str, Reading]:
        """By what the names of their metrics end in."""
        own = self.settings
        if self.encoder.kind == "fixed":
            still = Stills()
        else:
            still = Stills(1 if isinstance(self.encoder, FrameEncoder) else own.frames)
        apart = self.encoder.kind == "fixed"
        return {"": ClipWindows(own.frames, own.seconds, own.clips, apart), ONE_FRAME: still}

    def outcomes(
        self, protocols: Sequence[Protocol], fractions: Sequence[float], stages: bool
    ) -> Iterator[Outcome]:
        if not set(FROZEN).isdisjoint(protocols):
            tables = self._tables(fractions, stages and "linear" in protocols)
            for i, fraction in enumerate(fractions):
                if "knn" in protocols:
                    for end, of in tables.items():
                        yield from self._recalls(of[i], end)
                if "linear" in protocols:
                    for end, of in tables.items():
                        for answer in linear_answers(of[i]):
                            yield self._top1(fraction, "linear", answer, end)
        for fraction in fractions:
            for protocol in protocols:
                if protocol not in FROZEN:
                    for end, reading in self.readings.items():
                        answer = trained_answer(
                            self.encoder,
                            self.task,
                            fraction,
                            protocol,
                            settings=self.settings.training,
                            seed=self.seed,
                            device=self.device,
                            reading=reading,
                            name=end.replace("_", " "),
                            progress=self.progress,
                        )
                        yield self._top1(fraction, protocol, answer, end)

    def _tables(self, fractions: Sequence[float], stages: bool) -> dict[str, list[Table]]:
        """Of each reading, one for each share of the labels."""
        # Subsets are nested: the largest one's features serve them all.
        known = self.task.subset(fractions[0], self.seed)
        items = np.concatenate([known, self.task.asked])
        tables = {}
        for end, reading in self.readings.items():
            features = extract(
                self.encoder,
                self.task.dataset,
                items,
                device=self.device,
                stages=stages and not end,
                reading=reading,
                progress=self.progress,
            )
            tables[end] = [
                Table(self.task, features, known, fraction, self.seed, self.device)
                for fraction in fractions
            ]
        return tables

    def _top1(self, fraction: float, protocol: Protocol, answer: Answer, end: str) -> Outcome:
        return self._outcome(fraction, protocol, answer, "top1" + end, self.task.chance)

    def _recalls(self, table: Table, end: str) -> Iterator[Outcome]:
        began = time.perf_counter()
        train, asked = table.standardised()
        nearest = table.labels[retrieve(train, asked, max(RANKS))].cpu()
        truth = torch.from_numpy(self.task.truth)
        known = np.bincount(table.labels.cpu().numpy(), minlength=self.task.classes)
        for rank in RANKS:
            found = found_class(nearest[:, :rank], truth)
            answer = Answer("last", found, table.told(began))
            chance = recall_chance(known, self.task.truth, rank)
            yield self._outcome(table.fraction, "knn", answer, f"recall{rank}{end}", chance)

    def _outcome(
        self, fraction: float, protocol: Protocol, answer: Answer, metric: str, chance: float
    ) -> Outcome:
        predictions = self.task.predictions(answer.predicted)
        read: dict[str, Any] = {"frames": 1}
        if not metric.endswith(ONE_FRAME):
            read = self.settings.model_dump(include={"frames", "seconds", "clips"})
        return Outcome(
            protocol=protocol,
            stage=answer.stage,
            labels=fraction,
            split=self.task.split,
            seed=self.seed,
            metric=metric,
            value=predictions.accuracy,
            chance=chance,
            predictions=predictions,
            detail={**self.task.detail, **read, **answer.detail},
        )


def found_class(nearest: Tensor, truth: Tensor) -> Tensor:
    """The class of the video asked for where it is among those found, else the nearest one's.

    nearest: int64 (Q, k), classes of those found, the nearest first; truth: int64 (Q,). Returns
    int64 (Q,): right where recall counts a hit.
    """
    hit = (nearest == truth[:, None]).any(1)
    return torch.where(hit, truth, nearest[:, 0])


def recall_chance(
    known: np.ndarray[Any, np.dtype[np.int64]],
    truth: np.ndarray[Any, np.dtype[np.int64]],
    rank: int,
) -> float:
    """Recall of `rank` training videos drawn at random, without replacement.

    known: int64 (K,), training videos of each class; truth: int64 (Q,), classes asked for
    """
    total = int(known.sum())
    taken = min(rank, total)
    missed = comb(total - known, taken, exact=False) / comb(total, taken, exact=False)
    return float(1 - missed[truth].mean())

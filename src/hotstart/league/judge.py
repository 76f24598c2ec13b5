"""What is measured of a contender of a race: a rank that needs no label, an answer to a few."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch

from hotstart.config import Protocol
from hotstart.data import Dataset, pretraining_split
from hotstart.downstream.classify import classify
from hotstart.downstream.features import extract
from hotstart.encoders import Encoder
from hotstart.errors import DataError
from hotstart.pretext.spread import rankme
from hotstart.training.diagnostics import diagnose, measure
from hotstart.training.loop import DIAGNOSED_FROM


@dataclass(frozen=True)
class Judged:
    """rank: RankMe of h; labels: top-1 accuracy, None where no labels are read.

    problem: why it cannot go on, in one sentence; None while all is well.
    """

    rank: float | None = None
    labels: float | None = None
    problem: str | None = None

    def value(self, by: str) -> float | None:
        """The measure that decides, `rank` or `labels`: more is better."""
        return self.rank if by == "rank" else self.labels


class Judge:
    """Measures every encoder on the same pictures and the same labels.

    dataset: what is pretrained on; RankMe is that of its held-out pictures. labelled: what is
    classified, on its validation split, with a `share` of the training labels; None: nothing is.
    Raises DataError where fewer than eight pictures are held out.
    """

    def __init__(
        self,
        dataset: Dataset,
        labelled: Dataset | None,
        *,
        protocol: Protocol,
        share: float,
        seed: int,
        device: torch.device,
    ) -> None:
        self.dataset, self.labelled, self.device = dataset, labelled, device
        self.protocol, self.share, self.seed = protocol, share, seed
        held = pretraining_split(dataset, dataset.excluded)[1]
        self.heldout = held[np.argsort(dataset.hashes[held], kind="stable")]
        if len(self.heldout) < DIAGNOSED_FROM:
            raise DataError(
                f"{dataset.name}: {len(self.heldout)} items are held out, a race needs "
                f"{DIAGNOSED_FROM} to see a collapse; give more data, or smaller groups by --group"
            )

    def __call__(self, encoder: Encoder) -> Judged:
        """The encoder is left bit for bit as it was."""
        features = extract(
            encoder, self.dataset, self.heldout, device=self.device, stages=False
        ).last
        if not bool(torch.isfinite(features).all()):
            return Judged(problem="Its features are not finite: lower its learning rate.")
        problem = diagnose(measure(features))
        return Judged(float(rankme(features)), self._accuracy(encoder), problem)

    def _accuracy(self, encoder: Encoder) -> float | None:
        if self.labelled is None:
            return None
        (outcome,) = classify(
            encoder,
            self.labelled,
            protocols=(self.protocol,),
            labels=(self.share,),
            split="val",
            seed=self.seed,
            device=self.device,
            stages=False,
        )
        return outcome.value

"""The kinds of downstream evaluation, known without torch."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import get_args

from hotstart.config import Protocol
from hotstart.errors import UsageError
from hotstart.pretext.registry import TASKS


@dataclass(frozen=True)
class Downstream:
    """A kind of evaluation: what it needs of the data, and by which protocols it measures."""

    needs: tuple[str, ...]
    """Sample keys."""
    frozen: tuple[Protocol, ...]
    trained: tuple[Protocol, ...]
    """Those whose control is the same training from random weights, `scratch`."""
    encoders: frozenset[str] = frozenset({"cnn", "vit", "video", "fixed"})
    """Kinds that it can measure; others take no part in it."""
    metrics: tuple[str, ...] = ("top1",)
    """The one that ranks the tasks first; stages are measured by that alone."""
    own_metrics: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    """The same of protocols that are measured by others."""

    def measured(self, protocol: str, stage: str | int = "last") -> tuple[str, ...]:
        """Every metric that `protocol` gives at `stage`."""
        found = self.own_metrics.get(protocol, self.metrics)
        return found if stage == "last" else found[:1]

    def known(self, on: str, asked: Sequence[Protocol]) -> tuple[Protocol, ...]:
        """Those of `asked` that this kind, called `on`, knows, and names that nobody does.

        Raises UsageError where none is left.
        """
        every = self.frozen + self.trained + (("scratch",) if self.trained else ())
        others = set(get_args(Protocol)) - set(every)
        found = tuple(protocol for protocol in asked if protocol not in others)
        if not found:
            raise UsageError(
                f"--on {on} is measured by {', '.join(every)}; asked was {', '.join(asked)}"
            )
        return found

    def protocols(self, task: str, asked: tuple[Protocol, ...]) -> tuple[Protocol, ...]:
        """Those of `asked` by which `task` is measured; `random` stands for `scratch` too.

        One whose encoder has no weights that learn is measured frozen alone.
        """
        frozen = tuple(p for p in asked if p in self.frozen)
        if task in TASKS and TASKS[task].encoder:
            return frozen
        trained = tuple(p for p in asked if p in self.trained)
        if task == "random":
            return (*frozen, "scratch") if trained else frozen
        return frozen + trained


OF_LABEL_MAPS = "--on {}: --ignore-index and --class-names are of label maps, for --on segment"
"""What is wrong with these options where no evaluation has label maps."""
WITH_MAPS = frozenset({"cnn", "vit"})
"""Encoders of pictures that have a map of features."""

DOWNSTREAM: dict[str, Downstream] = {
    "classify": Downstream(needs=("label",), frozen=("knn", "linear"), trained=("finetune",)),
    "action": Downstream(
        needs=("clip", "label"),
        frozen=("knn", "linear"),
        trained=("finetune",),
        metrics=("top1", "top1_one_frame"),
        own_metrics={"knn": ("recall1", "recall5", "recall1_one_frame", "recall5_one_frame")},
    ),
    "segment": Downstream(
        needs=("mask",),
        frozen=("linear",),
        trained=("finetune",),
        encoders=WITH_MAPS,
        metrics=("miou",),
    ),
    "detect": Downstream(
        needs=("boxes",),
        frozen=("linear",),
        trained=("finetune",),
        encoders=WITH_MAPS,
        metrics=("ap", "ap50", "ap75"),
    ),
}


def ranks_by(downstream: str, protocol: str, metric: str) -> bool:
    """Whether `protocol` ranks the tasks by `metric`; what nobody knows does."""
    known = DOWNSTREAM.get(downstream)
    return known is None or metric == known.measured(protocol)[0]

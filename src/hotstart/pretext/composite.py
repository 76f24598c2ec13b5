"""Several pretext tasks at once: one encoder, a head for each, balanced losses."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import replace
from functools import cache
from pathlib import Path
from typing import Any, ClassVar, cast

import torch
from pydantic import create_model
from torch import Tensor, nn

from hotstart.data import Subset
from hotstart.encoders import Encoder
from hotstart.errors import UsageError
from hotstart.pretext.distributed import gather
from hotstart.pretext.joint import check_orders, joint_needs, joint_optimiser
from hotstart.pretext.spread import PROJECTION_STD
from hotstart.pretext.task import (
    Batch,
    Draws,
    Epoch,
    Info,
    Panel,
    Player,
    PretextTask,
    Progress,
    Score,
    Settings,
    Step,
    Views,
)

JOINT = "tasks"
"""The player that moves the encoder."""
MEMORY = 100
"""Steps that the running mean of a loss looks back on."""
LEAST = 1e-8
"""By which a loss is divided at least."""


class Composite(PretextTask):
    """One encoder learns from several pretext tasks, each with views and heads of its own.

    Doersch & Zisserman 2017 (arXiv:1708.07860), the naive multi-task network of figure 1a. One
    player moves the encoder, and all weights that the player of each task who moves the encoder
    moves, on

        L = sum over tasks i of l_i / m_i,    m_i <- m_i + (|l_i| - m_i) / min(t, 100)

    where m_i, the running mean of the loss l_i up to and with step t, gets no gradient: a task
    counts by how it gets better, not by the unit of its loss. Other players (adversaries) play as
    they do alone, each on its own loss, those of a task that come before its encoder's player
    before the common one.

    Deviations: each loss divided by its running mean; all tasks on the same pictures in every step;
    neither lasso nor harmonised inputs; `h` of the whole encoder for all tasks.

    Views, draws and what is carried bear the name of their task: to add one changes the draws of
    none, and each begins with the heads that it would have alone.
    """

    tasks: ClassVar[Mapping[str, type[PretextTask]]]
    running_mean: Tensor
    steps: Tensor

    def __init__(self, encoder: Encoder, settings: Any, info: Info) -> None:
        super().__init__(encoder, settings, info)
        self.parts = nn.ModuleList()
        self.owners: dict[str, str] = {}
        for name, cls in self.tasks.items():
            # Each begins with the same random numbers, whoever else is there.
            torch.manual_seed(torch.initial_seed())
            part = cls(encoder, getattr(settings, name), info)
            self.parts.append(part)
            self.owners[name] = _owner(name, part)
        # What a task reads may hang on its settings.
        self.needs = joint_needs(self.named_parts)  # type: ignore[misc]
        self.register_buffer("running_mean", torch.ones(len(self.parts)))
        self.register_buffer("steps", torch.zeros((), dtype=torch.int64))

    @property
    def named_parts(self) -> dict[str, PretextTask]:
        """The tasks by their names, in the order in which they were named."""
        return dict(zip(self.tasks, cast(Iterable[PretextTask], self.parts), strict=True))

    def trivial(self, rows: int) -> float | None:
        """Of the first task, whose metric is the headline."""
        return next(iter(self.named_parts.values())).trivial(rows)

    def prepare(self, dataset: Subset, cache: Path, rng: Draws) -> None:
        """Each task prepares itself."""
        for name, part in self.named_parts.items():
            part.prepare(dataset, cache, rng.named(name))

    def before_epoch(self, features: Callable[[], Tensor], rng: Draws) -> Epoch:
        """What each task resets, and the order of the one that has an order."""
        once = cache(features)
        asked = [
            part.before_epoch(once, rng.named(name)) for name, part in self.named_parts.items()
        ]
        orders = {n: e.order for n, e in zip(self.tasks, asked, strict=True) if e.order is not None}
        check_orders(self.tasks, list(orders))
        order = next(iter(orders.values()), None)
        return Epoch([weight for epoch in asked for weight in epoch.reset], order)

    def views(self, batch: Batch, rng: Draws) -> Views:
        """The views of every task, `rotation/image` ..., each from draws of its own."""
        return {
            key: view
            for name, part in self.named_parts.items()
            for key, view in _named(name, part.views(batch, rng.named(name)), "/").items()
        }

    def players(self) -> dict[str, Player]:
        """One for the encoder and every task's part in it; the others about it, as they are."""
        before: dict[str, Player] = {}
        after: dict[str, Player] = {}
        joint: dict[int, nn.Parameter] = {}
        for name, part in self.named_parts.items():
            place = before
            for player, own in part.players().items():
                if player == self.owners[name]:
                    joint |= {id(weight): weight for weight in own.parameters}
                    place = after
                else:
                    place[f"{name}/{player}"] = own
        return {**before, JOINT: Player(list(joint.values()), self.optimiser), **after}

    def forward(self, views: Views, progress: Progress, player: str) -> Step:
        """The sum of the balanced losses, each 1 where it is what it was of late; or another's own.

        Metrics bear their task's name, `rotation.accuracy`; `rotation.loss` is its loss as it is
        alone. `projection_std` is the least of those that tell it.
        """
        if player != JOINT:
            name, _, own = player.rpartition("/")
            step = self.named_parts[name](_of(name, views), progress, own)
            return Step(step.loss, _named(name, step.metrics, "."), _named(name, step.carry, "/"))
        metrics: dict[str, Tensor] = {}
        carry: dict[str, Tensor] = {}
        losses, spreads = [], []
        for name, part in self.named_parts.items():
            step = part(_of(name, views), progress, self.owners[name])
            losses.append(step.loss)
            metrics |= _named(name, {**step.metrics, "loss": step.loss.detach()}, ".")
            carry |= _named(name, step.carry, "/")
            if PROJECTION_STD in step.metrics:
                spreads.append(step.metrics[PROJECTION_STD])
        if spreads:
            metrics[PROJECTION_STD] = torch.stack(spreads).min()
        loss = torch.stack(losses)
        return Step((loss / self._scale(loss)).sum(), metrics, carry)

    @torch.no_grad()
    def _scale(self, loss: Tensor) -> Tensor:
        """Running means of the losses (n,), of all processes; training takes these in too."""
        if self.training:
            self.steps += 1
            now = gather(loss[None]).mean(0).abs()
            share = 1 / self.steps.clamp(max=MEMORY)
            self.running_mean += (now - self.running_mean) * share
        return self.running_mean.clamp_min(LEAST)

    def after_step(self, step: Step, progress: Progress) -> None:
        """Every task's teachers, queues, centres, from what it carried itself."""
        for name, part in self.named_parts.items():
            metrics = _of(name, step.metrics, ".")
            loss = metrics.pop("loss")
            part.after_step(Step(loss, metrics, _of(name, step.carry)), progress)

    def exports(self) -> Mapping[str, Encoder]:
        """Those of all tasks; where two use the same name, `TASK-NAME`."""
        found = [
            (task, n, e)
            for task, part in self.named_parts.items()
            for n, e in part.exports().items()
        ]
        names = [name for _, name, _ in found]
        return {
            name if names.count(name) == 1 else f"{task.rpartition(':')[2]}-{name}": encoder
            for task, name, encoder in found
        }

    @torch.no_grad()
    def score(self, batches: Iterable[Batch], rng: Draws) -> Score:
        """Each task's own scores, the headline of the first one in front."""
        scores = []
        for name, part in self.named_parts.items():
            score = part.score(batches, rng.named(name))
            for one in (score, *score.others):
                scores.append(replace(one, metric=f"{name}.{one.metric}", others=()))
        return replace(scores[0], others=tuple(scores[1:]))

    @torch.no_grad()
    def panels(self, batch: Batch, rng: Draws, *, answers: bool = True) -> list[Panel]:
        """Those of all tasks."""
        return [
            panel
            for name, part in self.named_parts.items()
            for panel in part.panels(batch, rng.named(name), answers=answers)
        ]


class Generative(Composite):
    """Several tasks, of which one at least makes pictures."""

    @torch.no_grad()
    def generate(self, batch: Batch, rng: Draws) -> Tensor | None:
        """What the first task makes that makes pictures."""
        made = (part.generate(batch, rng.named(name)) for name, part in self.named_parts.items())
        return next((pictures for pictures in made if pictures is not None), None)


def compose(tasks: Mapping[str, type[PretextTask]]) -> type[PretextTask]:
    """The class for several tasks at once.

    It reads what any of them needs, on encoders that all of them accept. Its batch is the smallest
    of theirs, since a step does the work of all. Its settings hold theirs by name. Raises
    UsageError where they cannot be combined.
    """
    names = "+".join(tasks)
    classes = list(tasks.values())
    accepts = frozenset.intersection(*(cls.accepts for cls in classes))
    if not accepts:
        told = ", ".join(
            f"{name} {' or '.join(sorted(cls.accepts))}" for name, cls in tasks.items()
        )
        raise UsageError(
            f"--task {names}: no encoder suits all: {told}; combine tasks that train the same kind"
        )
    named = [cls.encoders for cls in classes if cls.encoders]
    ordered = [name for name, cls in tasks.items() if cls.own_order]
    check_orders(tasks, ordered)
    needs = joint_needs(tasks)
    first = next(iter(tasks))
    rows = min(cls.batch_size for cls in classes)
    made = any(cls.generate is not PretextTask.generate for cls in classes)
    base = Generative if made else Composite
    fields: dict[str, Any] = {name: (cls.Settings, cls.Settings()) for name, cls in tasks.items()}
    idea = f"Several tasks at once, on one encoder: {', '.join(tasks)}."
    members = {
        "__doc__": f"{idea}\n\n{Composite.__doc__}",
        "__module__": __name__,
        "tasks": dict(tasks),
        "needs": needs,
        "accepts": accepts,
        "encoders": tuple(n for n in named[0] if all(n in one for one in named)) if named else (),
        "uses_labels": any(cls.uses_labels for cls in classes),
        "own_order": bool(ordered),
        "metric": f"{first}.{tasks[first].metric}",
        "Settings": create_model("CompositeSettings", __base__=Settings, **fields),
        "optimiser": joint_optimiser(classes, rows),
        "batch_size": rows,
    }
    return type(base.__name__, (base,), members)


def _owner(name: str, part: PretextTask) -> str:
    """Which of its players moves the encoder."""
    shared = {id(weight) for weight in part.encoder.parameters()}
    found = [
        player
        for player, own in part.players().items()
        if any(id(weight) in shared for weight in own.parameters)
    ]
    if len(found) != 1:
        raise UsageError(
            f"{name} cannot be combined: {len(found) or 'none'} of its players move the encoder, "
            "and one must"
        )
    return found[0]


def _named(name: str, tensors: Mapping[str, Tensor], between: str) -> dict[str, Tensor]:
    return {f"{name}{between}{key}": tensor for key, tensor in tensors.items()}


def _of(name: str, tensors: Mapping[str, Tensor], between: str = "/") -> dict[str, Tensor]:
    """Those that bear this name, without it."""
    head = name + between
    return {
        key.removeprefix(head): tensor for key, tensor in tensors.items() if key.startswith(head)
    }

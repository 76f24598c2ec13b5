"""The one training loop. It knows the interface of a pretext task and no task by name."""

from __future__ import annotations

import time
from collections.abc import Generator
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import torch
from lightning_fabric import Fabric
from torch import Tensor, nn

from hotstart.augment import centre_clip, centre_view
from hotstart.data import Dataset, Subset
from hotstart.data.draws import Draws
from hotstart.data.entries import default_cache_folder
from hotstart.data.loader import Loader
from hotstart.data.sample import Batch, Spec, to_device
from hotstart.pretext.spread import PROJECTION_RANK, PROJECTION_STD
from hotstart.pretext.task import Epoch, PretextTask, Progress, Step
from hotstart.training import checkpoint
from hotstart.training.diagnostics import check_finite, diagnose, measure
from hotstart.training.log import Log
from hotstart.training.optimisers import build_optimiser, forget, set_rate

LOG_LINES = 500
HEALTH_CHECKS = 20
HEALTH_PICTURES = 256
DIAGNOSED_FROM = 8
"""Fewer held-out pictures may be alike, and span few dimensions, without anything being wrong."""
FEATURE_BATCH = 256


@dataclass(frozen=True)
class Material:
    """The pictures of a run: positions in `dataset` to train on and to hold out."""

    dataset: Dataset
    train: npt.NDArray[np.int64]
    heldout: npt.NDArray[np.int64]


@dataclass(frozen=True)
class Plan:
    """What the loop needs to know beside task and pictures."""

    seed: int
    batch_size: int
    total_steps: int
    checkpoint_seconds: float
    folder: Path | None
    """Where checkpoints go; None = nowhere."""


class _Play(nn.Module):
    """A task's forward pass in terms that Fabric and DDP can carry: tensors and plain values."""

    def __init__(self, task: PretextTask) -> None:
        super().__init__()
        self.task = task

    def forward(
        self, views: dict[str, Tensor], step: int, total_steps: int, player: str
    ) -> tuple[Tensor, dict[str, Tensor], dict[str, Tensor]]:
        result = self.task(views, Progress(step, total_steps), player)
        return result.loss, result.metrics, result.carry


class Loop:
    """Trains a task step by step, from any step on, the same way every time."""

    def __init__(
        self, task: PretextTask, material: Material, plan: Plan, fabric: Fabric, log: Log
    ) -> None:
        self.task, self.material, self.plan = task, material, plan
        # Before anything is moved to a device, or weights are known to an optimiser.
        items = len(material.train)
        rng = Draws(plan.seed, 0, total=items, names=("prepare",))
        task.prepare(Subset(material.dataset, material.train), default_cache_folder(), rng)
        self.fabric, self.log = fabric, log
        self.players = task.players()
        self.module = fabric.setup_module(_Play(task), move_to_device=True)
        built = [
            build_optimiser(player.parameters, player.optimiser, plan.batch_size)
            for player in self.players.values()
        ]
        ready = fabric.setup_optimizers(*built)
        self.optimisers = dict(
            zip(self.players, [ready] if len(built) == 1 else ready, strict=True)
        )
        self.world, self.rank = fabric.world_size, fabric.global_rank
        self.rows = plan.batch_size // self.world
        self.epoch_steps = max(len(material.train) // plan.batch_size, 1)
        # Position in the pretraining set of each item of the data set.
        self.position = torch.zeros(len(material.dataset), dtype=torch.int64)
        self.position[material.train] = torch.arange(len(material.train))
        self.step = 0
        self.seconds = 0.0
        self.epoch_plan = Epoch()
        self._saved_at = self._mark = time.perf_counter()

    def run(self, stop: int | None = None) -> Generator[int, None, None]:
        """Train to `stop` (default: the end); yields the number of steps done after each one."""
        stop = self.plan.total_steps if stop is None else stop
        self.module.train()
        self._saved_at = self._mark = time.perf_counter()
        while self.step < stop:
            epoch, inside = divmod(self.step, self.epoch_steps)
            if inside == 0:
                rng = Draws(self.plan.seed, epoch, total=self.items, names=("epoch",))
                self.epoch_plan = self.task.before_epoch(self.features, rng)
                for optimiser in self.optimisers.values():
                    forget(optimiser.optimizer, self.epoch_plan.reset)
            with self._loader(epoch, inside) as batches:
                for batch in batches:
                    self._one_step(to_device(batch, self.fabric.device))
                    self.step += 1
                    if time.perf_counter() - self._saved_at > self.plan.checkpoint_seconds:
                        self.save()
                    if self.step == self.plan.total_steps:
                        self.save()
                    yield self.step
                    if self.step >= stop:
                        return

    @property
    def items(self) -> int:
        """Pictures in the pretraining set."""
        return len(self.material.train)

    def _loader(self, epoch: int, inside: int) -> Loader:
        order = self.epoch_plan.order
        if order is None:
            seed = np.random.SeedSequence([self.plan.seed, epoch, 1])
            order = np.random.default_rng(seed).permutation(self.items)
        return Loader(
            self.material.dataset,
            self.task.needs,
            self.material.train[order],
            batch_size=self.plan.batch_size,
            rank=self.rank,
            world=self.world,
            start_batch=inside,
            seed=self.plan.seed,
            first_step=epoch * self.epoch_steps,
        )

    def _one_step(self, batch: Batch) -> None:
        plan = self.plan
        seed = np.random.SeedSequence([plan.seed, self.step, self.rank])
        torch.manual_seed(int(seed.generate_state(1)[0]))
        first = self.rank * self.rows
        rng = Draws(
            plan.seed, self.step, total=plan.batch_size, start=first, stop=first + self.rows
        )
        if "index" in batch:
            batch["index"] = self.position.to(batch["index"].device)[batch["index"]]
        views = self.task.views(batch, rng)
        metrics: dict[str, Tensor] = {}
        carry: dict[str, Tensor] = {}
        losses: dict[str, Tensor] = {}
        rate = 0.0
        for name, player in self.players.items():
            self._turn(name)
            optimiser = self.optimisers[name]
            rate = set_rate(optimiser, self.step, plan.total_steps, player.optimiser.warmup)
            loss, seen, carried = self.module(views | carry, self.step, plan.total_steps, name)
            optimiser.zero_grad(set_to_none=True)
            self.fabric.backward(loss)
            optimiser.step()
            losses[name] = loss.detach()
            metrics.update(seen)
            carry.update({key: value.detach() for key, value in carried.items()})
        total = torch.stack(list(losses.values())).sum()
        result = Step(total, metrics, carry)
        self.task.after_step(result, Progress(self.step, plan.total_steps))
        now = time.perf_counter()
        self.seconds += now - self._mark
        self._mark = now
        self._report(result, losses, rate)

    def _turn(self, name: str) -> None:
        """Only the player whose turn it is collects gradients."""
        if len(self.players) == 1:
            return
        for other, player in self.players.items():
            for weight in player.parameters:
                weight.requires_grad_(other == name)

    def _report(self, result: Step, losses: dict[str, Tensor], rate: float) -> None:
        total, step = self.plan.total_steps, self.step
        last = step == total - 1
        if step % max(total // LOG_LINES, 1) == 0 or last:
            for name, loss in losses.items():
                check_finite(loss, step, name, rate)
            self.log.write(
                "step",
                step=step,
                epoch=round(step / self.epoch_steps, 3),
                loss=float(result.loss),
                learning_rate=rate,
                images_per_second=round(self.plan.batch_size * (step + 1) / self.seconds, 1),
                seconds=round(self.seconds, 3),
                metrics={name: float(value) for name, value in result.metrics.items()},
            )
        if step % max(total // HEALTH_CHECKS, 1) == 0 or last:
            self._check_health(result.metrics)

    def _check_health(self, metrics: dict[str, Tensor]) -> None:
        if self.rank or len(self.material.heldout) < 2:
            return
        health = measure(self._encode(self.material.heldout[:HEALTH_PICTURES]))
        self.log.write("health", step=self.step, **asdict(health))
        told = {
            name: float(metrics[name])
            for name in (PROJECTION_STD, PROJECTION_RANK)
            if name in metrics
        }
        sentence = diagnose(health, **told)
        enough = len(self.material.heldout) >= DIAGNOSED_FROM
        if sentence and enough and self.step:
            self.log.write("diagnosis", step=self.step, message=sentence)

    def features(self) -> Tensor:
        """H (N, D) of the whole pretraining set, on the CPU; the work is shared by processes."""
        share = -(-self.items // self.world)
        mine = self.material.train[self.rank * share : (self.rank + 1) * share]
        own = self._encode(mine)
        if self.world == 1:
            return own
        padded = torch.zeros(share, own.shape[1])
        padded[: len(own)] = own
        everyone = self.fabric.all_gather(padded.to(self.fabric.device))
        assert isinstance(everyone, Tensor)
        return everyone.reshape(-1, own.shape[1])[: self.items].cpu()

    @torch.no_grad()
    def _encode(self, indices: npt.NDArray[np.int64]) -> Tensor:
        encoder = self.task.encoder.eval()
        parts = []
        for start in range(0, len(indices), FEATURE_BATCH):
            views = self._plain(indices[start : start + FEATURE_BATCH])
            parts.append(encoder(views).float().cpu())
        self.module.train()
        return torch.cat(parts)

    def _plain(self, indices: npt.NDArray[np.int64]) -> Tensor:
        """Evaluation views; for an encoder of clips, those in the middle of the videos."""
        dataset, size = self.material.dataset, self.task.info.size
        if self.task.encoder.kind == "video":
            clips = dataset.batch(indices, {"clip": Spec()})["clip"]
            return centre_clip(clips.to(self.fabric.device), size)
        return centre_view(dataset.pictures.get(indices).to(self.fabric.device), size)

    def save(self) -> None:
        """Write a checkpoint (rank 0 alone)."""
        self._saved_at = time.perf_counter()
        if self.plan.folder is None or self.rank:
            return
        order = self.epoch_plan.order
        state: dict[str, Any] = {
            "step": self.step,
            "items": self.items,
            "seconds": self.seconds,
            "task": self.task.state_dict(),
            "optimisers": {name: o.state_dict() for name, o in self.optimisers.items()},
            "order": None if order is None else torch.from_numpy(order),
        }
        checkpoint.save(self.plan.folder, self.step, state)

    def restore(self, path: Path) -> None:
        """Go on from a checkpoint as if nothing had happened."""
        state = checkpoint.load(path)
        self.task.load_state_dict(state["task"])
        for name, optimiser in self.optimisers.items():
            optimiser.load_state_dict(state["optimisers"][name])
        order = state["order"]
        self.epoch_plan = Epoch(order=None if order is None else order.numpy())
        self.step, self.seconds = state["step"], state["seconds"]
        self.log.write("resume", resumed_at=self.step)

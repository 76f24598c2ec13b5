"""One pretraining run from settings to encoder: the loop, its budget, its final score."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from lightning_fabric import Fabric

from hotstart.config import PretrainSettings, parse
from hotstart.data.allocator import keep_memory
from hotstart.data.draws import Draws
from hotstart.data.sample import to_device
from hotstart.encoders import EncoderSpec, build_encoder, encoder_kind, save_encoder
from hotstart.errors import UsageError
from hotstart.pretext.registry import find, own_settings, task_class
from hotstart.pretext.task import Info, PretextTask, Score
from hotstart.training import checkpoint
from hotstart.training import folder as files
from hotstart.training.beginning import Beginning
from hotstart.training.budget import steps_for_epochs, steps_for_minutes
from hotstart.training.compilation import compile_choice, compile_encoders, machine_words
from hotstart.training.device import check_accelerator
from hotstart.training.heldout import HeldoutBatches
from hotstart.training.log import Listener, Log
from hotstart.training.loop import Loop, Material, Plan
from hotstart.training.memory import peak_memory_bytes

PANEL_PICTURES = 512


@dataclass(frozen=True)
class Outcome:
    """What a finished run leaves for its record."""

    settings: PretrainSettings
    score: Score
    steps: int
    seconds: float
    images: int
    peak_memory_bytes: int


def check_encoder(task: str, encoder: str) -> None:
    """Raise UsageError where `task` cannot train `encoder`."""
    cls = task_class(task)
    if not trains(task, encoder):
        raise UsageError(
            f"{task} trains a {' or a '.join(cls.encoders or sorted(cls.accepts))}, got --encoder "
            f"{encoder!r}, a {encoder_kind(encoder)}; "
            f"without --encoder it takes {find(task).encoder or 'one that fits'}"
        )


def trains(task: str, encoder: str) -> bool:
    """Whether `task` can train `encoder`."""
    cls = task_class(task)
    return encoder_kind(encoder) in cls.accepts and encoder in (cls.encoders or (encoder,))


def build_task(
    settings: PretrainSettings,
    material: Material,
    total_steps: int,
    beginning: Beginning | None = None,
) -> PretextTask:
    """A new task: the same weights for the same settings, or those of `beginning`."""
    check_encoder(settings.task, settings.encoder)
    cls = task_class(settings.task)
    own = parse(cls.Settings, own_settings(settings.task, settings.task_settings), settings.task)
    spec = EncoderSpec(name=settings.encoder, size=settings.size, stem=settings.stem)
    info = Info(
        items=len(material.train),
        size=settings.size,
        batch_size=settings.batch_size,
        total_steps=total_steps,
        classes=len(material.dataset.classes),
        class_names=tuple(material.dataset.classes),
    )
    encoder = build_encoder(spec, settings.seed)
    if beginning is not None:
        beginning.fill_encoder(encoder)
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(settings.seed + 1)
        task = cls(encoder, own, info)
    if beginning is not None:
        beginning.fill_heads(task)
    changes = settings.optimiser_changes
    if changes:
        task.optimiser = task.optimiser.model_copy(update=changes)  # type: ignore[misc]
    return task


def make_fabric(settings: PretrainSettings) -> Fabric:
    """Fabric for the asked devices; many processes talk by DDP."""
    check_accelerator(settings.accelerator)
    keep_memory()
    many = settings.devices * settings.nodes > 1
    return Fabric(
        accelerator=settings.accelerator,
        devices=settings.devices,
        num_nodes=settings.nodes,
        strategy="ddp_find_unused_parameters_true" if many else "auto",
        precision=settings.precision,
    )


def train(
    settings: PretrainSettings,
    material: Material,
    folder: Path,
    fabric: Fabric,
    listener: Listener | None = None,
    beginning: Beginning | None = None,
) -> Outcome | None:
    """Train, or go on training, the run in `folder`; None on all ranks but the first.

    beginning: the weights that a run begins with; not needed to go on.
    """
    log = Log(folder if fabric.is_global_zero else None, listener)
    try:
        settings, loop = begin(settings, material, folder, fabric, log, beginning)
        for _ in loop.run():
            pass
        leave_group()
        if not fabric.is_global_zero:
            return None
        score = _finish(loop, folder, settings)
        peak = peak_memory_bytes()
        log.write(
            "end",
            seconds=round(loop.seconds, 3),
            steps=loop.step,
            images=loop.step * settings.batch_size,
            peak_memory_bytes=peak,
            metric=score.metric,
            value=score.value,
            trivial=score.trivial,
            others=[
                {
                    "metric": other.metric,
                    "value": other.value,
                    "trivial": other.trivial,
                    **({} if other.among is None else {"among": list(other.among)}),
                }
                for other in score.others
            ],
        )
        return Outcome(
            settings, score, loop.step, loop.seconds, loop.step * settings.batch_size, peak
        )
    finally:
        log.close()


def begin(
    settings: PretrainSettings,
    material: Material,
    folder: Path,
    fabric: Fabric,
    log: Log,
    beginning: Beginning | None = None,
) -> tuple[PretrainSettings, Loop]:
    """The run in `folder` at the step that it is at, and its settings with the steps counted."""
    settings = fix_steps(settings, material, fabric)
    if fabric.is_global_zero:
        files.write_settings(folder, settings)
    assert settings.steps is not None
    where = folder / files.CHECKPOINTS
    loop = new_loop(settings, material, fabric, log, settings.steps, where, beginning)
    start = _start_event(settings, loop, beginning)
    saved = checkpoint.newest(folder / files.CHECKPOINTS)
    log.write("start", **start)
    if saved is not None:
        loop.restore(saved)
    elif beginning is not None:
        loop.save()  # from now on it goes on without its beginning
    return settings, loop


def counted_steps(settings: PretrainSettings, items: int) -> int | None:
    """Steps that the budget comes to on `items` pictures; None where it has to be timed."""
    most = task_class(settings.task).max_steps
    steps = settings.steps
    if steps is None and settings.epochs is not None:
        steps = steps_for_epochs(settings.epochs, items, settings.batch_size)
    return steps if most is None else min(steps or most, most)


def fix_steps(settings: PretrainSettings, material: Material, fabric: Fabric) -> PretrainSettings:
    """Turn the budget into steps, unless it already is; minutes are timed."""
    steps = counted_steps(settings, len(material.train))
    if steps is None:
        assert settings.minutes is not None
        # Data that take long to compute, once, are no part of the budget.
        material.dataset.require(build_task(settings, material, 1).needs)
        silent = Log(None)
        steps = steps_for_minutes(
            settings.minutes, lambda: new_loop(settings, material, fabric, silent, 1000, None)
        )
        steps = int(fabric.broadcast(steps))
    return settings.model_copy(update={"steps": steps})


def new_loop(
    settings: PretrainSettings,
    material: Material,
    fabric: Fabric,
    log: Log,
    total_steps: int,
    checkpoints: Path | None,
    beginning: Beginning | None = None,
) -> Loop:
    """At step 0. checkpoints: where they go; None = nowhere."""
    task = build_task(settings, material, total_steps, beginning)
    plan = Plan(
        seed=settings.seed,
        batch_size=settings.batch_size,
        total_steps=total_steps,
        checkpoint_seconds=settings.checkpoint_seconds,
        folder=checkpoints,
    )
    if compile_choice(settings.compile, fabric.device, total_steps)[0]:
        compile_encoders(task)
    return Loop(task, material, plan, fabric, log)


def _start_event(
    settings: PretrainSettings, loop: Loop, beginning: Beginning | None
) -> dict[str, Any]:
    device, total = loop.fabric.device, loop.plan.total_steps
    _, compiling = compile_choice(settings.compile, device, total)
    return {
        "task": settings.task,
        "encoder": settings.encoder,
        "data": settings.data,
        "total_steps": total,
        "batch_size": settings.batch_size,
        "images": loop.items,
        "heldout": len(loop.material.heldout),
        "begins_with": None if beginning is None else beginning.told(loop.task),
        "passed_over": loop.material.dataset.lacking(loop.task.needs),
        "metric": loop.task.metric,
        "trivial": loop.task.trivial(settings.batch_size),
        "dim": loop.task.encoder.dim,
        "processes": loop.world,
        "machine": machine_words(loop.task, device, compiling),
    }


def leave_group() -> None:
    """What follows is one process's work: the others leave."""
    if torch.distributed.is_available() and torch.distributed.is_initialized():
        torch.distributed.barrier()
        torch.distributed.destroy_process_group()


def _finish(loop: Loop, folder: Path, settings: PretrainSettings) -> Score:
    """Score on held-out pictures, draw the panels, write `encoder.safetensors` last."""
    task, device = loop.task, loop.fabric.device
    task.eval()
    rng = Draws(settings.seed, 0, total=1, names=("score",))
    score = task.score(HeldoutBatches(loop.material, task.needs, device), rng)
    shown = loop.material.heldout[:PANEL_PICTURES]
    if len(shown):
        batch = to_device(loop.material.dataset.batch(shown, task.needs), device)
        rng = Draws(settings.seed, 0, total=len(shown), names=("panels",))
        for panel in task.panels(batch, rng):
            files.write_panel(folder, settings.task, panel)
    for name, encoder in task.exports().items():
        save_encoder(encoder, folder / files.EXPORT.format(name))
    save_encoder(task.encoder, folder / files.ENCODER)
    return score


__all__ = [
    "Material",
    "Outcome",
    "begin",
    "build_task",
    "check_encoder",
    "counted_steps",
    "fix_steps",
    "make_fabric",
    "new_loop",
    "peak_memory_bytes",
    "train",
    "trains",
]

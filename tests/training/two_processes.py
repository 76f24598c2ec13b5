"""Run by torchrun: a short run whose result must not depend on the number of processes."""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any

import torch
from lightning_fabric import Fabric
from torch import nn

from hotstart.data.dataset import add_real
from hotstart.encoders.cnn import CnnEncoder
from hotstart.training.log import Log
from hotstart.training.loop import Loop, Plan
from hotstart.training.train import build_task, leave_group
from tests.conformance.material import kind_of, material_from, settings_for

STEPS = 3


def without_batch_statistics(module: nn.Module) -> None:
    """GroupNorm for BatchNorm: torch shares batch statistics between GPUs alone."""
    for name, child in module.named_children():
        if isinstance(child, nn.modules.batchnorm._BatchNorm):
            setattr(module, name, nn.GroupNorm(1, child.num_features))
        else:
            without_batch_statistics(child)
    if isinstance(module, CnnEncoder):
        # What reads its weights at another stride is no part of it, and made when it is asked for.
        borrowing = module._dilated

        def dilated(stride: int) -> nn.Module:
            twin = borrowing(stride)
            without_batch_statistics(twin)
            return twin

        module._dilated = dilated  # type: ignore[method-assign]


def train(
    fabric: Fabric, folders: dict[str, str], task_name: str, own: dict[str, Any]
) -> dict[str, dict[str, torch.Tensor] | torch.Tensor]:
    """Weights after training, the gradient of the last step, features. own: the task's settings.

    folders: of each kind of material, by the name of its fixture.
    """
    torch.manual_seed(0)
    material = material_from(Path(folders[kind_of(task_name)]))
    if "adapt" in own:
        add_real(material.dataset, folders["class_folder"])
    rows = min(len(material.train) // 10 * 2, 32)
    settings = settings_for(
        task_name, rows, optimizer="sgd", learning_rate=0.05, task_settings={task_name: own}
    )
    task = build_task(settings, material, STEPS)
    without_batch_statistics(task)
    loop = Loop(task, material, Plan(0, rows, STEPS, 1e9, None), fabric, Log(None))
    list(loop.run())
    gradients = {n: p.grad for n, p in task.named_parameters() if p.grad is not None}
    return {"state": task.state_dict(), "grad": gradients, "features": loop.features()}


def main(
    folders: dict[str, str], out: Path, processes: int, cases: list[tuple[str, dict[str, Any]]]
) -> None:
    """Train one case (task, its settings) after the other; `out/NUMBER.pt` is what came of it.

    One launch serves them all: to start a process takes longer than to train one.
    """
    fabric = Fabric(
        accelerator="cpu",
        devices=processes,
        # In double precision what is left is the order of sums, and not a bug within rounding.
        precision="64-true",
        strategy="ddp_find_unused_parameters_true" if processes > 1 else "auto",
    )
    fabric.launch()
    for number, (task, own) in enumerate(cases):
        found = train(fabric, folders, task, own)
        if fabric.is_global_zero:
            torch.save(found, out / f"{number}.pt")
    leave_group()


if __name__ == "__main__":
    told, out, processes, cases = sys.argv[1:]
    main(json.loads(told), Path(out), int(processes), json.loads(cases))

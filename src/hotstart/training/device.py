"""The device that is worked on, or in one sentence why there is none."""

from __future__ import annotations

import torch
from lightning_fabric import Fabric

from hotstart.errors import UsageError

ACCELERATORS = ("auto", "cpu", "cuda", "mps")


def check_accelerator(accelerator: str) -> None:
    """Raise UsageError unless it is a name, and this machine has such a device."""
    there = {"cuda": torch.cuda.is_available(), "mps": torch.backends.mps.is_available()}
    usable = [name for name in ACCELERATORS if there.get(name, True)]
    if accelerator not in usable:
        raise UsageError(
            f"--accelerator {accelerator}: this machine has none of that name; "
            f"here it can be {', '.join(usable)}"
        )


def pick_device(accelerator: str) -> torch.device:
    """The one device for everything but training. Raises as `check_accelerator`."""
    check_accelerator(accelerator)
    return Fabric(accelerator=accelerator, devices=1).device

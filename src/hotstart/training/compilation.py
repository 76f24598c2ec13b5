"""Whether `torch.compile` pays for a run."""

from __future__ import annotations

import shutil
from typing import Literal

import torch

from hotstart.encoders.encoder import Encoder
from hotstart.errors import UsageError
from hotstart.pretext.task import PretextTask

Compile = Literal["auto", "on", "off"]

WORTH_STEPS = 5_000
"""Compiling takes about a minute; a shorter run on a GPU does not earn it back for certain."""
COMPILERS = ("c++", "g++", "clang++", "cl")


def compile_choice(asked: Compile, device: torch.device, total_steps: int) -> tuple[bool, str]:
    """Whether to compile, and the words that say why, as "not compiled: ...".

    It depends on what was asked, the device and the length of the run alone, so that a resumed run
    goes on as it began. Raises UsageError for `on` on a CPU without a C++ compiler.
    """
    if asked == "off":
        return False, "not compiled, as asked"
    if asked == "on":
        if device.type == "cpu" and not any(map(shutil.which, COMPILERS)):
            raise UsageError(
                "--compile on: torch.compile needs a C++ compiler on a CPU and found none of "
                f"{', '.join(COMPILERS)}; install one (Debian: apt install g++) or leave it out"
            )
        return True, "compiled, as asked"
    if device.type != "cuda":
        return False, f"not compiled: beside channels-last it gains nothing on a {device.type}"
    if total_steps < WORTH_STEPS:
        return False, f"not compiled: {total_steps} steps are too few to earn it back"
    return True, f"compiled: {total_steps} steps earn it back"


def compile_encoders(task: PretextTask) -> None:
    """Compile the forward pass of each encoder in `task`, in place; the weights stay as they are.

    Heads and losses are small beside it, and some of them cannot be traced.
    """
    for module in task.modules():
        if isinstance(module, Encoder):
            module.compile()


def machine_words(task: PretextTask, device: torch.device, compiling: str) -> str:
    """What the run was given: "cpu, 2 threads, channels-last, not compiled: ..."."""
    words = [device.type]
    if device.type == "cpu":
        words.append(f"{torch.get_num_threads()} threads")
    if task.encoder.kind == "cnn":
        words.append("channels-last")
    return ", ".join([*words, compiling])


__all__ = ["Compile", "compile_choice", "compile_encoders", "machine_words"]

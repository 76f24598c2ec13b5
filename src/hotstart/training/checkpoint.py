"""Checkpoints that survive a kill at any moment."""

from __future__ import annotations

import os
import pickle
from pathlib import Path
from typing import Any

import torch

from hotstart.errors import TrainingError


def save(folder: Path, step: int, state: dict[str, Any]) -> Path:
    """Write `state` whole or not at all, then drop the older ones."""
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / f"{step:09d}.pt"
    part = path.with_suffix(".part")
    with part.open("wb") as file:
        torch.save(state, file)
        file.flush()
        os.fsync(file.fileno())
    part.replace(path)
    for other in folder.iterdir():
        if other != path:
            other.unlink()
    return path


def newest(folder: Path) -> Path | None:
    """The last whole checkpoint; half-written ones have another suffix and are passed over."""
    return max(folder.glob("*.pt"), default=None) if folder.exists() else None


def load(path: Path) -> dict[str, Any]:
    """Read a checkpoint on the CPU; nothing in it is executed."""
    try:
        state: dict[str, Any] = torch.load(path, map_location="cpu", weights_only=True)
    except (OSError, RuntimeError, EOFError, pickle.UnpicklingError) as error:
        raise TrainingError(f"{path}: checkpoint cannot be read ({error})") from None
    return state

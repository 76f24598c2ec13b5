"""What `--init` names, as weights that a run begins with."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np

from hotstart.config import PretrainSettings, Stem
from hotstart.data.splits import Hashes
from hotstart.encoders.build import build_encoder, filed
from hotstart.errors import UsageError
from hotstart.league.subject import Subject, open_subject
from hotstart.training import checkpoint
from hotstart.training.beginning import Beginning
from hotstart.training.folder import CHECKPOINTS, EXPORT, SETTINGS, TRAINED_ON
from hotstart.training.loop import Material


def open_beginning(values: Mapping[str, Any], size: int) -> Beginning:
    """The encoder that `values["init"]` names; of a run's first one also all weights of its task.

    Whatever `evaluate` takes. Raises UsageError where `values` ask for another network, or where
    the weights are not those that a `run.toml` was made with.
    """
    subject = _open(values, size)
    begun = Beginning(values["init"], subject.encoder)
    saved = None if subject.run is None else checkpoint.newest(subject.run / CHECKPOINTS)
    if saved is not None and not subject.part and subject.task == values.get("task"):
        begun = replace(begun, weights=checkpoint.load(saved)["task"])
    check_fits(values, size, begun)
    return begun


def check_init(name: str | None) -> None:
    """Raise UsageError where nothing is called `name`, before any data is touched."""
    if name == "random":
        raise UsageError("--init random: that is how a run begins without --init")
    if name and not name.startswith("timm:") and not Path(name).exists():
        raise UsageError(
            f"--init {name!r}: there is no such run or file; give a run folder, timm:NAME, or a "
            "file of weights with --encoder NAME"
        )


def seen_before(name: str | None) -> Hashes:
    """Content hashes of what a run was trained on, uint64 (M,); none where it does not tell.

    name: its folder, or a file in it
    """
    if not name:
        return np.empty(0, np.uint64)
    run = Path(name).parent if Path(name).is_file() else Path(name)
    try:
        found: Hashes = np.load(run / TRAINED_ON)
    except (OSError, ValueError):
        return np.empty(0, np.uint64)
    return found


def unseen(material: Material, seen: Hashes) -> Material:
    """Without held-out items that were `seen` before; with them, where there are no others."""
    fresh = ~np.isin(material.dataset.hashes[material.heldout], seen)
    return replace(material, heldout=material.heldout[fresh]) if fresh.any() else material


def begun_with(settings: PretrainSettings) -> dict[str, str]:
    """For records: what a run began with, where that is not random weights."""
    return (
        {"init": settings.init, "init_digest": settings.init_digest or ""} if settings.init else {}
    )


def _open(values: Mapping[str, Any], size: int) -> Subject:
    name = values["init"]
    check_init(name)
    if (Path(name) / SETTINGS).exists() or Path(name).match(EXPORT.format("*")):
        return open_subject(name, None, None, "auto", 0)
    # Weights of others do not tell which network they are of.
    stem: Stem = values.get("stem") or "auto"
    encoder = None if name.startswith("timm:") else values.get("encoder")
    return open_subject(name, encoder, size, stem, 0)


def check_fits(values: Mapping[str, Any], size: int, begun: Beginning) -> None:
    """Raise UsageError where `begun` is not what `values` ask for, on pictures of `size` px."""
    spec, asked = filed(begun.encoder).spec, values.get("encoder")
    if asked is not None and asked.removeprefix("frames:") != spec.name:
        raise UsageError(
            f"--init {begun.name} is a {spec.name}, and --encoder asks for {asked}: leave it out"
        )
    if values.get("stem") not in (None, "auto", spec.stem):
        raise UsageError(
            f"--init {begun.name} has the stem {spec.stem}, and --stem asks for {values['stem']}: "
            "leave it out"
        )
    try:
        begun.fill_encoder(build_encoder(spec.model_copy(update={"size": size}), 0))
    except RuntimeError:
        raise UsageError(
            f"--init {begun.name} is a {spec.name} for pictures of {spec.size} px, and these have "
            f"{size}: give --size {spec.size}"
        ) from None
    if values.get("init_digest") not in (None, begun.digest):
        raise UsageError(
            f"{begun.name} holds other weights ({begun.digest}) than those that the run's settings "
            f"name (init_digest {values['init_digest']}): say --init {begun.name} to take these"
        )

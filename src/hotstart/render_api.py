"""The function behind `hotstart render`."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from hotstart.world.generate import Form


def render(
    world: str,
    out: str | Path,
    *,
    form: Form = "both",
    processes: int | None = None,
    progress: Callable[[str, int, int], None] | None = None,
) -> Path:
    """Render a world with its truth into the folder `out`; returns it.

    world: `world:images?n=1000&size=64&seed=0` or `world:videos?n=300&frames=16&size=64&seed=0`.
    form: `shards` for WebDataset, `folder` for files to look at, or `both`.
    processes: one for each core by default; the files are the same whatever their number.
    The same call goes on where a killed one stopped. Raises UsageError or DataError.
    """
    from hotstart.world.generate import render as generate

    return generate(world, out, form=form, processes=processes, progress=progress)

"""`hotstart render`."""

from __future__ import annotations

from enum import StrEnum
from pathlib import Path
from typing import Annotated

import typer


class FormChoice(StrEnum):
    """Values of --form."""

    BOTH, SHARDS, FOLDER = "both", "shards", "folder"


def render(
    world: Annotated[
        str,
        typer.Argument(help="'world:images?n=1000&size=64&seed=0', or world:videos?...&frames=16."),
    ],
    out: Annotated[Path, typer.Option("-o", "--out", help="New folder, or one to go on with.")],
    form: Annotated[
        FormChoice, typer.Option(help="WebDataset shards, a folder to look at, or both.")
    ] = FormChoice.BOTH,
    processes: Annotated[int | None, typer.Option(help="One for each core.")] = None,
) -> None:
    """Make pictures or clips of a rendered world, with depth, normals, masks and more."""
    from hotstart import api
    from hotstart.progress import RunDisplay

    with RunDisplay() as display:
        folder = api.render(
            world, out, form=form.value, processes=processes, progress=display.working
        )
    typer.echo(f"World: {folder}")

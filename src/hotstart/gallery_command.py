"""`hotstart gallery`."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from hotstart.arguments import parse_names, parse_set
from hotstart.options import DATA, Accelerator, AudioOffset, Group, Label, Set, Size


def gallery(
    data: Annotated[str, typer.Argument(help=DATA)],
    tasks: Annotated[str, typer.Option("--tasks", "--task", help="rotation,simclr, or all.")] = (
        "all"
    ),
    runs: Annotated[
        list[Path] | None, typer.Option(help="A run, or a folder of runs. Repeatable.")
    ] = None,
    out: Annotated[Path, typer.Option("-o", "--out", help="The page.")] = Path("gallery.html"),
    save: Annotated[
        Path | None, typer.Option(help="Folder for the pictures that trained tasks make.")
    ] = None,
    size: Size = None,
    seed: Annotated[int, typer.Option(help="Of tasks without a run.")] = 0,
    set_: Set = None,
    label: Label = None,
    group: Group = None,
    audio_offset_seconds: AudioOffset = None,
    accelerator: Accelerator = "auto",
) -> None:
    """See what each task asks of your pictures and, with runs, what they answer."""
    from hotstart import api
    from hotstart.progress import RunDisplay

    with RunDisplay() as display:
        page = api.gallery(
            data,
            tasks=parse_names(tasks),
            runs=runs or (),
            out=out,
            save=save,
            size=size,
            seed=seed,
            task_settings=parse_set(set_ or []) or None,
            label=label,
            group=group,
            audio_offset_seconds=audio_offset_seconds,
            accelerator=accelerator,
            working=display.working,
        )
    typer.echo(f"Gallery: {page}")

"""`hotstart race`."""

from __future__ import annotations

import json
from enum import StrEnum
from pathlib import Path
from typing import Annotated

import typer

from hotstart.arguments import parse_labels, parse_names, parse_set
from hotstart.errors import UsageError
from hotstart.options import (
    DATA,
    Accelerator,
    AllowLeak,
    AudioOffset,
    Encoder,
    Group,
    Json,
    Label,
    Precision,
    Real,
    Set,
    Size,
    StemChoice,
    StemOption,
)


class ByChoice(StrEnum):
    """Values of --by."""

    RANK, LABELS = "rank", "labels"


def race(
    data: Annotated[str | None, typer.Argument(help=DATA)] = None,
    tasks: Annotated[
        str | None, typer.Option("--tasks", "--task", help="rotation,simclr; all that can.")
    ] = None,
    minutes: Annotated[float | None, typer.Option(help="Budget of the whole race; 60.")] = None,
    by: Annotated[
        ByChoice | None, typer.Option(help="rank needs no labels; labels where --on is given.")
    ] = None,
    on: Annotated[
        str | None, typer.Option(help="Whose labels: classify=DIR, or classify: its own.")
    ] = None,
    labels: Annotated[str | None, typer.Option(help="Share of the labels; 10%.")] = None,
    halving: Annotated[int | None, typer.Option(help="One of so many goes on; 2.")] = None,
    encoder: Encoder = None,
    size: Size = None,
    stem: StemOption = StemChoice.AUTO,
    seed: Annotated[int | None, typer.Option(help="0 by default.")] = None,
    batch_size: Annotated[int | None, typer.Option(help="The same for every task.")] = None,
    precision: Precision = None,
    set_: Set = None,
    label: Label = None,
    group: Group = None,
    audio_offset_seconds: AudioOffset = None,
    real: Real = None,
    allow_leak: AllowLeak = False,
    accelerator: Accelerator = "auto",
    checkpoint_seconds: Annotated[float | None, typer.Option(help="60 by default.")] = None,
    out: Annotated[Path, typer.Option(help="The race's folder.")] = Path("runs/race"),
    resume: Annotated[Path | None, typer.Option(help="Race to go on with.")] = None,
    as_json: Json = False,
) -> None:
    """Which task suits these pictures? The worse half stops early; the best encoder comes out."""
    from hotstart import api
    from hotstart.race_display import RaceDisplay, print_finish

    shares = None if labels is None else parse_labels(labels)
    if shares is not None and len(shares) > 1:
        raise UsageError(f"--labels {labels}: a race is judged with one share, as 10%")
    with RaceDisplay() as display:
        found = api.race(
            data,
            tasks=None if tasks is None else parse_names(tasks),
            minutes=minutes,
            by=None if by is None else by.value,
            on=on,
            labels=None if shares is None else shares[0],
            halving=halving,
            encoder=encoder,
            size=size,
            stem=stem.value,
            seed=seed,
            batch_size=batch_size,
            precision=precision,
            task_settings=parse_set(set_ or []) or None,
            label=label,
            group=group,
            audio_offset_seconds=audio_offset_seconds,
            real=real,
            allow_leak=allow_leak or None,
            accelerator=None if accelerator == "auto" else accelerator,
            checkpoint_seconds=checkpoint_seconds,
            out=out,
            resume=resume,
            listener=display.race,
            caching=display.working,
        )
    if as_json:
        typer.echo(json.dumps(found.told(), indent=1))
    else:
        print_finish(found)

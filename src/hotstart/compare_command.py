"""`hotstart compare`."""

from __future__ import annotations

import json
from dataclasses import asdict
from pathlib import Path
from typing import Annotated

import typer

from hotstart.arguments import (
    parse_class_names,
    parse_ignored,
    parse_labels,
    parse_names,
    parse_protocols,
    parse_seeds,
    parse_set,
    parse_sweep,
)
from hotstart.options import (
    Accelerator,
    AllowLeak,
    AudioOffset,
    ClassNames,
    Group,
    IgnoreIndex,
    Json,
    Label,
    Precision,
    Real,
    Set,
    Size,
    SplitChoice,
    StemChoice,
    StemOption,
)


def compare(
    data: Annotated[str | None, typer.Argument(help="What to pretrain on.")] = None,
    tasks: Annotated[str | None, typer.Option(help="rotation,simclr; controls are in.")] = None,
    on: Annotated[
        list[str] | None,
        typer.Option(
            help="classify=DIR, detect@finetune=DIR, ..., or classify: own labels. Repeatable."
        ),
    ] = None,
    seeds: Annotated[str | None, typer.Option(help="How many, or which (0,2,5); 3.")] = None,
    encoder: Annotated[
        str | None,
        typer.Option(help="A timm name or one of ours; several: each task takes what it can."),
    ] = None,
    size: Size = None,
    stem: StemOption = StemChoice.AUTO,
    protocol: Annotated[
        str | None, typer.Option(help="Of knn,linear,finetune, where --on names none.")
    ] = None,
    labels: Annotated[str | None, typer.Option(help="Shares; 1%,10%,100%.")] = None,
    split: Annotated[SplitChoice | None, typer.Option(help="val; test is for the end.")] = None,
    stages: Annotated[bool | None, typer.Option(help="Probe every stage of the encoder.")] = None,
    steps: Annotated[int | None, typer.Option(help="Budget of each run in steps.")] = None,
    epochs: Annotated[float | None, typer.Option(help="Budget in passes over the data.")] = None,
    minutes: Annotated[float | None, typer.Option(help="Budget in minutes; 10.")] = None,
    batch_size: Annotated[int | None, typer.Option(help="The same for every task.")] = None,
    precision: Precision = None,
    set_: Set = None,
    sweep: Annotated[
        list[str] | None,
        typer.Option(help="task.name=value,value,...: each a contender. Repeatable."),
    ] = None,
    label: Label = None,
    group: Group = None,
    audio_offset_seconds: AudioOffset = None,
    real: Real = None,
    allow_leak: AllowLeak = False,
    ignore_index: IgnoreIndex = None,
    class_names: ClassNames = None,
    accelerator: Accelerator = "auto",
    checkpoint_seconds: Annotated[float | None, typer.Option(help="60 by default.")] = None,
    out: Annotated[Path, typer.Option(help="The league's folder.")] = Path("runs/league"),
    resume: Annotated[Path | None, typer.Option(help="League to go on with.")] = None,
    known: Annotated[
        list[Path] | None, typer.Option(help="results.jsonl that counts as done. Repeatable.")
    ] = None,
    workers: Annotated[
        int | None, typer.Option(help="Cells at once; 1, on a cluster what it takes.")
    ] = None,
    executor: Annotated[
        str, typer.Option(help="local processes, a ray cluster, or ray:HOST:PORT.")
    ] = "local",
    calibrate_only: Annotated[
        bool, typer.Option("--calibrate-only", help="Measure the budget of each task and stop.")
    ] = False,
    as_json: Json = False,
) -> None:
    """Which pretext task is worth most? Tasks and controls, several seeds, one budget."""
    from hotstart import api
    from hotstart.compare_display import LeagueDisplay, print_comparison, print_problems

    with LeagueDisplay() as display:
        found = api.compare(
            data,
            tasks=None if tasks is None else parse_names(tasks),
            on=on,
            seeds=None if seeds is None else parse_seeds(seeds),
            encoder=encoder,
            size=size,
            stem=stem.value,
            protocols=None if protocol is None else parse_protocols(protocol),
            labels=None if labels is None else parse_labels(labels),
            split=None if split is None else split.value,
            stages=stages,
            steps=steps,
            epochs=epochs,
            minutes=minutes,
            batch_size=batch_size,
            precision=precision,
            task_settings=parse_set(set_ or []) or None,
            sweep=parse_sweep(sweep or []) or None,
            label=label,
            group=group,
            audio_offset_seconds=audio_offset_seconds,
            real=real,
            allow_leak=allow_leak or None,
            ignore_index=parse_ignored(ignore_index),
            class_names=parse_class_names(class_names),
            accelerator=None if accelerator == "auto" else accelerator,
            checkpoint_seconds=checkpoint_seconds,
            out=out,
            resume=resume,
            known=known or (),
            workers=workers,
            executor=executor,
            calibrate_only=calibrate_only,
            listener=display.league,
            caching=display.working,
        )
    if as_json:
        typer.echo(json.dumps([asdict(record) for record in found.records], indent=1))
    else:
        print_comparison(found)
    if found.problems:
        print_problems(found)
        raise typer.Exit(1)

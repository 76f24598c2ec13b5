"""The commands: a thin shell over `hotstart.api`."""

from __future__ import annotations

import json
import sys
from dataclasses import asdict
from pathlib import Path
from typing import Annotated

import typer

from hotstart import __version__
from hotstart.arguments import (
    parse_class_names,
    parse_ignored,
    parse_labels,
    parse_protocols,
    parse_set,
)
from hotstart.compare_command import compare
from hotstart.demo_command import demo
from hotstart.errors import HotstartError
from hotstart.export_command import export
from hotstart.gallery_command import gallery
from hotstart.options import (
    DATA,
    Accelerator,
    AllowLeak,
    AudioOffset,
    ClassNames,
    CompileChoice,
    Encoder,
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
from hotstart.race_command import race
from hotstart.render_command import render
from hotstart.tasks_command import tasks

app = typer.Typer(
    add_completion=False,
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    help="Learn visual features from unlabelled pictures, and prove what they are worth.",
)


def _version(asked: bool) -> None:
    if asked:
        typer.echo(f"hotstart {__version__}")
        raise typer.Exit


@app.callback()
def _root(
    version: Annotated[
        bool, typer.Option("--version", callback=_version, is_eager=True, help="Print it.")
    ] = False,
) -> None: ...


app.command()(demo)
app.command()(tasks)


@app.command()
def pretrain(
    data: Annotated[str | None, typer.Argument(help=DATA)] = None,
    task: Annotated[str | None, typer.Option(help="See `hotstart tasks`; simclr.")] = None,
    encoder: Encoder = None,
    size: Size = None,
    stem: StemOption = StemChoice.AUTO,
    seed: Annotated[int | None, typer.Option(help="0 by default.")] = None,
    steps: Annotated[int | None, typer.Option(help="Budget in steps.")] = None,
    epochs: Annotated[float | None, typer.Option(help="Budget in passes over the data.")] = None,
    minutes: Annotated[float | None, typer.Option(help="Budget in minutes; 10.")] = None,
    out: Annotated[Path | None, typer.Option(help="New run folder; runs/TASK-SEED.")] = None,
    resume: Annotated[Path | None, typer.Option(help="Run to go on with.")] = None,
    config: Annotated[Path | None, typer.Option(help="A run.toml or recipe to start from.")] = None,
    init: Annotated[
        str | None, typer.Option(help="Begin with a run's weights, timm:NAME or a file of weights.")
    ] = None,
    set_: Set = None,
    batch_size: Annotated[int | None, typer.Option(help="Rows over all processes.")] = None,
    optimizer: Annotated[str | None, typer.Option(help="sgd, adamw, lars.")] = None,
    learning_rate: Annotated[float | None, typer.Option(help="Peak, for a batch of 256.")] = None,
    weight_decay: Annotated[float | None, typer.Option()] = None,
    warmup: Annotated[float | None, typer.Option(help="Share of the run.")] = None,
    precision: Precision = None,
    accelerator: Accelerator = "auto",
    devices: Annotated[int, typer.Option(help="Processes on this machine.")] = 1,
    nodes: Annotated[int, typer.Option(help="Machines.")] = 1,
    compile_: Annotated[
        CompileChoice, typer.Option("--compile", help="Encoder by torch.compile.")
    ] = CompileChoice.AUTO,
    checkpoint_seconds: Annotated[float | None, typer.Option(help="60 by default.")] = None,
    label: Label = None,
    group: Group = None,
    audio_offset_seconds: AudioOffset = None,
    real: Real = None,
) -> None:
    """Train an encoder on a pretext task; no labels needed."""
    from hotstart import api
    from hotstart.progress import RunDisplay

    machine: dict[str, str | int] = {
        "accelerator": accelerator,
        "devices": devices,
        "nodes": nodes,
        "compile": compile_.value,
    }
    others = {
        "init": init,
        "batch_size": batch_size,
        "optimizer": optimizer,
        "learning_rate": learning_rate,
        "weight_decay": weight_decay,
        "warmup": warmup,
        "precision": precision,
        "checkpoint_seconds": checkpoint_seconds,
        "label": label,
        "group": group,
        "audio_offset_seconds": audio_offset_seconds,
        "real": real,
    }
    with RunDisplay() as display:
        folder = api.pretrain(
            data,
            task=task,
            encoder=encoder,
            size=size,
            stem=stem.value,
            seed=seed,
            steps=steps,
            epochs=epochs,
            minutes=minutes,
            out=out,
            resume=resume,
            config=config,
            task_settings=parse_set(set_ or []) or None,
            listener=display.event,
            caching=display.working,
            **others,
            **({} if resume else machine),
        )
    typer.echo(f"Run: {folder}")


@app.command()
def evaluate(
    subject: Annotated[str, typer.Argument(help="Run folder, timm:NAME, weights, or random.")],
    data: Annotated[str | None, typer.Option(help="Labelled pictures; the run's own.")] = None,
    on: Annotated[
        str, typer.Option(help="classify, action, segment, detect, pretext.")
    ] = "classify",
    protocol: Annotated[str, typer.Option(help="Of knn,linear,finetune.")] = "knn,linear",
    labels: Annotated[str, typer.Option(help="Shares of the labels.")] = "1%,10%,100%",
    split: Annotated[SplitChoice, typer.Option(help="test is for final tables.")] = SplitChoice.VAL,
    seed: Annotated[int | None, typer.Option(help="Draws the labels; the run's own.")] = None,
    controls: Annotated[bool, typer.Option("--controls", help="random (and scratch) too.")] = False,
    stages: Annotated[bool, typer.Option(help="Probe every stage of the encoder.")] = True,
    encoder: Encoder = None,
    size: Size = None,
    stem: StemOption = StemChoice.AUTO,
    label: Label = None,
    group: Group = None,
    audio_offset_seconds: AudioOffset = None,
    allow_leak: AllowLeak = False,
    ignore_index: IgnoreIndex = None,
    class_names: ClassNames = None,
    accelerator: Accelerator = "auto",
    as_json: Json = False,
) -> None:
    """Measure what an encoder is worth with few labels."""
    from hotstart import api
    from hotstart.progress import RunDisplay, print_records

    with RunDisplay() as display:
        records = api.evaluate(
            subject,
            data=data,
            on=on,
            protocols=parse_protocols(protocol),
            labels=parse_labels(labels),
            split=split.value,
            seed=seed,
            controls=controls,
            stages=stages,
            encoder=encoder,
            size=size,
            stem=stem.value,
            label=label,
            group=group,
            audio_offset_seconds=audio_offset_seconds,
            allow_leak=allow_leak,
            ignore_index=parse_ignored(ignore_index),
            class_names=parse_class_names(class_names),
            accelerator=accelerator,
            listener=display.working,
            caching=display.working,
            telling=display.say,
        )
    if as_json:
        typer.echo(json.dumps([asdict(record) for record in records], indent=1))
    else:
        print_records(records)


@app.command()
def embed(
    subject: Annotated[str, typer.Argument(help="Run folder, timm:NAME, weights, or random.")],
    data: Annotated[str, typer.Argument(help=DATA)],
    out: Annotated[Path, typer.Option("-o", "--out", help="Parquet file.")],
    encoder: Encoder = None,
    size: Size = None,
    stem: StemOption = StemChoice.AUTO,
    label: Label = None,
    group: Group = None,
    audio_offset_seconds: AudioOffset = None,
    accelerator: Accelerator = "auto",
) -> None:
    """Write the features of every picture to a Parquet file."""
    from hotstart import api
    from hotstart.progress import RunDisplay

    with RunDisplay() as display:
        written = api.embed(
            subject,
            data,
            out,
            encoder=encoder,
            size=size,
            stem=stem.value,
            label=label,
            group=group,
            audio_offset_seconds=audio_offset_seconds,
            accelerator=accelerator,
            caching=display.working,
        )
    typer.echo(f"Features: {written}")


@app.command()
def report(
    folder: Annotated[Path, typer.Argument(help="A run, or a folder of runs.")],
) -> None:
    """Write report.html: one self-contained page."""
    from hotstart import api

    typer.echo(f"Report: {api.report(folder)}")


for command in (compare, race, export, gallery, render):
    app.command()(command)


def main() -> None:
    """Entry point: Hotstart's own errors are one sentence and exit code 2."""
    try:
        app()
    except HotstartError as error:
        print(f"hotstart: {error}", file=sys.stderr)
        sys.exit(2)
    except KeyboardInterrupt:
        print("hotstart: stopped; `--resume FOLDER` goes on", file=sys.stderr)
        sys.exit(130)

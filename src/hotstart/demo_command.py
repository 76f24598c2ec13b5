"""`hotstart demo`."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer


def demo(
    out: Annotated[Path, typer.Option(help="Folder of the demo's runs.")] = Path("runs/demo"),
    minutes: Annotated[float, typer.Option(help="Of each pretraining.")] = 0.6,
) -> None:
    """The whole loop on a small rendered world; no data needed; ends with a report."""
    from hotstart import api
    from hotstart.progress import RunDisplay

    with RunDisplay() as display:
        page = api.demo(
            out,
            minutes=minutes,
            listener=display.event,
            working=display.working,
            telling=display.say,
        )
    typer.echo(f"Report: {page}")

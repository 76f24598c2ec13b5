"""`hotstart tasks`."""

from __future__ import annotations

import json

import typer

from hotstart.options import Json


def tasks(as_json: Json = False) -> None:
    """Every pretext task: family, kind, needs, paper, status."""
    from hotstart import api

    listed = api.tasks()
    if as_json:
        typer.echo(json.dumps(listed, indent=1))
        return
    from rich.console import Console
    from rich.table import Column, Table

    table = Table("task", "kind", "needs", "status", Column("paper", overflow="fold"), box=None)
    family = ""
    for entry in listed:
        if entry["family"] != family:
            family = entry["family"]
            table.add_row(f"[bold]{family}[/bold]")
        own = (entry["kind"], ", ".join(entry["needs"]), entry["status"], entry["paper"])
        table.add_row(f"  {entry['name']}", *own)
    console = Console()
    console.print(table)
    console.print("Several at once, on one encoder: --task rotation+jigsaw", highlight=False)

"""`hotstart export`."""

from __future__ import annotations

import json
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from hotstart.options import Encoder, Json, StemChoice, StemOption

if TYPE_CHECKING:
    from hotstart.export.artifact import Exported


class ToChoice(StrEnum):
    """Values of --to."""

    TIMM, TORCHVISION, ONNX, SAFETENSORS = "timm", "torchvision", "onnx", "safetensors"


def export(
    weights: Annotated[
        str,
        typer.Argument(help="Run folder, encoder-NAME.safetensors in it, timm:NAME, file, random."),
    ],
    to: Annotated[ToChoice, typer.Option(help="The library that is to load it.")],
    out: Annotated[
        Path | None,
        typer.Option("-o", "--out", help="New folder (timm), or file; named after WEIGHTS."),
    ] = None,
    encoder: Encoder = None,
    size: Annotated[
        int | None, typer.Option(min=8, help="Picture side in pixels; a run knows its own.")
    ] = None,
    stem: StemOption = StemChoice.AUTO,
    seed: Annotated[int, typer.Option(help="Of random.")] = 0,
    as_json: Json = False,
) -> None:
    """Write an encoder for timm, torchvision, ONNX or safetensors, and check its features."""
    from hotstart import api

    made = api.export(
        weights, to=to.value, out=out, encoder=encoder, size=size, stem=stem.value, seed=seed
    )
    typer.echo(json.dumps(_as_json(made), indent=1) if as_json else _as_text(made))


def _as_json(exported: Exported) -> dict[str, Any]:
    made = exported.made
    return {
        "to": exported.to,
        "path": str(exported.path),
        **exported.about,
        "size": int(exported.about["size"]),
        "features": int(exported.about["features"]),
        "reads": made.reads,
        "notes": list(made.notes),
        "usage": made.usage,
        "checked_by": made.checked_by,
        "largest_difference": made.parity.largest_difference,
        "largest_feature": made.parity.largest_feature,
        "tolerance": made.parity.tolerance,
        "inputs": [list(shape) for shape in made.parity.inputs],
    }


def _as_text(exported: Exported) -> str:
    made, told = exported.made, exported.about
    shapes = " and ".join(str(shape) for shape in made.parity.inputs)
    lines = [
        f"Export: {exported.path}",
        f"Reads: {made.reads}",
        f"Gives: features (B, {told['features']}) of {told['architecture']}, size {told['size']}, "
        f"stem {told['stem']}",
        f"Parity: largest difference {made.parity.largest_difference:.2g}, where features go up to "
        f"{made.parity.largest_feature:.3g} and {made.parity.tolerance:.2g} is allowed; "
        f"{made.checked_by}, inputs {shapes}",
        *(f"Note: {note}" for note in made.notes),
    ]
    return "\n".join([*lines, "", made.usage])

"""A run's folder: its settings file and its pictures."""

from __future__ import annotations

import json
import tomllib
from pathlib import Path
from typing import Any

import numpy as np
import tomli_w
from PIL import Image, ImageDraw, ImageFont

from hotstart.config import PretrainSettings, parse
from hotstart.errors import DataError, UsageError
from hotstart.pretext.task import Panel

SETTINGS, ENCODER, LOG, RESULTS = "run.toml", "encoder.safetensors", "log.jsonl", "results.jsonl"
CHECKPOINTS, PANELS, QUARANTINE = "checkpoint", "panels", "quarantine.csv"

CELL_PX, MARGIN_PX, TEXT_PX = 128, 10, 15


def write_settings(folder: Path, settings: PretrainSettings) -> None:
    """`run.toml`: every setting that is not left open, whole or not at all."""
    values = {k: v for k, v in settings.model_dump().items() if v is not None}
    tables = values.pop("task_settings")
    text = tomli_w.dumps({"run": values, "task": tables})
    part = folder / (SETTINGS + ".part")
    part.write_text(text, encoding="utf-8")
    part.replace(folder / SETTINGS)


def read_settings(path: Path) -> dict[str, Any]:
    """The values of a `run.toml` or a recipe, not yet checked."""
    try:
        tables = tomllib.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        raise UsageError(f"{path}: no such settings file") from None
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise UsageError(f"{path}: not a settings file ({error})") from None
    unknown = set(tables) - {"run", "task"}
    if unknown:
        raise UsageError(f"{path}: no table {sorted(unknown)}; valid: run, task")
    return {**tables.get("run", {}), "task_settings": tables.get("task", {})}


def load_run(folder: Path) -> PretrainSettings:
    """The settings of an existing run."""
    if not (folder / SETTINGS).exists():
        raise DataError(f"{folder} holds no run: {SETTINGS} is missing")
    return parse(PretrainSettings, read_settings(folder / SETTINGS), str(folder / SETTINGS))


def write_panel(folder: Path, task: str, panel: Panel) -> None:
    """`panels/<name>.png`, a sheet with its texts, and beside it a JSON of what it shows."""
    (folder / PANELS).mkdir(exist_ok=True)
    _sheet(panel).save(folder / PANELS / f"{panel.name}.png", optimize=True)
    told = {
        "task": task,
        "title": panel.title,
        "caption": panel.caption,
        "columns": list(panel.columns),
        "kind": panel.kind,
    }
    (folder / PANELS / f"{panel.name}.json").write_text(json.dumps(told), encoding="utf-8")


def _sheet(panel: Panel) -> Image.Image:
    font = ImageFont.load_default(TEXT_PX)
    line = TEXT_PX + 8
    columns = len(panel.columns)
    step_x, step_y = CELL_PX + MARGIN_PX, CELL_PX + line
    width = columns * step_x + MARGIN_PX
    height = len(panel.pictures) * step_y + line + MARGIN_PX
    sheet = Image.new("RGB", (width, height), "white")
    draw = ImageDraw.Draw(sheet)
    for c, head in enumerate(panel.columns):
        x = MARGIN_PX + c * step_x + CELL_PX / 2
        draw.text((x, MARGIN_PX), head, fill="black", font=font, anchor="ma")
    for r, (pictures, texts) in enumerate(zip(panel.pictures, panel.texts, strict=True)):
        for c, (picture, text) in enumerate(zip(pictures, texts, strict=True)):
            x, y = MARGIN_PX + c * step_x, MARGIN_PX + line + r * step_y
            sheet.paste(_enlarged(picture), (x, y))
            centre = x + CELL_PX / 2
            draw.text((centre, y + CELL_PX + 2), text, fill="#333333", font=font, anchor="ma")
    return sheet


def _enlarged(picture: np.ndarray[Any, np.dtype[np.uint8]]) -> Image.Image:
    """To the cell's width: small pictures by repeating pixels, so that each one can be seen."""
    image = Image.fromarray(picture)
    small = max(image.size) * 2 <= CELL_PX
    way = Image.Resampling.NEAREST if small else Image.Resampling.LANCZOS
    return image.resize((CELL_PX, round(CELL_PX * image.height / image.width)), way)

"""A run's folder: its settings file and its pictures."""

from __future__ import annotations

import io
import json
import tomllib
import wave
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import tomli_w

from hotstart.config import PretrainSettings, parse
from hotstart.data.sample import SOUND_HZ
from hotstart.errors import DataError, UsageError
from hotstart.pretext.task import Panel
from hotstart.training.sheet import draw_sheet

SETTINGS, ENCODER, LOG, RESULTS = "run.toml", "encoder.safetensors", "log.jsonl", "results.jsonl"
CHECKPOINTS, PANELS, QUARANTINE = "checkpoint", "panels", "quarantine.csv"
HELDOUT, TRAINED_ON = "heldout.txt", "trained_on.npy"

EXPORT = "encoder-{}.safetensors"
"""A further encoder of a task that trains several (`PretextTask.exports`)."""
NAME_BYTES = 200
"""Of a file name without its suffix; file systems take 255."""


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
    """`panels/<name>.png`, a sheet with its texts, and beside it a JSON of what it shows.

    Sound, where there is any, is in `panels/<name>-<row>-<column>.wav`, counted from 1.
    """
    (folder / PANELS).mkdir(exist_ok=True)
    name = safe_name(panel.name)
    draw_sheet(panel).save(folder / PANELS / f"{name}.png", optimize=True)
    told: dict[str, Any] = {
        "task": task,
        "title": panel.title,
        "caption": panel.caption,
        "columns": list(panel.columns),
        "kind": panel.kind,
    }
    if panel.sounds:
        told["sounds"] = [
            [
                _write_sound(folder / PANELS / f"{name}-{row}-{column}.wav", samples)
                for column, samples in enumerate(heard, 1)
            ]
            for row, heard in enumerate(panel.sounds, 1)
        ]
    (folder / PANELS / f"{name}.json").write_text(json.dumps(told), encoding="utf-8")


def _write_sound(path: Path, samples: npt.NDArray[np.int16] | None) -> str | None:
    """The name of the file; None where there is no sound."""
    if samples is None:
        return None
    path.write_bytes(wave_file(samples))
    return path.name


def wave_file(samples: npt.NDArray[np.int16]) -> bytes:
    """Sound of one channel, int16 (n,) at 16 kHz, as a WAV file."""
    file = io.BytesIO()
    with wave.open(file, "wb") as writer:
        writer.setnchannels(1)
        writer.setsampwidth(2)
        writer.setframerate(SOUND_HZ)
        writer.writeframes(samples.astype("<i2").tobytes())
    return file.getvalue()


def safe_name(name: str) -> str:
    """A file name, without suffix, for whatever text: one path component, no hidden file."""
    safe = "".join(c if c.isalnum() or c in "-._" else "_" for c in name)
    return safe.encode()[:NAME_BYTES].decode(errors="ignore").lstrip(".") or "_"

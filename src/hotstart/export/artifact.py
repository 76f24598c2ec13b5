"""What an export is, what it tells of its encoder, and how it comes to its place."""

from __future__ import annotations

import json
import os
import tempfile
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from safetensors import SafetensorError

from hotstart import __version__
from hotstart.encoders import Encoder, VideoEncoder
from hotstart.encoders.build import digest, filed
from hotstart.errors import DataError
from hotstart.export.parity import Parity
from hotstart.league.subject import Subject, pretext_record_of


@dataclass(frozen=True)
class Made:
    """An artifact that was written, loaded back and found to give the encoder's features."""

    parity: Parity
    checked_by: str
    """The library that loaded it, with its version."""
    reads: str
    """What is to be given to it."""
    usage: str
    """Python that loads it, without Hotstart."""
    notes: tuple[str, ...] = ()
    """What one must know before using it."""


@dataclass(frozen=True)
class Exported:
    """Where an encoder was exported to and how to use it."""

    to: str
    """`timm`, `torchvision`, `onnx` or `safetensors`."""
    path: Path
    about: dict[str, str]
    """What the artifact tells of its encoder: see `about`."""
    made: Made


def about(subject: Subject) -> dict[str, str]:
    """What every artifact tells of its encoder.

    `architecture`, `size` (px, of sounds mel bands), `stem`, `kind`, `features` (D), `digest` (16
    hexadecimal digits of the weights), `task`, `hotstart`; of a run `run`, the `settings_hash` of
    its `pretext` record; of a further encoder of it `part`.
    """
    encoder = subject.encoder
    told = {
        "architecture": encoder.spec.name,
        "size": str(encoder.spec.size),
        "stem": encoder.spec.stem,
        "kind": encoder.kind,
        "features": str(encoder.dim),
        "digest": digest(filed(encoder).state_dict()),
        "task": subject.task,
        "hotstart": __version__,
    }
    record = pretext_record_of(subject.run) if subject.run else None
    if record is not None:
        told["run"] = record.settings_hash
    if subject.part:
        told["part"] = subject.part
    return told


def reads(encoder: Encoder) -> str:
    """What the encoder itself reads; normalisation is inside."""
    if encoder.kind == "audio":
        return "sounds (B, n), float32 in -1..1, one channel of 16 kHz"
    if isinstance(encoder, VideoEncoder):
        return "clips (B, 3, T, H, W), float32, RGB in 0..1"
    return "pictures (B, 3, H, W), float32, RGB in 0..1"


def numbers(values: object) -> list[float]:
    """A tensor of one value a channel as a list, without the dust of single precision."""
    return [float(f"{value:.6g}") for value in values.flatten().tolist()]  # type: ignore[attr-defined]


def quoted(scheme: str, path: Path) -> str:
    """A path as a string in Python, whatever is in its name."""
    return json.dumps(scheme + path.as_posix())


def put(out: Path, make: Callable[[Path], Made]) -> Made:
    """`make` writes a file or a folder and checks it; it comes to `out` whole, or not at all."""
    mask = os.umask(0)
    os.umask(mask)
    try:
        out.parent.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(prefix=".export-", dir=out.parent) as room:
            place = Path(room) / out.name
            made = make(place)
            for path in place.iterdir() if place.is_dir() else [place]:
                path.chmod(0o666 & ~mask)  # safetensors writes for its owner alone
                with path.open("rb") as file:
                    os.fsync(file.fileno())
            place.replace(out)
    except (OSError, SafetensorError) as error:
        told = getattr(error, "strerror", None) or error
        raise DataError(f"{out}: cannot be written ({told})") from None
    return made

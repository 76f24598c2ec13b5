"""What is evaluated: a run, anyone's weights, or an encoder at random."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from hotstart.config import PretrainSettings, Stem
from hotstart.encoders import Encoder, build_encoder, load_encoder, resolve_spec
from hotstart.encoders.foreign import WEIGHT_SUFFIXES, encoder_from_weights, timm_encoder
from hotstart.errors import DataError, UsageError
from hotstart.league.records import Record, read_records
from hotstart.training.folder import ENCODER, EXPORT, RESULTS, SETTINGS, load_run

DEFAULT_ENCODER = "resnet10_narrow"


@dataclass(frozen=True)
class Subject:
    """An encoder under evaluation and what its records must say of it."""

    task: str
    encoder: Encoder
    run: Path | None = None
    settings: PretrainSettings | None = None
    seed: int = 0
    budget: dict[str, Any] = field(default_factory=dict)
    fingerprints: dict[str, str] = field(default_factory=dict)
    part: str = ""
    """Which of its run's further encoders this is, as `sound`; empty for the first."""


def open_subject(
    name: str, encoder: str | None, size: int | None, stem: Stem, seed: int
) -> Subject:
    """`name`: a run folder, a further encoder in one, `timm:NAME`, a file of weights, or `random`.

    encoder, size, stem: for weights and for `random`; a run knows its own.
    """
    path = Path(name)
    if (path / SETTINGS).exists():
        if encoder is not None or size is not None:
            raise UsageError(
                f"{name} is a run, which knows its own encoder and size; leave --encoder and "
                "--size out (they are for timm:NAME, files of weights and `random`)"
            )
        return open_run(path)
    if name == "random":
        spec = resolve_spec(encoder or DEFAULT_ENCODER, _need(size, name), stem)
        return Subject("random", build_encoder(spec, seed), seed=seed)
    if name.startswith("timm:"):
        return Subject(name, timm_encoder(name.removeprefix("timm:"), _need(size, name), stem))
    if path.match(EXPORT.format("*")) and (path.parent / SETTINGS).exists() and path.is_file():
        before, _, after = EXPORT.partition("{}")
        part = path.name.removeprefix(before).removesuffix(after)
        return replace(open_run(path.parent), encoder=load_encoder(path), part=part)
    if path.suffix in WEIGHT_SUFFIXES and path.is_file():
        if path.suffix == ".safetensors" and encoder is None:
            return Subject(path.stem, load_encoder(path))
        return Subject(path.stem, encoder_from_weights(path, encoder, _need(size, name), stem))
    raise UsageError(
        f"{name!r} is nothing to evaluate: give a run folder, timm:NAME, a file of weights "
        f"({', '.join(WEIGHT_SUFFIXES)}), or `random --encoder NAME --size N`"
    )


def open_run(folder: Path) -> Subject:
    """The finished run in `folder`."""
    settings = load_run(folder)
    told = pretext_record_of(folder)
    if told is None or not (folder / ENCODER).exists():
        missing = f"the pretext record of {RESULTS}" if told is None else ENCODER
        raise DataError(
            f"{folder}: the run is not finished, {missing} is missing; "
            f"go on with `hotstart pretrain --resume {folder}`"
        )
    return Subject(
        settings.task,
        load_encoder(folder / ENCODER),
        folder,
        settings,
        settings.seed,
        told.budget,
        told.data_fingerprints,
    )


def reading_for(
    run: PretrainSettings | None,
    data: str,
    label: str | None,
    group: str | None,
    audio_offset_seconds: float | None,
) -> dict[str, Any]:
    """How DATA is read for a run: `label`, `group` and `audio_offset_seconds` for `open_dataset`.

    What is None is as the run itself had it, where DATA is what it was trained on; of other data,
    and without a run, no column and no pattern is known, and sound comes with its frames.
    """
    told = {"label": label, "group": group, "audio_offset_seconds": audio_offset_seconds}
    reading: dict[str, Any] = {"label": None, "group": None, "audio_offset_seconds": 0.0}
    if run is not None and _same_data(run.data, data):
        reading = run.model_dump(include=set(told))
    return {**reading, **{name: value for name, value in told.items() if value is not None}}


def _same_data(one: str, other: str) -> bool:
    """Whether both name the same data; a folder or a file may be written in several ways."""
    if one == other:
        return True
    try:
        return Path(one).expanduser().samefile(Path(other).expanduser())
    except (OSError, ValueError, RuntimeError):  # not both are paths, or there is nothing
        return False


def pretext_record_of(folder: Path) -> Record | None:
    """What the run in `folder` wrote of its own task; None before it is finished.

    Of several tasks at once: of the first.
    """
    return next(iter(pretext_records_of(folder)), None)


def pretext_records_of(folder: Path) -> list[Record]:
    """What the run in `folder` wrote of its own tasks; empty before it is finished."""
    found = [r for r in read_records(folder / RESULTS) if r.downstream == "pretext"]
    return [r for r in found if (r.data, r.split) == (found[0].data, found[0].split)]


def _need(size: int | None, name: str) -> int:
    if size is None:
        raise UsageError(f"{name}: say for pictures of what size, --size N (pixels)")
    return size

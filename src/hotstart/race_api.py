"""The function behind `hotstart race`."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from hotstart.config import Stem
from hotstart.data_names import check_data
from hotstart.errors import UsageError

if TYPE_CHECKING:
    from hotstart.league.race import Finish


def race(
    data: str | None = None,
    *,
    tasks: Sequence[str] | None = None,
    minutes: float | None = None,
    by: Literal["rank", "labels"] | None = None,
    on: str | None = None,
    labels: float | None = None,
    halving: int | None = None,
    encoder: str | None = None,
    size: int | None = None,
    stem: Stem = "auto",
    seed: int | None = None,
    batch_size: int | None = None,
    precision: str | None = None,
    task_settings: Mapping[str, Mapping[str, Any]] | None = None,
    label: str | None = None,
    group: str | None = None,
    audio_offset_seconds: float | None = None,
    real: str | None = None,
    allow_leak: bool | None = None,
    accelerator: str | None = None,
    checkpoint_seconds: float | None = None,
    out: str | Path = "runs/race",
    resume: str | Path | None = None,
    listener: Callable[[dict[str, Any]], None] | None = None,
    caching: Callable[[str, int, int], None] | None = None,
) -> Finish:
    """Train many tasks a little, the better half further, and so on; the best encoder comes out.

    data: what to pretrain on; tasks: names from `tasks()`, by default every pretext task that these
        data and this encoder allow
    minutes: for all of it, 60 by default, once the data are read; they become steps by measuring,
        once, before anything is trained
    by: `rank`, RankMe of the features, which needs no labels; or `labels`, accuracy with a few. By
        default labels where `on` says whose, rank otherwise; with both, accuracy is told beside.
    on: `classify=DIR`, or `classify` for the labels of `data`: k-NN on the validation split;
        `classify@linear=DIR` is a linear probe. labels: share of the training labels, 0.1
    halving: one contender of so many goes on to the next rung, 2 or more
    out: the race's folder; the same call goes on where an earlier one stopped, and so does
        `resume=out` alone
    listener: called with what happens, see `league.race.run_race`
    The other arguments are those of `pretrain`.

    The winner is a whole run in `Finish.run`; the others stay beside it, with their checkpoints.
    Raises UsageError, DataError or TrainingError with a sentence on what to do.
    """
    from hotstart.league.race_settings import check_race, read_race

    values = {
        "data": data,
        "tasks": None if tasks is None else tuple(tasks),
        "minutes": minutes,
        "by": by,
        "on": on,
        "labels": labels,
        "halving": halving,
        "encoder": encoder,
        "size": size,
        "stem": None if stem == "auto" else stem,
        "seed": seed,
        "batch_size": batch_size,
        "precision": precision,
        "task_settings": task_settings,
        "label": label,
        "group": group,
        "audio_offset_seconds": audio_offset_seconds,
        "real": real,
        "allow_leak": allow_leak,
    }
    values = {name: value for name, value in values.items() if value is not None}
    machine = {"accelerator": accelerator, "checkpoint_seconds": checkpoint_seconds}
    machine = {name: value for name, value in machine.items() if value is not None}
    if resume is not None:
        if values:
            raise UsageError("--resume takes the race's own settings; give no others")
        asked, folder = read_race(Path(resume)).asked.model_copy(update=machine), Path(resume)
    else:
        if data is None:
            raise UsageError("no data: give a folder of pictures, a table of paths, or `digits:`")
        asked, folder = check_race(values | machine), Path(out)
    for place in (asked.data, *(() if asked.judged is None else (asked.judged.data,))):
        check_data(place)
    from hotstart.league.race import run_race

    return run_race(asked, folder, listener=listener, caching=caching)

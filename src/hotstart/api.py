"""The functions behind the commands."""

from __future__ import annotations

import functools
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from hotstart.compare_api import calibrate as calibrate
from hotstart.compare_api import compare as compare
from hotstart.config import PretrainSettings, Stem
from hotstart.data_names import check_data
from hotstart.demo_api import demo as demo
from hotstart.errors import UsageError
from hotstart.evaluate_api import evaluate as evaluate
from hotstart.export_api import export as export
from hotstart.pretext.registry import TASKS, find
from hotstart.pretext.setting_names import check_asked, check_setting
from hotstart.race_api import race as race
from hotstart.render_api import render as render

if TYPE_CHECKING:
    from hotstart.data import Dataset

Listener = Callable[[dict[str, Any]], None]
CachingListener = Callable[[str, int, int], None]

DEFAULT_MINUTES = 10.0
DEFAULT_TASK = "simclr"


def tasks() -> list[dict[str, Any]]:
    """Every pretext task and control: name, family, kind, needs, paper, status."""
    from hotstart.league.status import status

    return [
        {
            "name": name,
            "family": entry.family,
            "kind": entry.kind,
            "needs": list(entry.needs),
            "paper": entry.paper,
            "status": status(name),
        }
        for name, entry in TASKS.items()
    ]


def pretrain(
    data: str | None = None,
    *,
    task: str | None = None,
    encoder: str | None = None,
    size: int | None = None,
    stem: Stem = "auto",
    seed: int | None = None,
    steps: int | None = None,
    epochs: float | None = None,
    minutes: float | None = None,
    out: str | Path | None = None,
    resume: str | Path | None = None,
    config: str | Path | None = None,
    task_settings: Mapping[str, Mapping[str, Any]] | None = None,
    listener: Listener | None = None,
    caching: CachingListener | None = None,
    **others: Any,
) -> Path:
    """Train an encoder on a pretext task; returns the run folder.

    data: a folder, table, `digits:`, ... (see README); task: a name from `tasks()`.
    steps, epochs, minutes: one budget at most; 10 minutes by default.
    out: a new folder, by default `runs/<task>-<seed>`; resume: a run to go on with.
    config: a `run.toml` or recipe, which the other arguments overrule.
    others: the remaining settings of `config.PretrainSettings`.
    Raises UsageError, DataError or TrainingError with a sentence on what to do.
    """
    if resume is not None:
        asked = (data, task, encoder, size, seed, steps, epochs, minutes, out, config)
        asked = (*asked, task_settings, *others.values())
        if any(value is not None for value in asked):
            raise UsageError("--resume takes the run's own settings; give no others")
        from hotstart.league.pretraining import go_on

        return go_on(Path(resume), listener, caching)
    if sum(budget is not None for budget in (steps, epochs, minutes)) > 1:
        raise UsageError("one budget at most: --steps, --epochs or --minutes")
    asked_for = {
        "data": data,
        "task": task,
        "encoder": encoder,
        "size": size,
        "stem": None if stem == "auto" else stem,
        "seed": seed,
        "steps": steps,
        "epochs": epochs,
        "minutes": minutes,
        **others,
    }
    values = {name: value for name, value in asked_for.items() if value is not None}
    if "init" in values:
        values["init"] = str(values["init"])
    if config is not None:
        from hotstart.training.folder import read_settings

        base = read_settings(Path(config))
        if {"steps", "epochs", "minutes"} & set(values):
            base = {k: v for k, v in base.items() if k not in ("steps", "epochs", "minutes")}
        if "init" in values:
            base.pop("init_digest", None)
        values = {**base, **values}
    merged = {name: dict(own) for name, own in values.get("task_settings", {}).items()}
    for name, own in (task_settings or {}).items():
        merged.setdefault(name, {}).update(own)
    values["task_settings"] = merged
    if "data" not in values:
        raise UsageError(
            "no data: give a folder of pictures, tar shards, a table of paths, or `digits:`"
        )
    values.setdefault("task", DEFAULT_TASK)
    find(values["task"])
    for name, own in merged.items():
        check_asked(name, values["task"])
        for key in own:
            check_setting(name, key)
    check_data(values["data"])
    if not {"steps", "epochs", "minutes"} & set(values):
        values["minutes"] = DEFAULT_MINUTES
    from hotstart.league.pretraining import start

    return start(values, None if out is None else Path(out), listener, caching)


def embed(
    subject: str | Path,
    data: str,
    out: str | Path,
    *,
    encoder: str | None = None,
    size: int | None = None,
    stem: Stem = "auto",
    label: str | None = None,
    group: str | None = None,
    audio_offset_seconds: float | None = None,
    accelerator: str = "auto",
    caching: CachingListener | None = None,
) -> Path:
    """Write features h of every readable picture to a Parquet file; returns its path.

    Columns: `path`, `split`, `label` (null where there is none), `h` (list of D float32).
    label, group, audio_offset_seconds: how `data` is read, see `open_dataset`; a run's own data as
    it was trained, unless said.
    """
    check_data(data)
    from hotstart.data import open_dataset
    from hotstart.league.embedding import write_embedding
    from hotstart.league.subject import open_subject, reading_for

    def read(side: int | None, run: PretrainSettings | None = None) -> Dataset:
        reading = reading_for(run, data, label, group, audio_offset_seconds)
        return open_dataset(data, size=side, progress=caching, **reading)

    if size is None and not (Path(subject) / "run.toml").exists():
        size = read(None).size
    opened = open_subject(str(subject), encoder, size, stem, seed=0)
    dataset = read(opened.encoder.spec.size, opened.settings)
    return write_embedding(opened.encoder, dataset, Path(out), accelerator)


def report(folder: str | Path) -> Path:
    """Write `report.html`, one self-contained page, for a run or a folder of runs."""
    from hotstart.report.page import write_report

    return write_report(Path(folder))


def gallery(
    data: str | Path,
    *,
    tasks: Sequence[str] = ("all",),
    runs: Sequence[str | Path] = (),
    out: str | Path = "gallery.html",
    save: str | Path | None = None,
    size: int | None = None,
    seed: int = 0,
    task_settings: Mapping[str, Mapping[str, Any]] | None = None,
    label: str | None = None,
    group: str | None = None,
    audio_offset_seconds: float | None = None,
    accelerator: str = "auto",
    working: CachingListener | None = None,
) -> Path:
    """Write a page of what each task asks of the pictures in `data`; returns its path.

    tasks: names from `tasks()`, or `all`. runs: run folders, or folders that hold some: of each
    task the answers of its first run there, and its nearest neighbours before and after training.
    save: a folder that gets what generative tasks with a run make of the pictures.
    size, seed, task_settings: of tasks without a run; a run has its own.
    label, group, audio_offset_seconds: how `data` is read, see `open_dataset`; a run's own data as
    it was trained, unless said. What is shown of these was held out from every run of them.
    Raises UsageError or DataError with a sentence on what to do.
    """
    for name in tasks:
        if name != "all":
            find(name)
    for name, own in (task_settings or {}).items():
        for key in own:
            check_setting(name, key)
    check_data(data)
    from hotstart.league.asked import asked_for

    asked = asked_for(tasks, [Path(folder) for folder in runs], makes=save is not None)

    from hotstart.data import open_dataset
    from hotstart.league.gallery import look
    from hotstart.league.subject import reading_for
    from hotstart.report.gallery import write_gallery
    from hotstart.training.device import pick_device

    opened = functools.cache(functools.partial(open_dataset, str(data), progress=working))

    def read(side: int | None, run: PretrainSettings | None) -> Dataset:
        reading = reading_for(run, str(data), label, group, audio_offset_seconds)
        return opened(size=side, **reading)

    found = look(
        asked,
        read,
        size=size,
        seed=seed,
        device=pick_device(accelerator),
        task_settings=task_settings or {},
        save=None if save is None else Path(save),
        progress=working,
    )
    return write_gallery(found, Path(out))

"""The function behind `hotstart compare`, and the one that measures a budget."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from hotstart.config import Protocol, Split, Stem
from hotstart.data_names import check_data
from hotstart.errors import UsageError

if TYPE_CHECKING:
    from hotstart.league.compare import Comparison

DEFAULT_MINUTES = 10.0


def compare(
    data: str | None = None,
    *,
    tasks: Sequence[str] | None = None,
    on: Sequence[str] | None = None,
    seeds: int | Sequence[int] | None = None,
    encoder: str | None = None,
    size: int | None = None,
    stem: Stem = "auto",
    protocols: Sequence[Protocol] | None = None,
    labels: Sequence[float] | None = None,
    split: Split | None = None,
    stages: bool | None = None,
    steps: int | None = None,
    epochs: float | None = None,
    minutes: float | None = None,
    batch_size: int | None = None,
    precision: str | None = None,
    task_settings: Mapping[str, Mapping[str, Any]] | None = None,
    sweep: Mapping[str, Mapping[str, Sequence[Any]]] | None = None,
    label: str | None = None,
    group: str | None = None,
    audio_offset_seconds: float | None = None,
    real: str | None = None,
    allow_leak: bool | None = None,
    ignore_index: Sequence[int] | None = None,
    class_names: Sequence[str] | None = None,
    accelerator: str | None = None,
    checkpoint_seconds: float | None = None,
    out: str | Path = "runs/league",
    resume: str | Path | None = None,
    known: Sequence[str | Path] = (),
    workers: int | None = None,
    executor: str = "local",
    calibrate_only: bool = False,
    listener: Callable[[dict[str, Any]], None] | None = None,
    caching: Callable[[str, int, int], None] | None = None,
) -> Comparison:
    """Pretrain every task with every seed, evaluate all, and say what is better than chance.

    data: what to pretrain on; tasks: names from `tasks()`; the controls `random` and, where the
        data has labels, `supervised` are always in, and `scratch` where `finetune` is asked
    on: downstream evaluations, `classify=DIR`, `action=DIR`, `segment=DIR`, `detect=DIR`, or
        `classify` for the data's own labels; `segment@linear,finetune=DIR` is measured by these
        protocols, the others by `protocols`
    seeds: how many, or which; 3 by default
    steps, epochs, minutes: the same budget for everyone, 10 minutes by default. Minutes become
        steps by measuring, once, before anything is trained.
    sweep: values of a task's settings, `{"jigsaw": {"permutations": [2, 10, 1000]}}`: each value is
        one more contender, which differs from its task in that setting alone
    out: the league's folder; the same call goes on where an earlier one stopped, and so does
        `resume=out` alone. known: `results.jsonl` files whose records need not be made again
    workers: cells at once, each a process. executor: `local`, processes of this machine, one at
        once by default; or `ray`, or `ray:HOST:PORT`: a cluster whose nodes share the folders, as
        many at once as it takes. calibrate_only: measure the budget and stop
    listener: called with what happens, see `league.compare.run_league`
    The other arguments are those of `pretrain` and `evaluate`.

    A cell that fails does not end the league: `Comparison.problems` tells. Writes `results.jsonl`,
    `statistics.json` and `report.html`. Raises UsageError or DataError where nothing can be done.
    """
    from hotstart.league.executor import check_executor
    from hotstart.league.settings import check, read_league

    values = _given(
        data=data,
        tasks=None if tasks is None else tuple(tasks),
        on=None if on is None else tuple(on),
        seeds=tuple(range(seeds)) if isinstance(seeds, int) else seeds and tuple(seeds),
        encoder=encoder,
        size=size,
        stem=None if stem == "auto" else stem,
        protocols=None if protocols is None else tuple(protocols),
        labels=None if labels is None else tuple(labels),
        split=split,
        stages=stages,
        steps=steps,
        epochs=epochs,
        minutes=minutes,
        batch_size=batch_size,
        precision=precision,
        task_settings=task_settings,
        sweep=sweep,
        label=label,
        group=group,
        audio_offset_seconds=audio_offset_seconds,
        real=real,
        allow_leak=allow_leak,
        ignore_index=tuple(ignore_index) if ignore_index else None,
        class_names=tuple(class_names) if class_names else None,
    )
    machine = _given(accelerator=accelerator, checkpoint_seconds=checkpoint_seconds)
    if workers is not None and workers < 1:
        raise UsageError(f"--workers {workers}: at least one is needed")
    check_executor(executor)
    if resume is not None:
        if values:
            raise UsageError("--resume takes the league's own settings; give no others")
        asked, folder = read_league(Path(resume)).asked.model_copy(update=machine), Path(resume)
    else:
        if data is None:
            raise UsageError(
                "no data: give a folder of pictures, tar shards, a table of paths, or `digits:`"
            )
        if tasks is None:
            raise UsageError("no tasks: give --tasks rotation,simclr; `hotstart tasks` lists them")
        if not {"steps", "epochs", "minutes"} & set(values):
            values["minutes"] = DEFAULT_MINUTES
        asked, folder = check(values | machine), Path(out)
        for place in (asked.data, *(one.data for one in asked.evaluations)):
            check_data(place)
    from hotstart.league.compare import run_league
    from hotstart.report.page import write_report

    found = run_league(
        asked,
        folder,
        known=[Path(file) for file in known],
        workers=workers,
        executor=executor,
        calibrate_only=calibrate_only,
        listener=listener,
        caching=caching,
    )
    if found.records:
        write_report(folder)
    return found


def calibrate(
    data: str,
    *,
    task: str,
    minutes: float,
    task_settings: Mapping[str, Mapping[str, Any]] | None = None,
    listener: Callable[[dict[str, Any]], None] | None = None,
    caching: Callable[[str, int, int], None] | None = None,
    **others: Any,
) -> int:
    """How many steps of `task` fit `minutes` on this machine, as it is now; trains nothing.

    It is the number that `pretrain(minutes=...)` with the same settings would begin with.
    others: the settings of `config.PretrainSettings`.
    """
    from hotstart.league.pretraining import calibrate as measure

    own = {name: dict(table) for name, table in (task_settings or {}).items()}
    values = _given(data=data, task=task, minutes=minutes, task_settings=own, **others)
    return measure(values, caching)


def _given(**values: Any) -> dict[str, Any]:
    return {name: value for name, value in values.items() if value is not None}

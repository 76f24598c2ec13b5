"""A league with swept settings, as `hotstart compare --sweep` leaves it, with invented numbers."""

from __future__ import annotations

import tomllib
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import tomli_w

from hotstart.league.records import Record, read_records, write_records
from hotstart.league.variants import changed, read_variant, write_variant

from .fake_runs import STRENGTH, records, with_predictions, write_run

Came = tuple[float, float, float]
"""Own accuracy, its chance, and how far above random it is downstream."""

PERMUTATIONS: dict[Any, Came] = {
    2: (0.97, 0.5, 0.0),
    10: (0.80, 0.1, 0.06),
    100: (0.45, 0.01, 0.16),
    1000: (0.0008, 0.001, 0.01),
}
GUARD: dict[Any, Came] = {True: (0.45, 0.01, 0.16), False: (0.92, 0.01, 0.02)}
OWN = {"permutations": 100, "guard": True}
"""Settings of the plain contender."""


def write_sweeps(
    folder: Path,
    sweeps: Mapping[str, Mapping[Any, Came]] | None = None,
    *,
    seeds: int = 2,
    predictions: bool = True,
    others: tuple[str, ...] = ("rotation",),
    **values: Any,
) -> Path:
    """`jigsaw` with its variants, other tasks, both controls, merged records, `league.toml`."""
    told = {"permutations": PERMUTATIONS, "guard": GUARD} if sweeps is None else sweeps
    kinds = {"seeds": seeds, "predictions": predictions, **values}
    plain = next(table[OWN[s]] for s, table in told.items() if OWN[s] in table)
    write_contender(folder, "jigsaw", None, plain, **kinds)
    names = []
    for setting, table in told.items():
        for value, came in table.items():
            if value != OWN[setting]:
                names.append(write_variant(setting, value))
                write_contender(folder, "jigsaw", names[-1], came, **kinds)
    for task in (*others, "random", "supervised"):
        write_contender(folder, task, None, (0.6, 0.25, STRENGTH.get(task, 0.0)), **kinds)
    merged = [one for path in sorted(folder.rglob("results.jsonl")) for one in read_records(path)]
    write_records(folder / "results.jsonl", merged)
    asked = {"tasks": ["jigsaw", *others], "seeds": list(range(seeds))}
    tables = {"league": asked, "variants": {"jigsaw": names}}
    (folder / "league.toml").write_text(tomli_w.dumps(tables), encoding="utf-8")
    return folder


def write_contender(
    folder: Path,
    task: str,
    variant: str | None,
    came: Came,
    *,
    seeds: int = 2,
    predictions: bool = True,
    **values: Any,
) -> None:
    """Its run folders."""
    name = task if variant is None else f"{task}-{variant}"
    own = dict(OWN) if variant is None else changed(OWN, *read_variant(variant))
    for seed in range(seeds):
        settings = {} if variant is None else {"variant": variant}
        run = write_run(
            folder / f"{name}-{seed}",
            task,
            seed,
            settings=settings,
            evaluated=False,
            panels=0 if task == "random" else 1,
            **{"steps": 40, **values},
        )
        if variant is not None:
            tables = tomllib.loads((run / "run.toml").read_text(encoding="utf-8"))
            setting, value = read_variant(variant)
            tables["task"] = {task: changed(tables["task"][task], setting, value)}
            (run / "run.toml").write_text(tomli_w.dumps(tables), encoding="utf-8")
        found = [_told(one, variant, came, own) for one in records(task, seed)]
        write_records(run / "results.jsonl", with_predictions(run, found) if predictions else found)


def _told(one: Record, variant: str | None, came: Came, own: dict[str, Any]) -> Record:
    accuracy, chance, gain = came
    one = replace(one, variant=variant, settings_hash=f"{variant or ''}{one.settings_hash}")
    if one.downstream == "pretext":
        spread = 0.01 * (one.seed - 0.5) * accuracy
        detail = {"examples": 2048, "settings": own}
        return replace(one, value=accuracy + spread, chance=chance, detail=detail)
    return replace(one, value=one.value + gain - STRENGTH.get(one.task, 0.0))

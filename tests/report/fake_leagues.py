"""Folders of many runs, as `hotstart compare` leaves them."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import tomli_w

from hotstart.league.records import read_records, write_records

from .fake_runs import STRENGTH, write_run


def write_league(
    folder: Path, seeds: int = 3, tasks: Sequence[str] = ("rotation", "simclr"), **values: Any
) -> Path:
    """Some tasks and both controls, each with `seeds` seeds; `values` are `write_run`'s."""
    for task in (*tasks, "random", "supervised"):
        for seed in range(seeds):
            aside = [("a/broken.jpg", "truncated"), ("b/empty.png", "no bytes")]
            write_run(
                folder / task / f"seed{seed}",
                task,
                seed,
                collapsed=task == "rotation" and seed == 1,
                resumed=task == "simclr" and seed == 0,
                quarantine=aside,
                **{"panels": 0 if task == "random" else 2, **values},
            )
    return folder


def write_league_of_eight(folder: Path) -> Path:
    """As `hotstart compare` leaves it: eight tasks, three seeds, predictions, merged records."""
    tasks = [task for task in STRENGTH if task != "supervised"]
    write_league(folder, 3, tasks, predictions=True, panels=1, steps=60)
    merged = [one for path in sorted(folder.rglob("results.jsonl")) for one in read_records(path)]
    write_records(folder / "results.jsonl", merged)
    asked = {"tasks": tasks, "seeds": [0, 1, 2]}
    (folder / "league.toml").write_text(tomli_w.dumps({"league": asked}), encoding="utf-8")
    return folder

"""Records of other leagues that answer this one's questions."""

from __future__ import annotations

import shutil
from collections import defaultdict
from collections.abc import Sequence
from pathlib import Path
from statistics import median

from hotstart.downstream.search import search_ended
from hotstart.errors import UsageError
from hotstart.league.contenders import Contender
from hotstart.league.plan import Plan
from hotstart.league.predictions import Kept, predictions_path
from hotstart.league.pretraining import run_hash
from hotstart.league.records import Record, read_records, write_records
from hotstart.training.folder import RESULTS

AS_LONG = 2.0
"""Steps of a known run are taken for a budget in minutes that is not farther off than by this."""


def read_known(file: Path) -> list[Record]:
    """The records of a file given as known. Raises UsageError where there is none."""
    if not file.is_file():
        raise UsageError(f"--known {file}: no such file; give a results.jsonl")
    return read_records(file)


def known_steps(records: Sequence[Record], one: Contender, fingerprint: str) -> int | None:
    """How many steps `one`'s minutes came to in an earlier league; None where nothing tells.

    A new timing would give another number and with it another run. Only records of its very
    settings on the same pictures count, and only where the seconds that their runs took (the median
    of those with as many steps) are between half and twice the budget.
    """
    minutes = one.settings.minutes
    if minutes is None:
        return None
    took: dict[int, list[float]] = defaultdict(list)
    for record in records:
        steps, seconds = record.budget.get("steps"), record.budget.get("seconds")
        if record.task != one.settings.task or record.downstream != "pretext":
            continue
        if steps and seconds:
            settings = one.with_seed(record.seed, int(steps))
            if run_hash(settings, fingerprint) == record.settings_hash:
                took[int(steps)].append(float(seconds))
    far = {steps: max(t := median(all_) / (60 * minutes), 1 / t) for steps, all_ in took.items()}
    nearest = min(far, key=far.__getitem__, default=None)
    return nearest if nearest is not None and far[nearest] <= AS_LONG else None


def take_over(file: Path, folder: Path, plan: Plan) -> None:
    """Copy from a file of records what answers this league's questions, with its predictions.

    What was trained at a rate that a shorter search had chosen is left out: it is no match for what
    the longer one finds.
    """
    ours = plan.ours(read_known(file))
    fitting = [record for record in ours if plan.asks(record) and search_ended(record.detail)]
    write_records(folder / RESULTS, fitting)
    kept = Kept(file.parent)
    for record in fitting:
        source = kept.find(record)
        if source is not None:
            target = predictions_path(plan.runs[record.settings_hash].folder, record)
            target.parent.mkdir(parents=True, exist_ok=True)
            shutil.copyfile(source[0], target)

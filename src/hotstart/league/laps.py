"""`race.jsonl`: a line for each contender in each rung."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from hotstart.errors import DataError
from hotstart.league.judge import Judged
from hotstart.league.whole import write_whole

LAPS = "race.jsonl"


@dataclass(frozen=True)
class Lap:
    """What a contender did in a rung, counted from 1; `random` stands in rung 0.

    steps: of its run, that it then had behind it; seconds: of this rung, judging included
    """

    rung: int
    contender: str
    steps: int
    seconds: float
    judged: Judged

    @property
    def out(self) -> str | None:
        """Why it cannot go on."""
        return self.judged.problem

    def told(self) -> dict[str, Any]:
        """Flat, as in the file."""
        own = asdict(self)
        judged: dict[str, Any] = own.pop("judged")
        return own | judged


def write_laps(folder: Path, laps: Sequence[Lap]) -> None:
    """All of them, whole or not at all."""
    write_whole(folder / LAPS, "".join(json.dumps(lap.told()) + "\n" for lap in laps))


def read_laps(folder: Path) -> list[Lap]:
    """In the order in which they were run; none where there is no file.

    Raises DataError naming a line that holds none.
    """
    path = folder / LAPS
    if not path.exists():
        return []
    return [
        _read(line, path, number)
        for number, line in enumerate(path.read_text(encoding="utf-8").splitlines(), 1)
    ]


def _read(line: str, path: Path, number: int) -> Lap:
    try:
        told = json.loads(line)
        own = {name: told.pop(name) for name in ("rank", "labels", "problem")}
        return Lap(**told, judged=Judged(**own))
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        raise DataError(f"{path}, line {number}: not a lap of a race ({error})") from None

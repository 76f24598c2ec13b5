"""What committed leagues measured of a task, as a table in the page of its family.

    python -m hotstart.league.measured docs/results docs/tasks

rewrites in every page what stands between `<!-- measured: TASK ... -->` and `<!-- end -->`: a row
for each of these tasks and each league in which it took part with its own settings.
"""

from __future__ import annotations

import itertools
import json
import re
import sys
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from statistics import mean
from typing import Any

from hotstart.errors import DataError
from hotstart.league.kinds import ranks_by
from hotstart.league.records import Record, read_records

STATISTICS, RECORDS = "statistics.json", "results.jsonl"
MARKED = re.compile(r"<!-- measured: ([^>]+) -->\n.*?<!-- end -->", re.DOTALL)
HEAD = (
    "task",
    "league",
    "steps",
    "its own question, held out (trivial)",
    "downstream, frozen",
    "gain over `random`",
    "seeds",
)


@dataclass(frozen=True)
class League:
    """A committed league: its name, the records of pretext tasks, the statistics."""

    name: str
    pretext: list[Record]
    arenas: list[dict[str, Any]]


def read_leagues(results: Path) -> list[League]:
    """Every league in the folder `results`, by name. Raises DataError where there is none."""
    found = [
        League(
            file.parent.name,
            [r for r in read_records(file.parent / RECORDS) if r.downstream == "pretext"],
            json.loads(file.read_text(encoding="utf-8"))["arenas"],
        )
        for file in sorted(results.glob(f"*/{STATISTICS}"))
    ]
    if not found:
        raise DataError(f"{results}: no league in it, as `hotstart compare` writes them")
    return found


def measured(tasks: Sequence[str], leagues: Sequence[League], to_results: str) -> str:
    """A Markdown table; to_results: where the folder of the leagues lies from the page."""
    rows = [
        " | ".join((f"`{task}`", f"[{league}]({to_results}/{league}/README.md)", *cells))
        for task in tasks
        for league, cells in _told_once(_rows(task, league) for league in leagues)
    ]
    if not rows:
        return "No committed league has measured it yet."
    head = [" | ".join(HEAD), " | ".join("---" for _ in HEAD)]
    return "\n".join(f"| {row} |" for row in [*head, *rows])


def rewritten(page: str, leagues: Sequence[League], to_results: str) -> str:
    """The page with its tables made anew."""

    def table(found: re.Match[str]) -> str:
        new = measured(found[1].split(), leagues, to_results)
        return f"<!-- measured: {found[1]} -->\n{new}\n<!-- end -->"

    return MARKED.sub(table, page)


@dataclass(frozen=True)
class _Row:
    """What one league says of a task. runs: seeds and values, to know them again elsewhere.

    narrow: whether its interval is of seeds alone.
    """

    league: str
    narrow: bool
    runs: frozenset[tuple[str, float]]
    cells: tuple[str, ...]


def _told_once(rows: Iterable[Iterable[_Row]]) -> Iterator[tuple[str, tuple[str, ...]]]:
    """Leagues share runs: those that a row with more seeds tells, or an earlier one, are left out.

    Whose interval knows of the test items, too, comes before one of seeds alone.
    """
    every = sorted(itertools.chain.from_iterable(rows), key=lambda row: row.narrow)
    for place, row in enumerate(every):
        others = (o for at, o in enumerate(every) if o.runs > row.runs or at < place)
        if not any(row.runs <= other.runs for other in others):
            yield row.league, row.cells


def _rows(task: str, league: League) -> Iterator[_Row]:
    for arena in league.arenas:
        for column in arena["columns"]:
            asked = (column["protocol"], column["labels"], column["stage"])
            ranks = ranks_by(arena["downstream"], column["protocol"], arena["metric"])
            if asked != ("linear", 1.0, "last") or not ranks:
                continue
            for one in column["standings"]:
                if one["task"] == task and one.get("variant") is None:
                    yield _Row(
                        league.name,
                        one.get("resampled") == "seeds",
                        frozenset(one["values"].items()),
                        (*_pretext(one, league), *_downstream(one, arena)),
                    )


def _pretext(one: dict[str, Any], league: League) -> tuple[str, str]:
    """Steps, and what the task answered to its own question."""
    own = [
        record
        for record in league.pretext
        if (record.task, record.encoder, record.variant) == (one["task"], one["encoder"], None)
    ]
    steps = sorted({count for r in own if (count := r.budget.get("steps")) is not None})
    metrics = dict.fromkeys(record.metric for record in own)
    answers = (_answer([r for r in own if r.metric == metric]) for metric in metrics)
    return ", ".join(f"{count:,.0f}" for count in steps), "; ".join(answers)


def _downstream(one: dict[str, Any], arena: dict[str, Any]) -> tuple[str, str, str]:
    """The value, the gain, how many seeds."""
    spread = "" if one["deviation"] is None else f" ± {one['deviation']:.3f}"
    value = f"{Path(arena['data']).name} {arena['metric']} {one['mean']:.3f}{spread}"
    return value, _gain(one), str(one["n"])


def _answer(records: Sequence[Record]) -> str:
    value = mean(r.value for r in records)
    trivial = [r.chance for r in records if r.chance is not None]
    beside = f" ({mean(trivial):.3g})" if trivial else ""
    return f"{records[0].metric} {value:.3g}{beside}"


def _gain(one: dict[str, Any]) -> str:
    if one["gain"] is None:
        return ""
    between = "" if one["low"] is None else f" ({one['low']:+.3f} .. {one['high']:+.3f})"
    return f"{one['gain']:+.3f}{between}"


def main() -> None:
    """Rewrite the pages."""
    if len(sys.argv) != 3:
        sys.exit("hotstart: give the folder of the leagues and that of the pages")
    results, pages = map(Path, sys.argv[1:])
    leagues = read_leagues(results)
    for page in sorted(pages.glob("*.md")):
        text = page.read_text(encoding="utf-8")
        page.write_text(rewritten(text, leagues, f"../{results.name}"), encoding="utf-8")


if __name__ == "__main__":
    main()

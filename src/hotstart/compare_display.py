"""What a person sees of a league: how far it is, and its table."""

from __future__ import annotations

import sys
import time
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict
from typing import TYPE_CHECKING, Any

from rich.markup import escape
from rich.table import Table

from hotstart.progress import RunDisplay, end_text, output, step_text

if TYPE_CHECKING:
    from hotstart.league.compare import Comparison

QUIET_SECONDS = 30.0
"""How often a running cell says something where there is no terminal."""


class LeagueDisplay(RunDisplay):
    """The number of the cell, its own progress, and the time left."""

    def __init__(self) -> None:
        super().__init__()
        self._titles: dict[str, str] = {}
        self._starts: dict[str, dict[str, Any]] = {}
        self._spoke: dict[str, float] = {}

    def league(self, event: dict[str, Any]) -> None:
        """An event of `league.compare.run_league`."""
        kind = event["kind"]
        if kind == "found":
            for sentence in event["sentences"]:
                self.say(sentence)
            return
        if kind == "cluster":
            self.say(event["sentence"])
            return
        cell = event["cell"]
        if kind == "cell_start":
            self._titles[cell] = f"[{event['number']}/{event['total']}] {event['title']}"
            self._spoke[cell] = time.monotonic()
            left = event["seconds_left"]
            self.say(self._titles[cell] + ("" if left is None else f", {_duration(left)} left"))
        elif kind == "cell_told":
            self._told(cell, event["told"])
        else:
            if cell in self.bars:
                self.progress.remove_task(self.bars.pop(cell))
            if kind == "cell_failed":
                self.say(f"{event['title']} failed: {event['problem']}")

    def _told(self, cell: str, told: list[Any]) -> None:
        title = self._titles[cell]
        if len(told) == 3:
            what, done, total = told
            self._advance(cell, done, total, f"{what} {done}/{total}")
            return
        event = told[0]
        if event["kind"] == "start":
            self._starts[cell] = event
        elif event["kind"] == "step":
            start = self._starts[cell]
            text = step_text(event, start)
            self._advance(cell, event["step"] + 1, start["total_steps"], text)
        elif event["kind"] == "resume":
            self.say(f"{title}: resumed at step {event['resumed_at']}")
        elif event["kind"] == "diagnosis":
            self.say(f"{title}: {event['message']}")
        elif event["kind"] == "end":
            self.say(f"{title}: {end_text(event)}")

    def _advance(self, cell: str, done: int, total: int, told: str) -> None:
        if self.console.is_terminal:
            if cell not in self.bars:
                self.bars[cell] = self.progress.add_task(self._titles[cell], total=total, told="")
            self.progress.update(self.bars[cell], completed=done, total=total, told=told)
        elif time.monotonic() - self._spoke[cell] > QUIET_SECONDS:
            self._spoke[cell] = time.monotonic()
            self.say(f"{self._titles[cell]}: {done}/{total}  {told}")


def print_comparison(found: Comparison) -> None:
    """Steps, and the table of the last stage, on standard output."""
    console = output()

    def say(sentence: str) -> None:
        console.print(sentence, markup=False, highlight=False, soft_wrap=True)

    told = ", ".join(f"{name} {steps}" for name, steps in found.steps.items())
    say(f"Steps of pretraining: {told}")
    if found.statistics is None:
        say(f"League: {found.folder}")
        return
    from hotstart.league.table import arenas_of, overview

    statistics = asdict(found.statistics)
    for title, heads, lines in overview(statistics):
        say(f"\n{title}")
        console.print(_plain(heads, lines))
    for arena in arenas_of(statistics):
        chance = "" if arena["chance"] is None else f"; chance {arena['chance']:.3f}"
        what = f"{arena['downstream']} on {arena['data']}, {arena['split']} split"
        say(f"\n{what}: {arena['metric']}{chance}")
        console.print(_table(arena))
    for note in found.statistics.notes:
        say(note)
    say(f"League: {found.folder}")


def _plain(heads: Sequence[str], lines: Iterable[Sequence[str]]) -> Table:
    table = Table(*heads, box=None)
    for cells in lines:
        table.add_row(*map(escape, cells))
    return table


def _table(arena: Mapping[str, Any]) -> Table:
    from hotstart.league.table import heads, rows

    table = Table(*heads(arena), box=None)
    before: list[str] = []
    for cells in rows(arena):
        same = cells[:2] == before
        if before and not same:
            table.add_section()
        before = cells[:2]
        table.add_row(*(["", ""] if same else before), *map(escape, cells[2:]))
    return table


def print_problems(found: Comparison) -> None:
    """What could not be run, on standard error: each sentence once, with all that it is true of."""
    same: dict[str, list[str]] = {}
    for name, problem in found.problems.items():
        same.setdefault(problem, []).append(name)
    for problem, names in same.items():
        print(f"hotstart: {', '.join(names)}: {problem}", file=sys.stderr)


def _duration(seconds: float) -> str:
    """`42 s`, `7 min`, `3 h 20 min`."""
    if seconds < 90:
        return f"{seconds:.0f} s"
    minutes = round(seconds / 60)
    return f"{minutes} min" if minutes < 90 else f"{minutes // 60} h {minutes % 60} min"

"""What a person sees of a league: how far it is, and its table."""

from __future__ import annotations

import sys
import time
from typing import TYPE_CHECKING, Any

from rich.console import Console
from rich.markup import escape
from rich.table import Table

from hotstart.progress import RunDisplay, end_text, step_text

if TYPE_CHECKING:
    from hotstart.league.conductor import Comparison
    from hotstart.league.summary import Arena, Standing

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
        """An event of `league.schedule`."""
        kind, cell = event["kind"], event["cell"]
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
    console = Console(file=sys.stdout, soft_wrap=True)

    def say(sentence: str) -> None:
        console.print(sentence, markup=False, highlight=False)

    told = ", ".join(f"{name} {steps}" for name, steps in found.steps.items())
    say(f"Steps of pretraining: {told}")
    if found.statistics is None:
        say(f"League: {found.folder}")
        return
    for arena in found.statistics.arenas:
        chance = "" if arena.chance is None else f"; chance {arena.chance:.3f}"
        say(f"\n{arena.downstream} on {arena.data}, {arena.split} split: {arena.metric}{chance}")
        console.print(_table(arena))
    for note in found.statistics.notes:
        say(note)
    say(f"League: {found.folder}")


def _table(arena: Arena) -> Table:
    heads = ("protocol", "labels", "task", "mean ± deviation", "gain", "95 % interval", "p (Holm)")
    table = Table(*heads, "seeds", box=None)
    for column in arena.columns:
        if column.stage not in ("last", None):
            continue
        labels = "" if column.labels is None else f"{100 * column.labels:.4g} %"
        for i, one in enumerate(column.standings):
            last = i == len(column.standings) - 1
            where = (column.protocol, labels) if i == 0 else ("", "")
            table.add_row(*where, escape(one.task), *_cells(one), str(one.n), end_section=last)
    return table


def _cells(one: Standing) -> tuple[str, str, str, str]:
    """Mean, gain over the control, its interval, p; the corrected one for tasks."""
    mean = f"{one.mean:.3f}" + ("" if one.deviation is None else f" ± {one.deviation:.3f}")
    gain = "" if one.gain is None else f"{one.gain:+.3f}"
    interval = "" if one.low is None else f"{one.low:+.3f} .. {one.high:+.3f}"
    return mean, gain, interval, "" if one.p_holm is None else f"{one.p_holm:.4f}"


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

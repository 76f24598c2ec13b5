"""Runs cells in their order, each once its own condition is met, and says how far it is."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from typing import Any

from hotstart.league.cell import Cell
from hotstart.league.executor import Ended, Executor

Listener = Callable[[dict[str, Any]], None]


class Schedule:
    """One pass over the cells that are left.

    done, total: cells of the league already done, and all of them, for the listener; the latter
        by default those and `cells`
    ended: called with a cell and its value when it is over; may return what is wrong with it
    expected: seconds that a cell of a kind nobody has timed yet may take; None = unknown
    """

    def __init__(
        self,
        cells: Sequence[Cell],
        executor: Executor,
        listener: Listener,
        *,
        done: int = 0,
        total: int | None = None,
        ended: Callable[[Cell, int | None], str | None] = lambda cell, value: None,
        expected: Callable[[Cell], float | None] = lambda cell: None,
    ) -> None:
        self.problems: dict[str, str] = {}
        """Sentence for each failed cell, by name."""
        self._left = list(cells)
        self._executor = executor
        self._tell = listener
        self._number, self._total = done, total or done + len(cells)
        self._ended, self._expected = ended, expected
        self._running: dict[str, tuple[Cell, float]] = {}
        self._took: dict[str, list[float]] = {}

    def run(self) -> dict[str, str]:
        """Run everything that can be run; returns `problems`."""
        while self._left or self._running:
            self._start_what_can()
            if not self._running:
                break
            heard = self._executor.wait()
            if isinstance(heard, Ended):
                self._finish(heard)
            else:
                self._tell({"kind": "cell_told", "cell": heard.cell, "told": heard.told})
        return self.problems

    def _start_what_can(self) -> None:
        waiting = {cell.name for cell in self._left} | set(self._running)
        for cell in list(self._left):
            if cell.after in self.problems:
                self._left.remove(cell)
                self._number += 1
                self.problems[cell.name] = f"not run, since {cell.after} failed"
            elif len(self._running) < self._executor.workers and cell.after not in waiting:
                self._left.remove(cell)
                self._number += 1
                self._running[cell.name] = (cell, time.monotonic())
                self._tell(
                    {
                        "kind": "cell_start",
                        "cell": cell.name,
                        "title": cell.title,
                        "number": self._number,
                        "total": self._total,
                        "seconds_left": self._seconds_left(),
                    }
                )
                self._executor.start(cell)

    def _finish(self, heard: Ended) -> None:
        cell, began = self._running.pop(heard.cell)
        seconds = time.monotonic() - began
        problem = heard.problem
        if problem is None:
            problem = self._ended(cell, heard.value)
        event = {"cell": cell.name, "title": cell.title, "seconds": seconds}
        if problem is None:
            for kind in _kinds(cell):
                self._took.setdefault(kind, []).append(seconds)
            self._tell({"kind": "cell_end", **event})
        else:
            self.problems[cell.name] = problem
            self._tell({"kind": "cell_failed", **event, "problem": problem})

    def _seconds_left(self) -> float | None:
        """An estimate from the cells that were run so far; None as long as some kind is unknown."""
        now = time.monotonic()
        ahead = [(cell, 0.0) for cell in self._left]
        ahead += [(cell, now - began) for cell, began in self._running.values()]
        total = 0.0
        for cell, spent in ahead:
            known = [self._took[kind] for kind in _kinds(cell) if kind in self._took]
            each = sum(known[0]) / len(known[0]) if known else self._expected(cell)
            if each is None:
                return None
            total += max(each - spent, 0.0)
        return total / self._executor.workers


def _kinds(cell: Cell) -> tuple[str, str]:
    """What a cell may be timed by, the nearest first: its name without the seed, its function."""
    return cell.function + "".join(c for c in cell.name if not c.isdigit()), cell.function

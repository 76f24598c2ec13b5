"""What a person sees while a command works; on standard error, so that output stays clean."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from types import TracebackType
from typing import Any, Self

from rich.console import Console
from rich.markup import escape
from rich.progress import BarColumn, Progress, TaskID, TextColumn, TimeRemainingColumn
from rich.table import Table

from hotstart.league.records import Record
from hotstart.league.variants import full_name
from hotstart.report.words import plural, sought_among, trivial_name

LINES_WITHOUT_TERMINAL = 20
FILE_WIDTH = 120
LACKED = {"audio": "sound", "pose": "camera poses"}
"""What some items of a set of videos may be without, by its sample key."""
CLASSES_SHOWN = 20


class RunDisplay:
    """A bar on a terminal, a line now and then in a log file."""

    def __init__(self) -> None:
        self.console = Console(stderr=True)
        self.progress = Progress(
            TextColumn("{task.description}"),
            BarColumn(),
            TextColumn("{task.fields[told]}"),
            TimeRemainingColumn(),
            console=self.console,
            disable=not self.console.is_terminal,
        )
        self.bars: dict[str, TaskID] = {}
        self.start: dict[str, Any] = {}

    def __enter__(self) -> Self:
        self.progress.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.progress.stop()

    def say(self, sentence: str) -> None:
        """One line."""
        self.console.print(sentence, markup=False, highlight=False, soft_wrap=True)

    def working(self, what: str, done: int, total: int) -> None:
        """Progress of anything that is counted: reading data, extracting features, fitting."""
        bar = self._bar(what, total)
        self.progress.update(bar, completed=done, told=f"{done}/{total}")

    def event(self, event: dict[str, Any]) -> None:
        """A line of the run's log."""
        kind = event["kind"]
        if kind == "start":
            self.start = event
            self.say(
                f"{event['task']}: {event['encoder']} on {event['images']} pictures of "
                f"{event['data']}, {event['total_steps']} steps of {event['batch_size']}"
            )
            if event.get("begins_with"):
                self.say(f"begins with {event['begins_with']}")
            for key, count in event.get("passed_over", {}).items():
                self.say(f"passed over: {plural(count, 'item')} without {LACKED.get(key, key)}")
            self.say(event["machine"])
        elif kind == "step":
            self._step(event)
        elif kind == "resume":
            self.say(f"resumed at step {event['resumed_at']}")
        elif kind == "diagnosis":
            self.say(event["message"])
        elif kind == "end":
            self.say(end_text(event))

    def _step(self, event: dict[str, Any]) -> None:
        total, done = self.start["total_steps"], event["step"] + 1
        told = step_text(event, self.start)
        if self.console.is_terminal:
            bar = self._bar(self.start["task"], total)
            self.progress.update(bar, completed=done, told=told)
        elif done == total or event["step"] % max(total // LINES_WITHOUT_TERMINAL, 1) == 0:
            left = event["seconds"] / done * (total - done)
            self.say(f"step {done}/{total}  {told}  {left:.0f} s left")

    def _bar(self, name: str, total: int) -> TaskID:
        if name not in self.bars:
            self.bars[name] = self.progress.add_task(name, total=total, told="")
        return self.bars[name]


def step_text(event: dict[str, Any], start: dict[str, Any]) -> str:
    """What a `step` event says, beside the `start` event of its run."""
    value = event["metrics"].get(start["metric"])
    told = f"{event['images_per_second']:.0f} images/s  loss {event['loss']:.3f}"
    return told if value is None else told + f"  {start['metric']} {_beside(value, start)}"


def end_text(event: dict[str, Any]) -> str:
    """What an `end` event says."""
    told = f"{event['metric']} on held-out pictures: {_beside(event['value'], event)}"
    for other in event.get("others", []):
        name = other["metric"] + sought_among(other)
        told += f", {name}: {_beside(other['value'], other)}"
    return told + f" after {event['seconds']:.0f} s"


def _beside(value: float, event: dict[str, Any]) -> str:
    shown = "{:.2f} dB" if event["metric"].endswith("_db") else "{:.3f}"
    trivial, name = event.get("trivial"), trivial_name(event["metric"])
    return shown.format(value) + ("" if trivial is None else f" ({name} {shown.format(trivial)})")


def print_records(records: Sequence[Record]) -> None:
    """A table of results for a person, on standard output."""
    table = Table("task", "protocol", "stage", "labels", "metric", "value", "chance", box=None)
    for record in records:
        labels = "" if record.labels is None else f"{100 * record.labels:.4g}%"
        chance = "" if record.chance is None else f"{record.chance:.3f}"
        stage = "" if record.stage is None else str(record.stage)
        name = full_name(record.task, record.variant)
        metric = record.metric + sought_among(record.detail)
        row = (name, record.protocol or record.downstream, stage, labels, metric)
        table.add_row(*row, f"{record.value:.3f}", chance)
    console = Console(file=sys.stdout)
    console.print(table)
    _print_classes(records, console)


def _print_classes(records: Sequence[Record], console: Console) -> None:
    """Each class by itself, where values are means over classes: with the most labels alone."""
    last = [record for record in records if record.stage == "last" and record.by_class]
    most = max((record.labels or 0.0 for record in last), default=0.0)
    last = [record for record in last if (record.labels or 0.0) == most]
    if not last:
        return
    names = list(dict.fromkeys(name for record in last for name in record.by_class))
    heads = [escape(f"{full_name(one.task, one.variant)} {one.protocol}") for one in last]
    table = Table(f"{last[0].metric} by class", *heads, box=None)
    for name in names[:CLASSES_SHOWN]:
        table.add_row(escape(name), *(_share(one.by_class.get(name)) for one in last))
    if any("pixel_accuracy" in one.detail for one in last):
        accuracies = (_share(one.detail.get("pixel_accuracy")) for one in last)
        table.add_row("pixel accuracy", *accuracies)
    console.print()
    console.print(table)
    if len(names) > CLASSES_SHOWN:
        console.print(f"and {len(names) - CLASSES_SHOWN} classes more: --json has them all")


def _share(value: float | None) -> str:
    return "" if value is None else f"{value:.3f}"


def output() -> Console:
    """Standard output, for what a command came to."""
    console = Console(file=sys.stdout)
    # A file has no width.
    return console if console.is_terminal else Console(file=sys.stdout, width=FILE_WIDTH)

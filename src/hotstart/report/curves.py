"""Training as the log tells it: curves, and sentences on how the run went."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

from hotstart.report.charts import Chart, Line, Style
from hotstart.report.reading import Reading
from hotstart.report.runs import Run
from hotstart.report.thinning import thin
from hotstart.report.words import (
    MISSING,
    count,
    heading,
    is_fraction,
    metric_name,
    plural,
    seconds,
    size,
    trivial_name,
    unit,
)

NOISY = 20
"""A curve of more points than this is smoothed."""


@dataclass(frozen=True)
class Training:
    """One experiment's training. alarms: diagnoses; notes: all other sentences."""

    name: str
    tone: str
    charts: list[Chart]
    notes: list[str]
    alarms: list[str]


def trainings(reading: Reading) -> list[Training]:
    """In the order of the page, of those with a log; `random` learns nothing, so it has none."""
    found = []
    for who, name in reading.names.items():
        runs = [run for run in reading.standings.runs.get(who, []) if run.log]
        if not runs or who.role == "random":
            continue
        charts = _charts(runs, reading.styles[who])
        progress = [note for run in runs for note in _progress(run, len(runs) > 1)]
        notes = [*_together(runs), *progress, *_health(runs)]
        alarms = [alarm for run in runs for alarm in alarms_of(run, len(runs) > 1)]
        found.append(Training(name, reading.styles[who].tone, charts, notes, alarms))
    return found


def _charts(runs: Sequence[Run], style: Style) -> list[Chart]:
    """Loss, every metric, effective rank, learning rate; one line a run."""
    metrics = dict.fromkeys(
        name
        for run in runs
        for event in run.events("step")
        if isinstance(event.get("metrics"), dict)
        for name in event["metrics"]
    )
    starts = [event for run in runs for event in run.events("start")]
    headline = starts[-1].get("metric") if starts else None
    trivial = starts[-1].get("trivial") if starts else None
    charts = [_chart(runs, style, "Loss", ("loss",))]
    for name in metrics:
        percent = is_fraction(name)
        known = _number(trivial) and name == headline
        charts.append(
            _chart(
                runs,
                style,
                heading(metric_name(name)) + (f", {unit(name)}" if unit(name) else ""),
                ("metrics", name),
                percent=percent,
                reference=(
                    (float(trivial), trivial_name(name)) if known and trivial is not None else None
                ),
            )
        )
    charts.append(
        _chart(runs, style, "Effective rank of h", ("effective_rank",), kind="health", smooth=False)
    )
    charts.append(_chart(runs, style, "Learning rate", ("learning_rate",), smooth=False))
    return [chart for chart in charts if chart.lines]


def _chart(
    runs: Sequence[Run],
    style: Style,
    title: str,
    keys: tuple[str, ...],
    *,
    kind: str = "step",
    smooth: bool = True,
    percent: bool = False,
    reference: tuple[float, str] | None = None,
) -> Chart:
    lines = []
    for run in runs:
        points = [(event.get("step"), _inside(event, keys)) for event in run.events(kind)]
        known = [(x, y) for x, y in points if _number(x) and _number(y)]
        if len(known) > 1:
            xs, ys = zip(*known, strict=True)
            short = thin(xs, ys, smooth=smooth and len(known) > NOISY)
            lines.append(
                Line(
                    run.name,
                    style,
                    short.x,
                    short.y,
                    short.low,
                    short.high,
                    single=short.single,
                )
            )
    return Chart(
        title,
        "step",
        "linear",
        percent,
        lines,
        reference=reference,
        zero=not smooth,
        kind="curve",
        tags=False,
    )


def _inside(event: dict[str, Any], keys: tuple[str, ...]) -> Any:
    value: Any = event
    for key in keys:
        value = value.get(key) if isinstance(value, dict) else None
    return value


def _number(value: Any) -> bool:
    """A finite one: a loss that is none has a diagnosis, not a point."""
    known = isinstance(value, int | float) and not isinstance(value, bool)
    return known and math.isfinite(value)


def _together(runs: Sequence[Run]) -> list[str]:
    """Steps, time, speed and memory of the finished runs, in one sentence."""
    ends = [run.events("end")[-1] for run in runs if run.events("end")]
    if not ends:
        return []
    rates = [e["images"] / e["seconds"] for e in ends if e.get("images") and e.get("seconds")]
    parts = [
        _range([e.get("steps") for e in ends], count) + " steps",
        _range([e.get("seconds") for e in ends], seconds),
        _range(rates, count) + " pictures/s" if rates else "",
        _range([e.get("peak_memory_bytes") for e in ends], size) + " of memory at most",
    ]
    whose = f"{len(ends)} runs: " if len(ends) > 1 else ""
    return [whose + ", ".join(part for part in parts if not part.startswith(MISSING)) + "."]


def _range(values: Sequence[Any], show: Callable[[float | None], str]) -> str:
    """`61 s`, or `61 s to 63 s`; a dash where nothing is known."""
    known = [float(value) for value in values if _number(value)]
    ends = dict.fromkeys(show(value) for value in (min(known), max(known))) if known else [MISSING]
    return " to ".join(ends)


def _progress(run: Run, several: bool) -> list[str]:
    """How far an unfinished run came, where it was taken up again, what it looked at."""
    who = f"{run.name}: " if several else ""
    starts, steps = run.events("start"), run.events("step")
    planned = starts[-1].get("total_steps") if starts else None
    said = []
    if steps and not run.events("end"):
        of = f" of {count(planned)}" if planned else ""
        said.append(f"{who}not finished: the log ends at step {count(steps[-1].get('step'))}{of}.")
    elif not steps:
        said.append(f"{who}no step logged yet.")
    for event in run.events("resume"):
        said.append(f"{who}resumed at step {count(event.get('resumed_at'))}.")
    for (data, seed), times in Counter(
        (str(event.get("data")), event.get("seed")) for event in run.events("test_read")
    ).items():
        said.append(
            f"{who}the test split of {data} was read {plural(times, 'time')} (seed {seed})."
        )
    return said if several else [heading(sentence) for sentence in said]


def alarms_of(run: Run, several: bool) -> list[str]:
    """Diagnoses; one that came again and again stands once, with its last words."""
    found = run.events("diagnosis")
    if not found:
        return []
    who = f"{run.name}, " if several else ""
    first, last = found[0], found[-1]
    told = f"{who}step {count(first.get('step'))}: {first.get('message', '')}"
    if len(found) > 1:
        times = plural(len(found) - 1, "later check")
        told += f" Seen again at {times}, the last at step {count(last.get('step'))}."
    return [told if several else heading(told)]


def _health(runs: Sequence[Run]) -> list[str]:
    """What the checks of the representation saw where they found nothing wrong."""
    checked = [run.events("health") for run in runs if run.events("health")]
    if not checked or any(run.events("diagnosis") for run in runs):
        return []
    first, last = checked[0][0], checked[0][-1]
    whose = f" ({runs[0].name})" if len(runs) > 1 else ""
    if not (_number(first.get("effective_rank")) and _number(last.get("effective_rank"))):
        return []
    times = sum(len(found) for found in checked)
    return [
        f"No sign of collapse in {plural(times, 'check')}: the effective rank of h went from "
        f"{first['effective_rank']:.1f} to {last['effective_rank']:.1f} of "
        f"{count(last.get('dim'))} dimensions{whose}."
    ]

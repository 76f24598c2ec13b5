"""Hot start against scratch: fine-tuning curves of both, from the records' `curve`."""

from __future__ import annotations

import statistics
from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from hotstart.report.cells import Arena, Cell, Question
from hotstart.report.charts import Chart, Line
from hotstart.report.reading import Reading, columns_of
from hotstart.report.standings import Contender
from hotstart.report.words import count, difference, heading, label_count, plural, quantity

Curve = Mapping[int, Sequence[tuple[float, float]]]
"""Step -> one (accuracy on the training data, on held-out data) for each seed."""


@dataclass(frozen=True)
class Start:
    """One share of the labels. charts: held-out accuracy; its gap to the training data."""

    title: str
    charts: list[Chart]
    sentence: str


def starts(reading: Reading) -> list[Start]:
    """Fewest labels first, for each arena in which someone was fine-tuned with a curve."""
    found = []
    arenas = reading.standings.arenas
    for arena in sorted(arenas, key=lambda arena: arena != reading.arena):
        for question in columns_of(reading.standings, arena):
            if question.protocol == "finetune":
                start = _start(reading, arena, question, several=len(arenas) > 1)
                if start is not None:
                    found.append(start)
    return found


def curve_of(cell: Cell) -> Curve:
    """The curves of all seeds; steps that only some of them have are left out."""
    seeds = [_readable(replicate.record.detail) for replicate in cell.replicates]
    known = [seed for seed in seeds if seed]
    steps: dict[int, list[tuple[float, float]]] = defaultdict(list)
    for seed in known:
        for step, pair in seed.items():
            steps[step].append(pair)
    return {step: pairs for step, pairs in sorted(steps.items()) if len(pairs) == len(known)}


def _readable(detail: Any) -> dict[int, tuple[float, float]]:
    points = detail.get("curve") if isinstance(detail, dict) else None
    found = {}
    for point in points if isinstance(points, list) else []:
        told = [point.get(key) for key in ("step", "train", "asked")] if point else []
        if len(told) == 3 and all(isinstance(value, int | float) for value in told):
            found[int(told[0])] = (float(told[1]), float(told[2]))
    return found


def _start(reading: Reading, arena: Arena, question: Question, several: bool) -> Start | None:
    table = reading.standings.arenas[arena]
    cells = {who: table[who][question] for who in reading.names if question in table.get(who, {})}
    curves = {who: curve for who, cell in cells.items() if (curve := curve_of(cell))}
    if not curves:
        return None
    known = label_count(cell.label_count for cell in cells.values())
    title = heading(question.share) + (f" ({known})" if known else "")
    if several:
        title = f"{arena.title}: {title}"
    ranked = sorted(cells, key=lambda who: -cells[who].mean)
    best = next((who for who in ranked if who.role == "task" and who in curves), None)
    base = reading.standings.baseline(arena, best, question) if best is not None else None
    sentence = ""
    if best is not None and base is not None and base[0].role == "scratch":
        control, cell = base
        if control in curves:
            gain = cells[best].mean - cell.mean
            told = f"{known} labels" if known else question.share
            sentence = f"With {told}, " + head_start(
                reading.names[best], curves[best], curves[control], gain, arena.metric
            )
    lines = _lines(reading, curves)
    charts = [
        Chart(f"Held-out data: {arena.unit}", "optimiser step", "linear", arena.percent, lines),
        Chart(
            "Training data minus held-out: points",
            "optimiser step",
            "linear",
            arena.percent,
            _lines(reading, curves, gap=True),
            zero=True,
        ),
    ]
    return Start(title, charts, sentence)


def _lines(reading: Reading, curves: Mapping[Contender, Curve], gap: bool = False) -> list[Line]:
    """Mean over seeds, with whiskers from the lowest seed to the highest."""
    lines = []
    for who, curve in curves.items():
        seeds = [[a - b if gap else b for a, b in pairs] for pairs in curve.values()]
        several = any(len(values) > 1 for values in seeds)
        lines.append(
            Line(
                reading.names[who],
                reading.styles[who],
                list(curve),
                [statistics.fmean(values) for values in seeds],
                [min(values) for values in seeds] if several else (),
                [max(values) for values in seeds] if several else (),
                who=reading.numbers[who],
                aside=reading.aside(who),
            )
        )
    return lines


def head_start(name: str, ours: Curve, scratch: Curve, gain: float, metric: str) -> str:
    """What `name` saves, in a sentence that goes on after "With 500 labels, ".

    Asks when our curve of held-out accuracy reaches the best of scratch's; the final values differ
    by `gain`.
    """
    held = {step: statistics.fmean(b for _, b in pairs) for step, pairs in ours.items()}
    theirs = {step: statistics.fmean(b for _, b in pairs) for step, pairs in scratch.items()}
    best = max(theirs.values())
    after = next(step for step, value in theirs.items() if value == best)
    sooner = next((step for step, value in held.items() if value >= best), None)
    end = f"ends {difference(gain, metric)} {'above' if gain >= 0 else 'below'}"
    if sooner is None:
        return f"{name} never reaches the best of scratch ({quantity(best, metric)}): it {end}."
    if sooner == 0:
        return (
            f"{name} is at {quantity(held[0], metric)} before its first step, where scratch gets "
            f"no further than {quantity(best, metric)} in {count(after)} steps; it {end}."
        )
    return (
        f"{name} needs {plural(sooner, 'step')} to get as far as scratch in {count(after)} "
        f"({quantity(best, metric)}), and {end}."
    )

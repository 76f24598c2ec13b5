"""Contenders side by side: gains, number of labels, stages, as the templates want them."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

from hotstart.report.charts import Chart, Line, Style
from hotstart.report.headline import main_question, ranking
from hotstart.report.standings import Arena, Cell, Standings
from hotstart.report.table import Names, Styles, arena_unit, columns_of, label_count
from hotstart.report.words import heading, is_fraction, number, protocol, share


@dataclass(frozen=True)
class Bar:
    """One row of the first picture: from the control's value to the contender's, in 0..100."""

    name: str
    tone: str
    value: str
    gain: str
    start: float | None
    end: float
    seeds: list[float]


@dataclass(frozen=True)
class Picture:
    """The gains under one question. ticks: position and text."""

    title: str
    bars: list[Bar]
    ticks: list[tuple[float, str]]


def gain_pictures(
    standings: Standings, arena: Arena, names: Names, styles: Styles
) -> list[Picture]:
    """Control to contender on one scale, with most labels and with fewest; [] for one alone."""
    main = main_question(standings, arena)
    same = [q for q in columns_of(standings, arena) if q.protocol == main.protocol]
    asked = list(dict.fromkeys([main, *same[:1]]))
    ranked = {q: ranking(standings, arena, q) for q in asked}
    if len(ranked[main]) < 2:
        return []
    values = [v for pairs in ranked.values() for _, cell in pairs for _, v in cell.replicates]
    low, high, ticks = scale(values)

    def place(value: float) -> float:
        return 100 * (value - low) / (high - low)

    pictures = []
    for q, pairs in ranked.items():
        bars = []
        for who, cell in pairs:
            gain = standings.gain(arena, who, q)
            bars.append(
                Bar(
                    names[who],
                    styles[who].tone,
                    number(cell.mean, arena.metric),
                    number(gain.mean, arena.metric, sign=True) if gain else "",
                    place(cell.mean - gain.mean) if gain else None,
                    place(cell.mean),
                    [place(v) for _, v in cell.replicates] if cell.n > 1 else [],
                )
            )
        known = label_count(standings, arena, q)
        labels = "all labels" if q.labels == 1 else f"{share(q.labels)} of the labels"
        title = f"{protocol(q.protocol)}, {labels}" + (f" ({known})" if known else "")
        percent = is_fraction(arena.metric)
        marks = [(place(tick), f"{100 * tick if percent else tick:.4g}") for tick in ticks]
        pictures.append(Picture(heading(title), bars, marks))
    return pictures


def scale(values: Sequence[float]) -> tuple[float, float, list[float]]:
    """Round ends and some ticks around `values`: low, high, ticks."""
    low, high = min(values), max(values)
    span = (high - low) or abs(high) or 1.0
    step = next(s * 10.0**e for e in range(-6, 9) for s in (1, 2, 5) if span / (s * 10.0**e) <= 5)
    first, last = math.floor(low / step - 0.1), math.ceil(high / step + 0.1)
    ticks = [k * step for k in range(first, last + 1)]
    return ticks[0], ticks[-1], ticks


def label_charts(standings: Standings, arena: Arena, names: Names, styles: Styles) -> list[Chart]:
    """Value against number of labels, one chart a protocol that was measured at two or more."""
    table = standings.arenas[arena]
    questions = columns_of(standings, arena)
    charts = []
    for way in dict.fromkeys(q.protocol for q in questions):
        asked = [q for q in questions if q.protocol == way]
        if len(asked) < 2:
            continue
        lines = [
            _line(name, styles[who], arena, [(q.labels, table[who][q]) for q in known])
            for who, name in names.items()
            if (known := [q for q in asked if q in table.get(who, {})])
        ]
        ticks = [(q.labels, share(q.labels)) for q in asked]
        charts.append(_chart(protocol(way), "share of the labels", "log", arena, lines, ticks))
    return charts


def stage_charts(standings: Standings, arena: Arena, names: Names, styles: Styles) -> list[Chart]:
    """The probe at each stage of the encoder, one chart a share of the labels."""
    table = standings.arenas[arena]
    asked = {q for cells in table.values() for q in cells}
    charts = []
    for name in sorted({q.protocol for q in asked if q.stage != "last"}):
        shares = {q.labels for q in asked if q.protocol == name and q.stage != "last"}
        for labels in sorted(shares, reverse=True):
            lines = []
            for who in names:
                cells = table.get(who, {})
                points = sorted(
                    (q for q in cells if q.protocol == name and q.labels == labels),
                    key=lambda q: (q.stage == "last", str(q.stage).zfill(4)),
                )
                if len(points) > 1:
                    stages = [(str(q.stage), cells[q]) for q in points]
                    lines.append(_line(names[who], styles[who], arena, stages))
            title = f"{protocol(name)}, {'all labels' if labels == 1 else share(labels)}"
            charts.append(_chart(title, "stage of the encoder", "category", arena, lines, []))
    return [chart for chart in charts if chart.lines]


def _line(
    name: str, style: Style, arena: Arena, points: Sequence[tuple[float | str, Cell]]
) -> Line:
    deviations = [cell.deviation for _, cell in points]
    return Line(
        name,
        style,
        [x for x, _ in points],
        [cell.mean for _, cell in points],
        deviations if any(d is not None for d in deviations) else None,
    )


def _chart(
    title: str,
    x_title: str,
    x_kind: str,
    arena: Arena,
    lines: list[Line],
    ticks: list[tuple[float, str]],
) -> Chart:
    percent = is_fraction(arena.metric)
    return Chart(
        f"{heading(title)}: {arena_unit(arena)}", x_title, x_kind, percent, lines, x_ticks=ticks
    )

"""Contenders side by side: against number of labels, and stage by stage."""

from __future__ import annotations

from collections.abc import Sequence

from hotstart.report.cells import Arena, Cell
from hotstart.report.charts import Chart, Line
from hotstart.report.reading import Reading, columns_of
from hotstart.report.standings import Contender
from hotstart.report.words import heading, protocol, share


def label_charts(reading: Reading, arena: Arena) -> list[Chart]:
    """Value against number of labels, one chart a protocol that was measured at two or more."""
    table = reading.standings.arenas[arena]
    questions = columns_of(reading.standings, arena)
    charts = []
    for way in dict.fromkeys(q.protocol for q in questions):
        asked = [q for q in questions if q.protocol == way]
        if len(asked) < 2:
            continue
        lines = [
            cell_line(reading, who, [(q.labels, table[who][q]) for q in known])
            for who in reading.names
            if (known := [q for q in asked if q in table.get(who, {})])
        ]
        ticks = [(q.labels, share(q.labels)) for q in asked]
        charts.append(_chart(protocol(way), "share of the labels", "log", arena, lines, ticks))
    return charts


def stage_charts(reading: Reading, arena: Arena) -> list[Chart]:
    """The probe at each stage of the encoder, one chart a share of the labels."""
    table = reading.standings.arenas[arena]
    asked = {q for cells in table.values() for q in cells}
    charts = []
    for name in sorted({q.protocol for q in asked if q.stage != "last"}):
        shares = {q.labels for q in asked if q.protocol == name and q.stage != "last"}
        for labels in sorted(shares, reverse=True):
            lines = []
            for who in reading.names:
                cells = table.get(who, {})
                points = sorted(
                    (q for q in cells if q.protocol == name and q.labels == labels),
                    key=lambda q: (q.stage == "last", str(q.stage).zfill(4)),
                )
                if len(points) > 1:
                    stages = [(str(q.stage), cells[q]) for q in points]
                    lines.append(cell_line(reading, who, stages))
            title = f"{protocol(name)}, {'all labels' if labels == 1 else share(labels)}"
            charts.append(_chart(title, "stage of the encoder", "category", arena, lines, []))
    return [chart for chart in charts if chart.lines]


def cell_line(reading: Reading, who: Contender, points: Sequence[tuple[float | str, Cell]]) -> Line:
    """A contender's means with whiskers of one standard deviation over seeds."""
    spreads = [(cell.mean, cell.deviation) for _, cell in points]
    return Line(
        reading.names[who],
        reading.styles[who],
        [x for x, _ in points],
        [cell.mean for _, cell in points],
        [None if spread is None else mean - spread for mean, spread in spreads],
        [None if spread is None else mean + spread for mean, spread in spreads],
        who=reading.numbers[who],
        aside=reading.aside(who),
    )


def _chart(
    title: str,
    x_title: str,
    x_kind: str,
    arena: Arena,
    lines: list[Line],
    ticks: list[tuple[float, str]],
) -> Chart:
    unit = f"{heading(title)}: {arena.unit}"
    return Chart(unit, x_title, x_kind, arena.percent, lines, x_ticks=ticks)

"""A race as it went: what was measured of each contender at the end of each rung."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from hotstart.errors import HotstartError
from hotstart.league.laps import LAPS, Lap, read_laps
from hotstart.league.race_settings import RACE, Race, read_race
from hotstart.report.charts import Chart, Line
from hotstart.report.reading import Reading
from hotstart.report.runs import Run

MEASURES = {"rank": "RankMe of h", "labels": "Top-1 accuracy with few labels"}
RANDOM = "random"


def race_charts(reading: Reading, runs: Sequence[Run]) -> list[Chart]:
    """For each race that some of `runs` are of: its measures, the one that decided first.

    A line ends where its contender was stopped. What cannot be read has no chart.
    """
    charts = []
    for folder in dict.fromkeys(run.path.parent for run in runs):
        if (folder / LAPS).is_file() and (folder / RACE).is_file():
            try:
                race, laps = read_race(folder), read_laps(folder)
            except HotstartError:
                continue
            for by in sorted(MEASURES, key=lambda by: by != race.asked.by):
                charts.append(_chart(reading, folder, race, laps, by))
    return [chart for chart in charts if chart.lines]


def stopped(run: Run) -> bool:
    """Whether it has no end because a race went on without it."""
    folder = run.path.parent
    if not (folder / RACE).is_file():
        return False
    try:
        return read_race(folder).winner not in (None, run.path.name)
    except HotstartError:
        return False


def _chart(reading: Reading, folder: Path, race: Race, laps: Sequence[Lap], by: str) -> Chart:
    lines = []
    for who, name in reading.names.items():
        own = {run.path.name for run in reading.standings.runs[who] if run.path.parent == folder}
        points = [
            (100 * race.rungs[lap.rung - 1].share, value)
            for lap in laps
            if lap.contender in own and (value := lap.judged.value(by)) is not None
        ]
        if points:
            xs, ys = zip(*points, strict=True)
            lines.append(Line(name, reading.styles[who], xs, ys, who=reading.numbers[who]))
    value = next((lap.judged.value(by) for lap in laps if lap.contender == RANDOM), None)
    decides = ", which decides" if by == race.asked.by else ""
    return Chart(
        MEASURES[by] + decides,
        "% of a whole run's training",
        "linear",
        by == "labels",
        lines,
        reference=None if value is None else (value, RANDOM),
        x_ticks=[(100 * rung.share, f"{rung.share:.0%}") for rung in race.rungs],
    )

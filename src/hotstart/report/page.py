"""The page: sections in order, each from the records, rendered into one file."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from itertools import groupby
from pathlib import Path
from typing import Any

from markupsafe import Markup, escape

from hotstart.report import provenance, table
from hotstart.report.agreement import agreement
from hotstart.report.cells import Arena
from hotstart.report.charts import Chart
from hotstart.report.checks import checks_of
from hotstart.report.comparisons import label_charts, stage_charts
from hotstart.report.curves import trainings
from hotstart.report.difficulty import difficulties
from hotstart.report.downloads import downloads_of
from hotstart.report.gains import gain_pictures
from hotstart.report.headline import write_headline
from hotstart.report.hot_start import starts
from hotstart.report.map import maps_of
from hotstart.report.plot import plot
from hotstart.report.pretext import pretext_rows
from hotstart.report.price import price_of
from hotstart.report.reading import Reading, read
from hotstart.report.rungs import race_charts
from hotstart.report.runs import Picture, Run, read_runs
from hotstart.report.shell import assemble, environment, write_page

REPORT = "report.html"
SMALL_PX = 320
"""Sheets narrower than this are enlarged by whole factors, pixel by pixel."""
STYLES = ("style.css", "tables.css", "charts.css", "map.css", "media.css")
"""In this order: the last one changes the others for small screens and paper."""
SCRIPTS = ("legend.js", "hover.js", "tables.js", "map.js", "curves.js", "contents.js")


@dataclass(frozen=True)
class Section:
    """One part of the page. content: what `templates/<id>.html` shows."""

    id: str
    title: str
    content: Any
    compares: bool = False
    """Whether its charts show contenders side by side, so that it stands under the legend."""

    @property
    def short(self) -> str:
        """One word for the list of sections."""
        return self.id.capitalize()


def write_report(folder: Path) -> Path:
    """Write `report.html`, one self-contained page, into `folder`; returns its path.

    folder: a run, or a folder that holds runs up to three levels below it. The page loads nothing
    from anywhere: scripts, styles and pictures are inside. All numbers come from `results.jsonl`
    and `log.jsonl`, intervals from `predictions/`; what is missing or damaged is said in a
    sentence.

    Raises DataError when there is no run.
    """
    folder = Path(folder)
    text = render(folder.resolve().name, read_runs(folder))
    return write_page(folder / REPORT, text)


def render(name: str, runs: Sequence[Run]) -> str:
    """The page as text. name: what the folder is called."""
    reading = read(runs)
    sections, headline = _sections(reading, runs), write_headline(reading, starts(reading))
    templates = environment()
    templates.filters.update(
        plot=plot,
        place=_place,
        breakable=_breakable,
        groupby_runs=_parts,
        shown_width=_shown_width,
    )
    body = templates.get_template("body.html").render(
        name=name,
        date=_date(runs),
        headline=headline,
        checks=checks_of(reading, runs),
        gains=gain_pictures(reading, reading.arena) if reading.arena else [],
        unit=reading.arena.unit if reading.arena else "",
        sections=sections,
        downloads=downloads_of(reading, runs),
        legend=reading.legend(),
        many=reading.many,
        runs=[run for run in runs if run.settings or run.log],
        quarantined=[run.name for run in runs if run.quarantine is not None],
        versions=provenance.versions_of(runs),
        notes=[*(note for run in runs for note in run.notes), *_unreadable(reading)],
    )
    return assemble(name, "report", body, STYLES, SCRIPTS)


def _sections(reading: Reading, runs: Sequence[Run]) -> list[Section]:
    """In the order of the page."""
    sections = [Section("league", "League table", table.tables(reading))]
    if reading.arena is not None:
        price = price_of(reading, reading.arena)
        sections += [
            Section("labels", "How many labels it takes", _each(reading, label_charts), True),
            Section("start", "Hot start against scratch", starts(reading), True),
            Section(
                "stages",
                "Where in the encoder the knowledge sits",
                _each(reading, stage_charts),
                True,
            ),
            Section("cost", "What it costs", price if price.charts else None, True),
        ]
        found = agreement(reading)
        if found is not None:
            sections.append(
                Section("agreement", "Does what is good for one serve the other?", found)
            )
    raced = race_charts(reading, runs)
    if raced:
        sections.append(Section("race", "The race", raced))
    swept = difficulties(reading)
    if swept:
        sections.append(Section("difficulty", "Neither too hard nor too easy?", swept))
    return [
        *sections,
        Section("scores", "The tasks' own scores", pretext_rows(reading)),
        Section("diagnosis", "Diagnosis", checks_of(reading, runs)),
        Section("training", "Training", trainings(reading)),
        Section("map", "Which pictures the encoder finds alike", maps_of(reading)),
        Section("pictures", "What each task sees", _sheets(reading)),
        Section("files", "Files put aside", provenance.quarantines_of(runs)),
        Section("settings", "Settings and versions", provenance.settings_of(reading)),
    ]


def _parts(sections: Sequence[Section]) -> list[tuple[bool, list[Section]]]:
    """Neighbours that stand under one legend, and those that need none."""
    return [(key, list(part)) for key, part in groupby(sections, key=lambda one: one.compares)]


def _breakable(name: str) -> Markup:
    """A name that may go on in the next line after `_` and `=`, and is escaped."""
    return escape(name).replace("_", Markup("_<wbr>")).replace("=", Markup("=<wbr>"))


def _place(percent: float) -> str:
    """A place in a chart, as short as can be: `12.5%`."""
    return f"{round(percent, 2):g}%"


def _each(
    reading: Reading, draw: Callable[[Reading, Arena], list[Chart]]
) -> list[tuple[str, list[Chart]]]:
    """Charts of every arena that has some, the page's leading one first; a title if several."""
    arenas = reading.arenas
    found = [(arena.title, charts) for arena in arenas if (charts := draw(reading, arena))]
    return found if len(arenas) > 1 else [("", charts) for _, charts in found]


def _unreadable(reading: Reading) -> list[str]:
    """Why some intervals are missing."""
    return [
        f"No interval from predictions, {times} times: {reason}."
        if times > 1
        else f"No interval from predictions: {reason}."
        for reason, times in reading.evidence.unreadable.items()
    ]


def _shown_width(picture: Picture) -> int:
    """Width in CSS pixels; small sheets grow by a whole factor."""
    return picture.width * max(SMALL_PX // max(picture.width, 1), 1)


def _date(runs: Sequence[Run]) -> str:
    """The day of the last event logged: the page of one folder is always the same page."""
    times = [event.get("time") for run in runs for event in run.log]
    known = [time for time in times if isinstance(time, int | float)]
    if not known:
        return ""
    last = datetime.fromtimestamp(max(known), UTC)
    return f"{last.day} {last:%B %Y}"


def _sheets(reading: Reading) -> list[tuple[str, str, list[Picture]]]:
    """Of each experiment the pictures of its first run that has some: name, which run, sheets."""
    found = []
    for who, name in reading.names.items():
        own = reading.standings.runs.get(who, [])
        shown = [run for run in own if run.panels]
        if shown:
            which = shown[0].name if len(own) > 1 else ""
            found.append((name, which, shown[0].panels))
    return found

"""The page: sections in order, each from the records, rendered into one file."""

from __future__ import annotations

import base64
import hashlib
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from importlib.resources import files
from pathlib import Path
from typing import Any

from jinja2 import Environment, PackageLoader, StrictUndefined
from markupsafe import Markup

from hotstart.report import comparisons, provenance, table
from hotstart.report.charts import Chart, chart_json, styles_of
from hotstart.report.curves import trainings
from hotstart.report.headline import main_arena, main_question, ranking, write_headline
from hotstart.report.map import maps_of
from hotstart.report.pretext import pretext_rows
from hotstart.report.runs import Picture, Run, read_runs
from hotstart.report.standings import Contender, Standings, compute_standings, labels_of

REPORT = "report.html"
SMALL_PX = 320
"""Sheets narrower than this are enlarged by whole factors, pixel by pixel."""


@dataclass(frozen=True)
class Section:
    """One part of the page. content: what `templates/<id>.html` shows."""

    id: str
    title: str
    content: Any

    @property
    def short(self) -> str:
        """One word for the list of sections."""
        return self.id.capitalize()


def write_report(folder: Path) -> Path:
    """Write `report.html`, one self-contained page, into `folder`; returns its path.

    folder: a run, or a folder that holds runs up to three levels below it. The page loads nothing
    from anywhere: scripts, styles and pictures are inside. All numbers come from `results.jsonl`
    and `log.jsonl`; what is missing or damaged is said in a sentence.

    Raises DataError when there is no run.
    """
    folder = Path(folder)
    text = render(folder.resolve().name, read_runs(folder))
    part = folder / (REPORT + ".part")
    # A file name need not be Unicode; what cannot be written is shown as a question mark.
    part.write_bytes(text.encode("utf-8", errors="replace"))
    return part.replace(folder / REPORT)


def render(name: str, runs: Sequence[Run]) -> str:
    """The page as text. name: what the folder is called."""
    standings = compute_standings(runs)
    names = labels_of(standings.contenders)
    arena = main_arena(standings)
    best = ranking(standings, arena, main_question(standings, arena)) if arena else []
    # The best first, everywhere on the page; controls last.
    order = sorted(
        dict.fromkeys([*(who for who, _ in best), *names]), key=lambda who: who.role != "task"
    )
    names = {who: names[who] for who in order}
    styles = styles_of(order)
    charts: list[Chart] = []

    def place(chart: Chart) -> int:
        """The number under which the page's script finds a chart."""
        charts.append(chart)
        return len(charts) - 1

    sections = [Section("league", "League table", table.tables(standings, names, styles))]
    if arena is not None:
        told = (standings, arena, names, styles)
        sections += [
            Section("labels", "How many labels it takes", comparisons.label_charts(*told)),
            Section(
                "stages",
                "Where in the encoder the knowledge sits",
                comparisons.stage_charts(*told),
            ),
        ]
    atlas = maps_of(standings, names)
    sections += [
        Section("map", "Which pictures the encoder finds alike", atlas),
        Section("scores", "The tasks' own scores", pretext_rows(standings, names, styles)),
        Section("training", "Training", trainings(standings, names, styles)),
        Section("pictures", "What each task sees", _sheets(standings, names)),
        Section("files", "Files put aside", provenance.quarantines_of(runs)),
        Section("settings", "Settings and versions", provenance.settings_of(runs)),
    ]
    environment = Environment(
        loader=PackageLoader("hotstart.report"),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.policies["json.dumps_kwargs"] = {"allow_nan": False, "separators": (",", ":")}
    environment.filters["chart_json"] = lambda all_of: [chart_json(chart) for chart in all_of]
    environment.filters["data_uri"] = _data_uri
    environment.filters["shown_width"] = _shown_width
    environment.globals["place"] = place
    body = environment.get_template("body.html").render(
        name=name,
        date=_date(runs),
        headline=write_headline(standings, names),
        gains=comparisons.gain_pictures(standings, arena, names, styles) if arena else [],
        unit=table.arena_unit(arena) if arena else "",
        sections=sections,
        entries=[(names[who], styles[who]) for who in names],
        runs=runs,
        has_quarantine=any(run.quarantine is not None for run in runs),
        versions=provenance.versions_of(runs),
        notes=[note for run in runs for note in run.notes],
    )
    scripts = [_plotly(), _asset("charts.js")] if charts else []
    scripts += [_asset("map.js")] if atlas.maps else []
    return environment.get_template("page.html").render(
        name=name,
        style=Markup(_asset("style.css") + _asset("map.css")),
        body=Markup(body),
        charts=charts,
        scripts=[Markup(script) for script in scripts],
        script_hashes=[_hash(script) for script in scripts],
    )


def _asset(name: str) -> str:
    return files("hotstart.report").joinpath("templates", name).read_text(encoding="utf-8")


def _plotly() -> str:
    from plotly.offline import get_plotlyjs

    return str(get_plotlyjs())


def _hash(script: str) -> str:
    """What the page's content security policy knows a script by."""
    digest = hashlib.sha256(script.encode()).digest()
    return f"sha256-{base64.b64encode(digest).decode()}"


def _data_uri(png: bytes) -> str:
    return "data:image/png;base64," + base64.b64encode(png).decode()


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


def _sheets(
    standings: Standings, names: dict[Contender, str]
) -> list[tuple[str, str, list[Picture]]]:
    """Of each experiment the pictures of its first run that has some: name, which run, sheets."""
    found = []
    for who, name in names.items():
        shown = [run for run in standings.runs.get(who, []) if run.panels]
        if shown:
            which = shown[0].name if len(standings.runs[who]) > 1 else ""
            found.append((name, which, shown[0].panels))
    return found

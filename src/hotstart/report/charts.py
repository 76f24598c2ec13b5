"""What the page's charts show, as plain values; `charts.js` draws them with Plotly."""

from __future__ import annotations

import html
import math
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Any

from hotstart.report.standings import Contender, Role
from hotstart.report.words import number

TONES = 8
"""Colours for tasks; more tasks begin anew with another dash."""
DASHES = ("solid", "dash", "dot")
MARKERS = ("circle", "square", "diamond", "triangle-up", "cross", "star", "hexagon", "pentagon")
CONTROL_DASH: dict[Role, str] = {"random": "dash", "scratch": "dot", "supervised": "dashdot"}


@dataclass(frozen=True)
class Style:
    """How one contender looks in every chart of the page."""

    tone: str
    """A name in the palette of `style.css` and `charts.js`: `c0` .. `c7`, or a control's."""
    dash: str
    marker: str


@dataclass(frozen=True)
class Line:
    """One line. name: plain text; error: deviations, same length as y."""

    name: str
    style: Style
    x: Sequence[float | str]
    y: Sequence[float | None]
    error: Sequence[float | None] | None = None
    noisy: bool = False
    """A training curve: drawn faintly, with its running mean over it."""


@dataclass(frozen=True)
class Chart:
    """One small chart. x_kind: `linear`, `log` (shares of labels), or `category` (stages)."""

    title: str
    x_title: str
    x_kind: str
    percent: bool
    lines: Sequence[Line]
    reference: tuple[float, str] | None = None
    """A horizontal line with its name: chance."""
    x_ticks: Sequence[tuple[float, str]] = ()
    zero: bool = False
    """Whether the axis begins at zero."""

    @property
    def description(self) -> str:
        """What a screen reader says."""
        names = ", ".join(dict.fromkeys(line.name for line in self.lines))
        return f"{self.title} against {self.x_title}: {names}"

    @property
    def positions(self) -> list[str]:
        """Where on the horizontal axis something was measured, as its ticks say it."""
        ticks: dict[float | str, str] = dict(self.x_ticks)
        return [ticks.get(x, str(x)) for x in self._places]

    @property
    def values(self) -> list[tuple[str, list[str]]]:
        """Name and values of each line, one for each of `positions`."""
        metric = "accuracy" if self.percent else ""
        rows = []
        for line in self.lines:
            known = dict(zip(line.x, line.y, strict=True))
            rows.append((line.name, [number(known.get(x), metric) for x in self._places]))
        return rows

    @property
    def _places(self) -> list[float | str]:
        found = list(dict.fromkeys(x for line in self.lines for x in line.x))
        return [x for x, _ in self.x_ticks] or found


def styles_of(contenders: Sequence[Contender]) -> dict[Contender, Style]:
    """A colour, dash and marker for each; controls keep theirs on every page."""
    styles: dict[Contender, Style] = {}
    tasks = 0
    for who in contenders:
        if who.role == "task":
            dash = DASHES[tasks // TONES % len(DASHES)]
            styles[who] = Style(f"c{tasks % TONES}", dash, MARKERS[tasks % len(MARKERS)])
            tasks += 1
        else:
            styles[who] = Style(who.role, CONTROL_DASH[who.role], f"{MARKERS[0]}-open")
    return styles


def chart_json(chart: Chart) -> dict[str, Any]:
    """Values for `charts.js`: names escaped, since Plotly reads markup in text; no NaN."""
    values: dict[str, Any] = _clean(asdict(chart))
    return values


def _clean(value: Any) -> Any:
    if isinstance(value, dict):
        return {key: _clean(below) for key, below in value.items()}
    if isinstance(value, list | tuple):
        return [_clean(below) for below in value]
    if isinstance(value, str):
        return html.escape(value, quote=False)
    if isinstance(value, float) and not math.isfinite(value):
        return None
    return value

"""What the page's charts show, as plain values; `plot.py` says where on the page each one lies."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from hotstart.report.ticks import short
from hotstart.report.words import number

TONES = 8
"""Colours for tasks; more tasks share their family's."""
DASHES = ("solid", "dash", "dot")
MARKERS = ("circle", "square", "diamond", "up", "cross", "down", "hexagon", "star")


@dataclass(frozen=True)
class Style:
    """How one contender looks in every chart of the page."""

    tone: str
    """A name in the palette of `style.css`: `c0` .. `c7`, or a control's."""
    dash: str
    marker: str


@dataclass(frozen=True)
class Line:
    """One line. name: plain text; low, high: the ends of its band or whiskers, as long as y."""

    name: str
    style: Style
    x: Sequence[float | str]
    y: Sequence[float]
    low: Sequence[float | None] = ()
    high: Sequence[float | None] = ()
    who: int | None = None
    """Under which number the legend knows it; None: not in the legend."""
    aside: bool = False
    """Faint and nameless until the legend is asked for it: one of many."""
    thin: bool = False
    """A second value of the same contender: dashed, narrow, without a name."""
    single: Sequence[float] = ()
    """Where y is a running mean: the values themselves, as long as y."""
    loose: bool = False
    """Points that no line joins, since their order means nothing."""


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
    """All that was measured on the horizontal axis; none: round numbers."""
    zero: bool = False
    """Whether the axis begins at zero."""
    kind: str = "points"
    """`points`: joined markers with whiskers; `curve`: bare lines with bands; `scatter`: loose."""
    tags: bool = True
    """Whether each line bears its name at its end."""
    x_text: Callable[[float], str] = short
    """How a number on the horizontal axis reads where it has no tick."""

    @property
    def description(self) -> str:
        """What a screen reader says."""
        names = ", ".join(dict.fromkeys(line.name for line in self.lines))
        return f"{self.title} against {self.x_title}: {names}"

    @property
    def positions(self) -> list[str]:
        """Where on the horizontal axis something was measured, as its ticks say it."""
        return [self.x_shown(x) for x in self.places]

    def x_shown(self, x: float | str) -> str:
        """A place on the horizontal axis as the reader gets it."""
        told: dict[float | str, str] = dict(self.x_ticks)
        return told.get(x) or (x if isinstance(x, str) else self.x_text(x))

    @property
    def values(self) -> list[tuple[str, list[str]]]:
        """Name and values of each line, one for each of `positions`."""
        rows = []
        for line in self.lines:
            known = dict(zip(line.x, line.y, strict=True))
            rows.append((line.name, [self.shown(known.get(x)) for x in self.places]))
        return rows

    @property
    def places(self) -> list[float | str]:
        """What was measured on the horizontal axis, in order."""
        found = list(dict.fromkeys(x for line in self.lines for x in line.x))
        if self.x_ticks:
            return [x for x, _ in self.x_ticks]
        return found if self.x_kind == "category" else sorted(found, key=float)

    def shown(self, value: float | None) -> str:
        """A value on the vertical axis as the reader gets it."""
        return number(value, "accuracy" if self.percent else "")

"""Where each part of a chart lies, for the template that draws it as SVG.

Places are shares of the plotting area in percent, so a chart fits every width without a script;
its height is fixed in pixels, so that names at the ends of lines can be kept apart here.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from functools import partial

from hotstart.report.charts import Chart, Line
from hotstart.report.ticks import decades, scale, short

GRID = 10_000
"""Steps of the coordinates in which paths are written."""
TAG_PX = 14
"""The height of a name at the end of a line."""
LETTER_PX = 6.4
NARROWEST_PX = 250
"""The plotting area on a phone: names of scattered points that fit there fit everywhere."""
LONGEST_TAG = 16

Point = tuple[float, float]


@dataclass(frozen=True)
class Tag:
    """A name beside a line or point. side: `right`, `left`, `above` or `below` it."""

    text: str
    x: float
    y: float
    side: str = "right"


@dataclass(frozen=True)
class Drawn:
    """One line. points: in percent; values: at each point, as the reader gets them."""

    line: Line
    points: list[Point]
    values: list[str]
    path: str
    band: str
    whiskers: list[tuple[float, float, float]]
    """Place, low end, high end."""
    tag: Tag | None
    single: str = ""
    """Of a running mean: heights of the values themselves, on the grid of its path."""

    @property
    def home(self) -> float:
        """Where its name belongs before neighbours are pushed apart."""
        return self.points[-1][1]


@dataclass(frozen=True)
class Plot:
    """A whole chart. left, right: margins, in letters of its axis."""

    chart: Chart
    height_px: int
    left: int
    right: int
    x_ticks: list[tuple[float, str]]
    y_ticks: list[tuple[float, str]]
    reference: tuple[float, str] | None
    at: list[tuple[float, str]]
    """Where something was measured, as the reader gets it; bare lines are read by `ends`."""
    lines: list[Drawn]
    ends: tuple[float, float, float, float]
    """Values at the left, right, bottom and top of the plotting area, for reading bare lines."""


def plot(chart: Chart, height_px: int) -> Plot:
    """Lay `chart` out. height_px: of the plotting area without its labels."""
    low, high, y_ticks = _vertical(chart)
    place_y = partial(_linear, low=high, high=low)
    x_low, x_high, x_ticks, logarithmic = _horizontal(chart)

    def place_x(x: float | str) -> float:
        if chart.x_kind == "category":
            return 100 * (chart.places.index(x) + 0.5) / len(chart.places)
        value = math.log10(float(x)) if logarithmic else float(x)
        return _linear(value, low=x_low, high=x_high)

    drawn = [_draw(chart, line, place_x, place_y) for line in chart.lines]
    factor = 100 if chart.percent else 1
    named = [(place_y(tick), short(round(factor * tick, 9))) for tick in y_ticks]
    if chart.tags:
        reference = (place_y(chart.reference[0]), chart.reference[1]) if chart.reference else None
        tags = (
            _scattered(drawn, height_px, reference)
            if chart.kind == "scatter"
            else _ends(drawn, height_px)
        )
        drawn = [replace(d, tag=tag) for d, tag in zip(drawn, tags, strict=True)]
    longest = max((len(d.tag.text) for d in drawn if d.tag and chart.kind != "scatter"), default=0)
    return Plot(
        chart,
        height_px,
        left=max(len(text) for _, text in named) + 1,
        right=longest + 2 if longest else 1,
        x_ticks=[(place_x(value), text) for value, text in x_ticks],
        y_ticks=named,
        reference=(place_y(chart.reference[0]), chart.reference[1]) if chart.reference else None,
        at=[(place_x(x), chart.x_shown(x)) for x in chart.places] if chart.kind != "curve" else [],
        lines=drawn,
        ends=(x_low, x_high, low * factor, high * factor),
    )


def _linear(value: float, low: float, high: float) -> float:
    return 100 * (value - low) / (high - low)


def _vertical(chart: Chart) -> tuple[float, float, list[float]]:
    shown = [y for line in chart.lines for y in line.y]
    shown += [end for line in chart.lines for end in (*line.low, *line.high) if end is not None]
    if chart.reference is not None:
        shown.append(chart.reference[0])
    if chart.zero:
        shown.append(0.0)
    return scale(shown, fractions=chart.percent)


def _horizontal(chart: Chart) -> tuple[float, float, list[tuple[float | str, str]], bool]:
    """Ends, ticks with their texts, and whether the ends are logarithms."""
    if chart.x_kind == "category":
        return 0.0, 1.0, [(x, str(x)) for x in chart.places], False
    values = [float(x) for x in chart.places]
    low, high = min(values), max(values)
    if chart.x_kind == "log" and low > 0:
        ends = math.log10(low), math.log10(high)
        space = 0.08 * ((ends[1] - ends[0]) or 1.0)
        round_ones = decades(10 ** (ends[0] - space), 10 ** (ends[1] + space))
        return ends[0] - space, ends[1] + space, _named(chart, round_ones), True
    low, high, ticks = scale([0.0, *values])
    if chart.kind == "curve":
        high = max(values) or 1.0
    return 0.0, high, _named(chart, [x for x in ticks if 0 <= x <= high]), False


def _named(chart: Chart, ticks: Sequence[float]) -> list[tuple[float | str, str]]:
    """The chart's own ticks, or these."""
    return list(chart.x_ticks or [(x, short(x)) for x in ticks])


def _draw(
    chart: Chart,
    line: Line,
    place_x: Callable[[float | str], float],
    place_y: Callable[[float], float],
) -> Drawn:
    points = [(place_x(x), place_y(y)) for x, y in zip(line.x, line.y, strict=True)]
    ends = [
        (place_x(x), place_y(low), place_y(high))
        for x, low, high in zip(line.x, line.low, line.high, strict=False)
        if low is not None and high is not None
    ]
    loose = line.loose or (chart.kind == "scatter" and not line.thin)
    path = "" if loose else _path(points)
    bare = chart.kind == "curve"
    band = ""
    if bare and len(ends) > 1:
        back = [(x, high) for x, _, high in reversed(ends)]
        band = _path([*((x, low) for x, low, _ in ends), *back]) + "Z"
    values = [] if bare else [chart.shown(y) for y in line.y]
    points = [] if line.thin else points
    single = " ".join(str(_on_grid(place_y(y))) for y in line.single) if bare else ""
    return Drawn(line, points, values, path, band, [] if bare else ends, None, single)


def _path(points: Sequence[Point]) -> str:
    return "M" + "L".join(f"{_on_grid(x)},{_on_grid(y)}" for x, y in points)


def _on_grid(percent: float) -> int:
    return round(percent * GRID / 100)


def _cut(name: str) -> str:
    return name if len(name) <= LONGEST_TAG else name[: LONGEST_TAG - 1] + "…"


def _ends(drawn: Sequence[Drawn], height_px: int) -> list[Tag | None]:
    """Each line's name at its right end; neighbours are pushed apart."""
    tall = 100 * TAG_PX / height_px
    named = [i for i, d in enumerate(drawn) if not (d.line.thin or d.line.aside)]
    order = sorted(named, key=lambda i: drawn[i].points[-1][1])
    told = apart([drawn[i].points[-1][1] for i in order], tall)
    tags: list[Tag | None] = [None] * len(drawn)
    for i, y in zip(order, told, strict=True):
        tags[i] = Tag(_cut(drawn[i].line.name), 100.0, y)
    # Those set aside get theirs where the line ends; the script parts them when they are called.
    for i, d in enumerate(drawn):
        if d.line.aside and not d.line.thin:
            tags[i] = Tag(_cut(d.line.name), 100.0, d.points[-1][1])
    return tags


def apart(places: Sequence[float], least: float) -> list[float]:
    """Ascending places in 0..100, moved little so that neighbours are `least` apart and inside.

    Places that collide form a block that keeps its centre; blocks that then touch are joined.
    """
    blocks: list[list[float]] = []
    for place in places:
        blocks.append([place])
        while len(blocks) > 1 and _bottom(blocks[-2], least) > _top(blocks[-1], least):
            last = blocks.pop()
            blocks[-1] += last
    return [_top(block, least) + (i + 0.5) * least for block in blocks for i in range(len(block))]


def _top(block: Sequence[float], least: float) -> float:
    tall = len(block) * least
    return max(0.0, min(sum(block) / len(block) - tall / 2, 100 - tall))


def _bottom(block: Sequence[float], least: float) -> float:
    return _top(block, least) + len(block) * least


def _scattered(
    drawn: Sequence[Drawn], height_px: int, reference: tuple[float, str] | None
) -> list[Tag | None]:
    """A name beside each point where there is room; best first, others wait for hover."""
    tall, letter = 100 * TAG_PX / height_px, 100 * LETTER_PX / NARROWEST_PX
    space = 100 * 9 / NARROWEST_PX
    shown = [d for d in drawn if not d.line.aside]
    taken = [(x - 2, x + 2, y - tall / 3, y + tall / 3) for d in shown for x, y in d.points]
    if reference is not None:  # its name stands on it, at the right
        y, name = reference
        taken.append((100 - letter * len(name), 100.0, y - tall, y))
    tags: list[Tag | None] = []
    for d in drawn:
        if d.line.thin:
            tags.append(None)
            continue
        text = _cut(d.line.name)
        x, y = d.points[0]
        wide = letter * len(text)
        found = None
        for side, left, centre in (
            ("right", x + space, y),
            ("left", x - space - wide, y),
            ("above", x - wide / 2, y - tall),
            ("below", x - wide / 2, y + tall),
        ):
            box = (left, left + wide, centre - tall / 2, centre + tall / 2)
            inside = box[0] >= 0 and box[1] <= 100 + (4 if side == "right" else 0)
            inside = inside and box[2] >= 0 and box[3] <= 100
            free = d.line.aside or not any(_touch(box, other) for other in taken)
            if inside and free:
                taken += [] if d.line.aside else [box]
                found = Tag(text, x, y, side)
                break
        tags.append(found)
    return tags


def _touch(one: tuple[float, ...], other: tuple[float, ...]) -> bool:
    return one[0] < other[1] and other[0] < one[1] and one[2] < other[3] and other[2] < one[3]

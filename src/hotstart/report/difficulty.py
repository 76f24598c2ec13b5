"""Neither too hard nor too easy: each setting that a league swept, against what it came to."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Any

from hotstart.league.variants import (
    SETTINGS,
    in_order,
    ordered,
    read_variant,
    value_in,
    write_variant,
)
from hotstart.report.cells import Arena, Cell, Question
from hotstart.report.charts import Chart, Line, Style
from hotstart.report.difficulty_words import (
    Measured,
    Transfer,
    own_words,
    shortcut_words,
    transfer_words,
)
from hotstart.report.evidence import Gain
from hotstart.report.reading import Reading, main_question
from hotstart.report.standings import Contender
from hotstart.report.ticks import short
from hotstart.report.words import (
    heading,
    is_fraction,
    listing,
    metric_name,
    trivial_name,
    unit,
)

DECADE = 10.0
"""Values whose ends are this far apart stand on a logarithmic axis."""
LEAST_POINTS = 2
APART = 0.09
"""Share of the axis between two ticks with room for their texts."""
TRIVIAL = Style("random", "dash", "ring")
HELD_OUT = "heldout"


@dataclass(frozen=True)
class Difficulty:
    """One setting of one task. plain: what it is where nobody changed it; empty if unknown."""

    title: str
    plain: str
    sentences: list[str]
    charts: list[Chart]


@dataclass(frozen=True)
class Sweep:
    """points: value and contender, in the order of the values."""

    task: str
    setting: str
    points: list[tuple[Any, Contender]]

    @property
    def ordered(self) -> bool:
        return ordered(value for value, _ in self.points)


def difficulties(reading: Reading) -> list[Difficulty]:
    """By task in the order of the page; nothing where no setting was swept."""
    return [_difficulty(reading, sweep) for sweep in sweeps(reading)]


def sweeps(reading: Reading) -> list[Sweep]:
    """Each setting of one task, network and budget that has two values or more."""
    found = []
    for alike in _families(reading, steps=False):
        values = Counter(write_variant("", value) for value, _ in alike.points)
        if max(values.values()) > 1:  # leagues of several budgets: each for itself
            same = alike.task, alike.setting
            found += [
                one for one in _families(reading, steps=True) if (one.task, one.setting) == same
            ]
        else:
            found.append(alike)
    unique = {(one.task, one.setting, *(who for _, who in one.points)): one for one in found}
    return [one for one in unique.values() if len(one.points) >= LEAST_POINTS]


def _families(reading: Reading, *, steps: bool) -> list[Sweep]:
    """steps: whether those that trained for different numbers of steps are kept apart."""
    told: dict[tuple[Any, ...], list[tuple[Any, Contender]]] = {}

    def key(who: Contender, setting: str) -> tuple[Any, ...]:
        others = {f"{who.task}.{setting}", *(() if steps else ("steps",))}
        return (
            who.task,
            setting,
            who.twin,
            tuple(pair for pair in who.settings if pair[0] not in others),
        )

    for who in reading.tasks:
        if who.variant is not None:
            setting, value = read_variant(who.variant)
            told.setdefault(key(who, setting), []).append((value, who))
    for who in reading.tasks:
        for asked in list(told) if who.plain else ():
            plain = _plain_value(reading, who, asked[1])
            if key(who, asked[1]) == asked and plain is not None:
                told[asked].append((plain, who))
    return [Sweep(task, setting, _sorted(points)) for (task, setting, *_), points in told.items()]


def _sorted(points: list[tuple[Any, Contender]]) -> list[tuple[Any, Contender]]:
    places = [write_variant("", value) for value in in_order(value for value, _ in points)]
    return sorted(points, key=lambda point: places.index(write_variant("", point[0])))


def _plain_value(reading: Reading, who: Contender, setting: str) -> Any:
    """What the task's own records say that it is; None where they do not."""
    for cell in reading.standings.pretext.get(who, {}).values():
        for record in cell.records().values():
            detail = record.detail if isinstance(record.detail, dict) else {}
            value = value_in(detail.get(SETTINGS), setting)
            if value is not None:
                return value
    return None


def _difficulty(reading: Reading, sweep: Sweep) -> Difficulty:
    charts, sentences = [], []
    arena, own = _own(reading, sweep)
    if arena is not None:
        charts.append(_own_chart(reading, sweep, arena, own))
        sentences.append(own_words(sweep.setting, arena.metric, own))
    arenas = [one for one in reading.arenas if one == reading.arena or reading.ranks(one)]
    for one in arenas:
        question = main_question(reading.standings, one)
        found = _transfer(reading, sweep, one, question)
        if found is not None:
            where = one.title if len(arenas) > 1 else ""
            charts.append(_gain_chart(reading, sweep, one, found, where))
            sentences.append(transfer_words(sweep.setting, sweep.ordered, found, where))
            sentences.append(
                shortcut_words(sweep.setting, arena.metric, own, found) if arena else ""
            )
    plain = [_text(value) for value, who in sweep.points if who.plain]
    return Difficulty(
        f"{sweep.task}, {sweep.setting}", listing(plain), [s for s in sentences if s], charts
    )


def _text(value: Any) -> str:
    """As the names of variants have it."""
    return write_variant("", value)[1:]


def _place(value: Any, sweep: Sweep) -> float | str:
    return float(value) if sweep.ordered else _text(value)


def _own(reading: Reading, sweep: Sweep) -> tuple[Arena | None, list[Measured[Cell]]]:
    """The task's own metric on its held-out pictures, of each value that has it."""
    found: dict[Arena, list[Measured[Cell]]] = {}
    for value, who in sweep.points:
        for arena, cell in reading.standings.pretext.get(who, {}).items():
            if arena.split == HELD_OUT:
                found.setdefault(arena, []).append(Measured(_text(value), value, who, cell))
    best = max(found, key=lambda arena: len(found[arena]), default=None)
    return best, found[best] if best is not None else []


def _transfer(reading: Reading, sweep: Sweep, arena: Arena, question: Question) -> Transfer | None:
    """The gains of each value that has one; None where fewer than two have."""
    gains = [
        Measured(_text(value), value, who, gain)
        for value, who in sweep.points
        if (gain := reading.evidence.gain(arena, who, question)) is not None
    ]
    if len(gains) < LEAST_POINTS:
        return None
    control = reading.names[gains[0].told.baseline]

    def between(one: Contender, other: Contender) -> Any:
        return reading.evidence.between(arena, question, one, other)

    return Transfer(arena.metric, question, control, gains, between)


def _own_chart(
    reading: Reading, sweep: Sweep, arena: Arena, own: Sequence[Measured[Cell]]
) -> Chart:
    cells = [(_place(one.value, sweep), one.told) for one in own]
    known = [(x, cell.chance) for x, cell in cells if cell.chance is not None]
    lines = [
        _line(
            sweep.task,
            _style(reading, sweep),
            [(x, cell.mean, *_spread(cell)) for x, cell in cells],
            sweep,
        )
    ]
    if known:
        name = trivial_name(arena.metric)
        points = [(x, chance, None, None) for x, chance in known]
        lines.append(_line(name, TRIVIAL, points, sweep))
    shown = f", {unit(arena.metric)}" if unit(arena.metric) else ""
    title = f"{heading(metric_name(arena.metric))} on held-out pictures{shown}"
    return _chart(title, sweep, is_fraction(arena.metric), lines, tags=True)


def _spread(cell: Cell) -> tuple[float | None, float | None]:
    if cell.deviation is None:
        return None, None
    return cell.mean - cell.deviation, cell.mean + cell.deviation


def _gain_chart(reading: Reading, sweep: Sweep, arena: Arena, found: Transfer, where: str) -> Chart:
    points = [(_place(one.value, sweep), one.told.mean, *_ends(one.told)) for one in found.gains]
    told = heading(found.question.title) + (f" ({where})" if where else "")
    measured = "points" if arena.percent else unit(arena.metric) or metric_name(arena.metric)
    return _chart(
        f"{told}: gain over {found.control}, {measured}",
        sweep,
        arena.percent,
        [_line(sweep.task, _style(reading, sweep), points, sweep)],
        reference=(0.0, ""),
    )


def _ends(gain: Gain) -> tuple[float | None, float | None]:
    return (gain.paired.low, gain.paired.high) if gain.paired is not None else (None, None)


def _style(reading: Reading, sweep: Sweep) -> Style:
    """The plain contender's, else its first variant's."""
    contenders = sorted((who for _, who in sweep.points), key=lambda who: not who.plain)
    return reading.styles[contenders[0]]


def _line(
    name: str,
    style: Style,
    points: Iterable[tuple[float | str, float, float | None, float | None]],
    sweep: Sweep,
) -> Line:
    xs, ys, lows, highs = zip(*points, strict=True)
    return Line(name, style, xs, ys, lows, highs, loose=not sweep.ordered)


def _chart(
    title: str,
    sweep: Sweep,
    percent: bool,
    lines: Sequence[Line],
    *,
    reference: tuple[float, str] | None = None,
    tags: bool = False,
) -> Chart:
    xs = sorted({x for line in lines for x in line.x}, key=float if sweep.ordered else str)
    numbers = [float(x) for x in xs] if sweep.ordered else []
    logarithmic = bool(numbers) and numbers[0] > 0 and numbers[-1] >= DECADE * numbers[0]
    return Chart(
        title,
        sweep.setting,
        "log" if logarithmic else "linear" if numbers else "category",
        percent,
        lines,
        reference=reference,
        x_ticks=_ticks(numbers, math.log10 if logarithmic else float),
        tags=tags,
    )


def _ticks(numbers: Sequence[float], place: Callable[[float], float]) -> list[tuple[float, str]]:
    """The values themselves where they are far enough apart, else those of any axis."""
    places = [place(number) for number in numbers]
    span = (places[-1] - places[0]) if places else 0.0
    crowded = any(b - a < APART * span for a, b in pairwise(places))
    return [] if crowded else [(number, short(number)) for number in numbers]

"""What it costs: value against the time that pretraining took."""

from __future__ import annotations

from dataclasses import dataclass

from hotstart.report.cells import Arena, Question
from hotstart.report.charts import Chart, Line, Style
from hotstart.report.reading import Reading, columns_of, main_question
from hotstart.report.words import heading, listing, quantity, seconds

FRONTIER = Style("soft", "dot", "circle")
WIDE = 6.0
"""Where the longest took this many times as long as the shortest, the axis is logarithmic."""
ALIKE = 1.15
DISTURBED = 1.5
"""Runs of one experiment whose times differ by more were not alone on their machine."""


@dataclass(frozen=True)
class Price:
    """Charts with most labels and with fewest; what they say."""

    charts: list[Chart]
    sentences: list[str]


def price_of(reading: Reading, arena: Arena) -> Price:
    """Nothing where fewer than two were trained for a known time.

    Where times are not to be believed, that is all that is said of them.
    """
    main = main_question(reading.standings, arena)
    same = [q for q in columns_of(reading.standings, arena) if q.protocol == main.protocol]
    charts, sentences = [], []
    for question in dict.fromkeys([main, *same[:1]]):
        points = _points(reading, arena, question)
        if len(points) > 1:
            charts.append(_chart(reading, arena, question, points))
            sentences.append(_sentence(arena, question, points))
    tasks = [point for point in _points(reading, arena, main) if point.task]
    disturbed = [told for point in tasks if (told := _disturbed(reading, point))]
    if disturbed:
        doubt = (
            f"For the same number of steps {listing(disturbed)}: the machine was probably busy "
            "with something else, so these times do not tell who is cheap."
        )
        return Price(charts, [doubt])
    spread = _spread(tasks)
    return Price(charts, list(dict.fromkeys([*([spread] if spread else []), *sentences])))


@dataclass(frozen=True)
class _Point:
    line: Line
    seconds: float
    value: float
    task: bool


def _points(reading: Reading, arena: Arena, question: Question) -> list[_Point]:
    found = []
    for who, name in reading.names.items():
        cell = reading.standings.cell(arena, who, question)
        spent = reading.standings.cost(who, "seconds")
        if cell is None or not spent or who.role in ("random", "scratch"):
            continue
        spread = cell.deviation
        line = Line(
            name,
            reading.styles[who],
            [spent],
            [cell.mean],
            [cell.mean - spread] if spread is not None else (),
            [cell.mean + spread] if spread is not None else (),
            who=reading.numbers[who],
            aside=reading.aside(who),
        )
        found.append(_Point(line, spent, cell.mean, who.role == "task"))
    return found


def frontier(points: list[tuple[float, float]]) -> list[int]:
    """Indices of those (seconds, value) that nothing cheaper, or as cheap, equals; cheapest first.

    These are the ones worth their price: for any budget, one of them is the best to be had.
    """
    best, kept = float("-inf"), []
    for i in sorted(range(len(points)), key=lambda i: (points[i][0], -points[i][1])):
        if points[i][1] > best:
            best = points[i][1]
            kept.append(i)
    return kept


def _best(points: list[_Point]) -> list[_Point]:
    tasks = [point for point in points if point.task]
    return [tasks[i] for i in frontier([(point.seconds, point.value) for point in tasks])]


def _chart(reading: Reading, arena: Arena, question: Question, points: list[_Point]) -> Chart:
    spent = [point.seconds for point in points]
    best = _best(points)
    xs: list[float] = []
    ys: list[float] = []
    for point in best:
        xs += [point.seconds] * (2 if ys else 1)
        ys += [*([ys[-1]] if ys else []), point.value]
    xs.append(max(spent))
    ys += ys[-1:]
    edge = [Line("", FRONTIER, xs, ys, thin=True)] if best else []
    control = next(
        (
            (cells[question].mean, name)
            for who, name in reading.names.items()
            if who.role == "random"
            and question in (cells := reading.standings.arenas[arena].get(who, {}))
        ),
        None,
    )
    return Chart(
        f"{heading(question.title)}: {arena.unit}",
        "seconds of pretraining",
        "log" if max(spent) > WIDE * min(spent) else "linear",
        arena.percent,
        [*(point.line for point in points), *edge],  # the last one lies lowest
        reference=control,
        kind="scatter",
        x_text=seconds,
    )


def _spread(tasks: list[_Point]) -> str:
    """That the tasks did not have the same time, which is what a fair comparison wants."""
    if len(tasks) < 2:
        return ""
    least, most = (pick(tasks, key=lambda point: point.seconds) for pick in (min, max))
    if most.seconds <= ALIKE * least.seconds:
        return ""
    return (
        f"The tasks did not have the same time: {most.line.name} took {seconds(most.seconds)}, "
        f"{most.seconds / least.seconds:.1f} times as long as {least.line.name} "
        f"({seconds(least.seconds)})."
    )


def _disturbed(reading: Reading, point: _Point) -> str:
    """`byol took 3 min 34 s to 23 min 46 s`, where its runs differ so though their steps do not."""
    who = list(reading.names)[point.line.who] if point.line.who is not None else None
    spent: dict[object, list[float]] = {}
    for budget in reading.standings.budgets.get(who, []) if who else []:
        value = budget.get("seconds")
        if isinstance(value, int | float) and value > 0:
            spent.setdefault(budget.get("steps"), []).append(value)
    for values in spent.values():
        if max(values) > DISTURBED * min(values):
            ends = f"{seconds(min(values))} to {seconds(max(values))}"
            return f"{point.line.name} took {ends}"
    return ""


def _sentence(arena: Arena, question: Question, points: list[_Point]) -> str:
    tasks = [point for point in points if point.task]
    spent = [point.seconds for point in tasks]
    if not tasks:
        return "No task was measured."
    if max(spent) <= ALIKE * min(spent):
        span = " to ".join(dict.fromkeys([seconds(min(spent)), seconds(max(spent))]))
        return f"All tasks took about the same time ({span}), so price does not part them."
    worth = [
        f"{point.line.name} ({seconds(point.seconds)}, {quantity(point.value, arena.metric)})"
        for point in _best(points)
    ]
    return f"{heading(question.title)}: no cheaper task beats {listing(worth)}."

"""The league table, as its template wants it."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from hotstart.report.by_class import ClassTable, class_tables
from hotstart.report.cells import Arena, Question
from hotstart.report.families import group_of, paper_of
from hotstart.report.quotes import Quotes, quotes_of
from hotstart.report.reading import Reading, columns_of, main_question, ranking
from hotstart.report.standings import CONTROL_ROLES, Contender
from hotstart.report.words import (
    MISSING,
    PROTOCOLS,
    count,
    heading,
    interval,
    label_count,
    number,
    plural,
    protocol,
    quantity,
    seconds,
    share,
    size,
)

COSTS = (("seconds", seconds), ("images_per_second", count), ("peak_memory_bytes", size))


@dataclass(frozen=True)
class Shown:
    """A measured number in the table. sign: `up`, `down`, or empty where there is no gain."""

    value: str
    deviation: str = ""
    gain: str = ""
    interval: str = ""
    sign: str = ""
    sure: bool = False
    """Above the control beyond chance, after correction over the tasks."""
    best: bool = False
    """The best task of the column, or level with it."""
    told: str = ""
    """The long form, for hovering and screen readers."""
    key: float | None = None
    """What the column is sorted by."""
    share: float | None = None
    """Of the column's greatest, in percent, for a bar."""
    one_frame: str = ""
    """The value of one frame of each video."""


@dataclass(frozen=True)
class Row:
    """One contender. family, paper: of its task; costs: seconds, pictures/s, memory."""

    number: int
    name: str
    tone: str
    role: str
    family: str
    paper: str
    variant: bool
    cells: list[Shown]
    costs: list[Shown]
    repetitions: int


@dataclass(frozen=True)
class Table:
    """One arena. groups: protocol and its columns; columns: share of labels, label count.

    parts: title (a family's, or none) and rows; the controls come last. by_class: of each column
    whose values are means over classes.
    """

    title: str
    unit: str
    groups: list[tuple[str, int]]
    columns: list[tuple[str, str]]
    parts: list[tuple[str, list[Row]]]
    chance: str
    quotes: Quotes
    by_class: list[ClassTable]

    @property
    def rows(self) -> list[Row]:
        return [row for _, rows in self.parts for row in rows]

    @property
    def firsts(self) -> list[int]:
        """The columns with which a protocol begins."""
        spans = [span for _, span in self.groups]
        return [sum(spans[:i]) for i in range(len(spans))]

    @property
    def several_seeds(self) -> bool:
        return any(row.repetitions > 1 for row in self.rows)

    @property
    def alike(self) -> int | None:
        """How often each was repeated, where that is the same for all."""
        found = {row.repetitions for row in self.rows}
        return found.pop() if len(found) == 1 else None

    @property
    def counted(self) -> bool:
        return any(known for _, known in self.columns)

    @property
    def controlled(self) -> bool:
        return any(cell.gain for row in self.rows for cell in row.cells)

    @property
    def intervals(self) -> bool:
        return any(cell.interval for row in self.rows for cell in row.cells)

    @property
    def of_videos(self) -> bool:
        return any(cell.one_frame for row in self.rows for cell in row.cells)

    @property
    def several_tasks(self) -> bool:
        return sum(row.role == "task" for row in self.rows) > 1

    @property
    def varied(self) -> bool:
        return any(row.variant for row in self.rows)

    @property
    def lacks_control(self) -> bool:
        return not self.controlled and any(row.role == "task" for row in self.rows)

    @property
    def finetuned(self) -> bool:
        return any(title == heading(PROTOCOLS["finetune"]) for title, _ in self.groups)


def tables(reading: Reading) -> list[Table]:
    """One table for each arena with numbers of the last stage, the page's leading one first."""
    asked = {arena: columns_of(reading.standings, arena) for arena in reading.arenas}
    return [_table(reading, arena, questions) for arena, questions in asked.items() if questions]


def _table(reading: Reading, arena: Arena, questions: list[Question]) -> Table:
    table = reading.standings.arenas[arena]
    best = {q: _best(reading, arena, q) for q in questions}
    costs = _costs(reading, table)
    parts: dict[str, list[Row]] = {}
    everyone = _order(reading, arena)
    for who in everyone:
        cells = [_shown(reading, arena, who, q, who in best[q]) for q in questions]
        family = group_of(who).title
        row = Row(
            reading.numbers[who],
            reading.names[who],
            reading.styles[who].tone,
            who.role,
            family if who.role == "task" else "",
            paper_of(who) if who.role == "task" else "",
            who.variant is not None,
            cells,
            costs[who],
            max((cell.n for cell in table[who].values()), default=0),
        )
        part = "Controls" if who.role in CONTROL_ROLES else family if reading.many else ""
        parts.setdefault(part, []).append(row)
    # Families in the order of their best; the controls' title is needed among other titles alone.
    ordered = sorted(parts.items(), key=lambda part: part[0] == "Controls")
    told = [(title if reading.many else "", rows) for title, rows in ordered]
    groups: list[tuple[str, int]] = []
    for name in dict.fromkeys(q.protocol for q in questions):
        groups.append((heading(protocol(name)), sum(q.protocol == name for q in questions)))
    columns = [(share(q.labels), _count(reading, arena, q)) for q in questions]
    chances = {c.chance for cells in table.values() for c in cells.values() if c.chance is not None}
    quoted = [
        (row.name, [(c.value, c.deviation, c.sure, c.best) for c in row.cells], row.role)
        for _, rows in ordered
        for row in rows
    ]
    heads = [f"{heading(protocol(q.protocol))} {share(q.labels)}" for q in questions]
    return Table(
        arena.title,
        arena.unit,
        groups,
        columns,
        told,
        quantity(max(chances), arena.metric) if len(chances) == 1 else "",
        quotes_of(f"{arena.title}: {arena.unit}", heads, quoted),
        class_tables(reading, arena, questions, everyone),
    )


def _order(reading: Reading, arena: Arena) -> list[Contender]:
    """By the main question; who did not answer it comes after, by name."""
    table = reading.standings.arenas[arena]
    main = main_question(reading.standings, arena)
    leading = [who for who, _ in ranking(reading.standings, arena, main)]
    return sorted(
        table,
        key=lambda who: (
            who.role in CONTROL_ROLES,
            leading.index(who) if who in leading else len(leading),
            reading.names[who],
        ),
    )


def _best(reading: Reading, arena: Arena, question: Question) -> set[Contender]:
    """The best task of a column and those level with it; nobody where there is one task."""
    ranked = [who for who, _ in ranking(reading.standings, arena, question) if who.role == "task"]
    if len(ranked) < 2:
        return set()
    return {ranked[0], *reading.evidence.level(arena, question, ranked)}


def _costs(reading: Reading, table: Iterable[Contender]) -> dict[Contender, list[Shown]]:
    """Seconds, pictures/s and memory of each, with their share of the greatest."""
    found: dict[Contender, list[Shown]] = {who: [] for who in table}
    for name, show in COSTS:
        spent = {who: reading.standings.cost(who, name) for who in found}
        # `random` learns nothing: its speed would leave all others short bars.
        drawn = {who: value for who, value in spent.items() if value and who.role != "random"}
        most = max(drawn.values(), default=0.0)
        for who, value in spent.items():
            share = 100 * drawn[who] / most if who in drawn else None
            found[who].append(Shown(show(value), key=value, share=share))
    return found


def _shown(reading: Reading, arena: Arena, who: Contender, question: Question, best: bool) -> Shown:
    cell = reading.standings.cell(arena, who, question)
    if cell is None:
        return Shown(MISSING, told="not measured")
    metric = arena.metric
    value = number(cell.mean, metric)
    deviation = number(cell.deviation, metric) if cell.deviation is not None else ""
    told = ", ".join(
        f"seed {seed}: {number(v, metric)}"
        for seed, v, _ in sorted(cell.replicates, key=lambda r: r.seed)
    )
    still = reading.standings.cell(arena.one_frame, who, question)
    frame = number(still.mean, metric) if still is not None else ""
    gain = reading.evidence.gain(arena, who, question)
    if gain is None:
        return Shown(value, deviation, told=told, key=cell.mean, one_frame=frame)
    shown = number(gain.mean, metric, sign=True)
    told += f"; {shown} against {reading.names[gain.baseline]}"
    ends = ""
    if gain.paired is not None:
        ends = interval(gain.paired.low, gain.paired.high, metric)
        resampled = f"{plural(gain.paired.seeds, 'seed')} and {count(gain.paired.items)} pictures"
        told += f", 95 % interval {ends} from {resampled}"
    if gain.p is not None:
        told += f", p = {gain.p:.2g} after Holm's correction"
    return Shown(
        value,
        deviation,
        shown,
        ends,
        "up" if gain.mean > 0 else "down",
        gain.sure,
        best,
        told,
        cell.mean,
        one_frame=frame,
    )


def _count(reading: Reading, arena: Arena, question: Question) -> str:
    table = reading.standings.arenas[arena].values()
    return label_count(cells[question].label_count for cells in table if question in cells)

"""The league table, as its template wants it."""

from __future__ import annotations

from dataclasses import dataclass

from hotstart.report.charts import Style
from hotstart.report.headline import main_question, ranking
from hotstart.report.standings import Arena, Contender, Question, Standings
from hotstart.report.words import (
    DOWNSTREAM,
    MISSING,
    PROTOCOLS,
    count,
    data_name,
    heading,
    is_fraction,
    metric_name,
    number,
    protocol,
    quantity,
    seconds,
    share,
    size,
    split_name,
)

Names = dict[Contender, str]
Styles = dict[Contender, Style]


@dataclass(frozen=True)
class Shown:
    """A measured number in the table. sign: `up`, `down`, or empty where there is no gain."""

    value: str
    deviation: str = ""
    gain: str = ""
    sign: str = ""
    best: bool = False
    told: str = ""
    """The long form, for hovering and screen readers."""


@dataclass(frozen=True)
class Row:
    """One contender. costs: seconds, pictures/s, memory."""

    name: str
    tone: str
    role: str
    cells: list[Shown]
    costs: list[str]
    repetitions: int


@dataclass(frozen=True)
class Table:
    """One arena. groups: protocol and its columns; columns: share of labels, label count."""

    title: str
    unit: str
    groups: list[tuple[str, int]]
    columns: list[tuple[str, str]]
    rows: list[Row]
    chance: str

    @property
    def parts(self) -> list[list[Row]]:
        """Tasks, then controls."""
        tasks = [row for row in self.rows if row.role == "task"]
        controls = [row for row in self.rows if row.role != "task"]
        return [part for part in (tasks, controls) if part]

    @property
    def firsts(self) -> list[int]:
        """The columns with which a protocol begins."""
        spans = [span for _, span in self.groups]
        return [sum(spans[:i]) for i in range(len(spans))]

    @property
    def several_seeds(self) -> bool:
        return any(row.repetitions > 1 for row in self.rows)

    @property
    def counted(self) -> bool:
        return any(known for _, known in self.columns)

    @property
    def controlled(self) -> bool:
        return any(cell.gain for row in self.rows for cell in row.cells)

    @property
    def lacks_control(self) -> bool:
        return not self.controlled and any(row.role == "task" for row in self.rows)

    @property
    def finetuned(self) -> bool:
        return any(title == heading(PROTOCOLS["finetune"]) for title, _ in self.groups)


def arena_title(arena: Arena) -> str:
    task = DOWNSTREAM.get(arena.downstream, arena.downstream)
    return f"{task} on {data_name(arena.data)}, {split_name(arena.split)}"


def arena_unit(arena: Arena) -> str:
    return metric_name(arena.metric) + (", %" if is_fraction(arena.metric) else "")


def _order(name: str) -> tuple[int, str]:
    known = ("knn", "linear", "finetune")
    return (known.index(name) if name in known else len(known), name)


def columns_of(standings: Standings, arena: Arena) -> list[Question]:
    """Protocols in their order, fewest labels first, stage last alone."""
    asked = {q for cells in standings.arenas[arena].values() for q in cells if q.stage == "last"}
    return sorted(asked, key=lambda q: (_order(q.protocol), q.labels))


def tables(standings: Standings, names: Names, styles: Styles) -> list[Table]:
    """One table for each arena with numbers of the last stage."""
    found = []
    for arena in standings.arenas:
        questions = columns_of(standings, arena)
        if questions:
            found.append(_table(standings, arena, questions, names, styles))
    return found


def _table(
    standings: Standings, arena: Arena, questions: list[Question], names: Names, styles: Styles
) -> Table:
    table = standings.arenas[arena]
    leading = [who for who, _ in ranking(standings, arena, main_question(standings, arena))]
    order = sorted(
        table,
        key=lambda who: (
            who.role != "task",
            leading.index(who) if who in leading else len(leading),
            names[who],
        ),
    )
    best = {
        q: max((c[q].mean for w, c in table.items() if w.role == "task" and q in c), default=None)
        for q in questions
    }
    tasks = sum(who.role == "task" for who in table)
    rows = []
    for who in order:
        cells = [
            _shown(standings, arena, who, q, names, best[q] if tasks > 1 else None)
            for q in questions
        ]
        costs = [
            seconds(standings.cost(who, "seconds")),
            count(standings.cost(who, "images_per_second")),
            size(standings.cost(who, "peak_memory_bytes")),
        ]
        repetitions = max((cell.n for cell in table[who].values()), default=0)
        rows.append(Row(names[who], styles[who].tone, who.role, cells, costs, repetitions))
    groups: list[tuple[str, int]] = []
    for name in dict.fromkeys(q.protocol for q in questions):
        groups.append((heading(protocol(name)), sum(q.protocol == name for q in questions)))
    chances = {c.chance for cells in table.values() for c in cells.values() if c.chance is not None}
    return Table(
        arena_title(arena),
        arena_unit(arena),
        groups,
        [(share(q.labels), label_count(standings, arena, q)) for q in questions],
        rows,
        quantity(max(chances), arena.metric) if len(chances) == 1 else "",
    )


def _shown(
    standings: Standings,
    arena: Arena,
    who: Contender,
    question: Question,
    names: Names,
    best: float | None,
) -> Shown:
    cell = standings.cell(arena, who, question)
    if cell is None:
        return Shown(MISSING, told="not measured")
    metric = arena.metric
    deviation = number(cell.deviation, metric) if cell.deviation is not None else ""
    seeds = ", ".join(f"seed {seed}: {number(v, metric)}" for seed, v in sorted(cell.replicates))
    gain = standings.gain(arena, who, question)
    if gain is None:
        return Shown(number(cell.mean, metric), deviation, told=seeds)
    return Shown(
        number(cell.mean, metric),
        deviation,
        number(gain.mean, metric, sign=True),
        "up" if gain.mean > 0 else "down",
        best is not None and cell.mean == best,
        f"{seeds}; {number(gain.mean, metric, sign=True)} against {names[gain.baseline]}",
    )


def label_count(standings: Standings, arena: Arena, question: Question) -> str:
    """The number of labels behind a share, where all records tell the same one."""
    counts = {
        cells[question].label_count
        for cells in standings.arenas[arena].values()
        if question in cells and cells[question].label_count is not None
    }
    return count(counts.pop()) if len(counts) == 1 else ""

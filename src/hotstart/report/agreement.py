"""Does what is good for one downstream column serve the other? Kendall's tau between them."""

from __future__ import annotations

import itertools
import math
import statistics
from collections.abc import Mapping
from dataclasses import dataclass

from scipy import stats

from hotstart.league.statistics import Agreement, holm, kendall_tau, mean_rank
from hotstart.report.evidence import LEVEL
from hotstart.report.reading import Reading, columns_of
from hotstart.report.words import heading, plural, signed

LEAST_TASKS = 3


@dataclass(frozen=True)
class Cell:
    """tau as text, and how strongly to tint it, -100..100."""

    text: str
    tint: int
    told: str


@dataclass(frozen=True)
class Ranked:
    """A task's mean rank, and its rank in each column."""

    name: str
    tone: str
    mean: str
    ranks: list[tuple[str, int]]
    """Rank, and how strongly to tint it: 100 for the first, 0 for the last."""


@dataclass(frozen=True)
class Matrix:
    """columns: their full names; rows: of the lower triangle, without the diagonal."""

    columns: list[str]
    rows: list[list[Cell]]
    ranked: list[Ranked]
    sentences: list[str]


def agreement(reading: Reading) -> Matrix | None:
    """None where no two columns have three tasks or more in common."""
    columns = _columns(reading)
    if len(columns) < 2:
        return None
    found = kendall_tau(columns)
    rows = [[_cell(found, i, j) for j in range(i)] for i in range(len(columns))]
    if not any(cell.text for row in rows for cell in row):
        return None
    return Matrix(
        found.columns, rows, _ranked(reading, columns), sentences(found, mean_rank(columns))
    )


def _columns(reading: Reading) -> dict[str, dict[str, float]]:
    """Column -> task -> value, of columns with enough tasks."""
    arenas = reading.standings.arenas
    found = {}
    for arena in reading.arenas:
        for question in columns_of(reading.standings, arena):
            if not arena.ranks(question.protocol):
                continue
            values = {
                reading.names[who]: cells[question].mean
                for who, cells in arenas[arena].items()
                if who.plain and question in cells
            }
            if len(values) >= LEAST_TASKS:
                title = heading(question.title)
                found[f"{arena.title}: {question.title}" if len(arenas) > 1 else title] = values
    return found


def _cell(found: Agreement, i: int, j: int) -> Cell:
    tau, tasks = found.tau[i][j], found.tasks[i][j]
    if tau is None or tasks < LEAST_TASKS:
        return Cell("", 0, "not enough tasks in common")
    told = f"{found.columns[i]} and {found.columns[j]}: tau {signed(tau)}, {tasks} tasks"
    p = found.p[i][j]
    return Cell(signed(tau), round(100 * tau), told + (f", p = {p:.2g}" if p is not None else ""))


def sentences(found: Agreement, ranks: Mapping[str, float]) -> list[str]:
    """What the matrix says, how sure that is, and who is good everywhere."""
    pairs = {
        (i, j): tau
        for i, j in itertools.combinations(range(len(found.columns)), 2)
        if (tau := found.tau[i][j]) is not None and found.tasks[i][j] >= LEAST_TASKS
    }
    middle = statistics.median(pairs.values())
    verdict = (
        "What is good for one column serves the others"
        if middle >= 0.7
        else "What is good for one column mostly serves the others"
        if middle >= 0.4
        else "What is good for one column serves the others only in part"
        if middle >= 0.15
        else "What is good for one column says little about the others"
    )
    said = [f"{verdict}: the median tau of {plural(len(pairs), 'pair')} is {signed(middle)}."]
    (i, j), least = min(pairs.items(), key=lambda item: item[1])
    if len(pairs) > 1 and least < middle:
        said.append(
            f"Least alike are “{found.columns[i]}” and “{found.columns[j]}” ({signed(least)})."
        )
    tasks = max(found.tasks[i][j] for i, j in pairs)
    smallest = 2 / math.factorial(tasks)
    if smallest >= LEVEL:
        said.append(
            f"With {tasks} tasks nobody can be sure: two unrelated columns show the very same or "
            f"the reverse order in {100 * smallest:.0f} % of cases."
        )
    else:
        told = {f"{i} {j}": p for i, j in pairs if (p := found.p[i][j]) is not None}
        sure = sum(p < LEVEL for p in holm(told).values())
        said.append(
            f"{sure} of {plural(len(pairs), 'pair')} agree or disagree beyond chance "
            f"(p < {LEVEL} after Holm's correction; {tasks} tasks)."
        )
    if ranks:
        first, rank = next(iter(ranks.items()))
        said.append(f"Best on average over all columns: {first}, mean rank {rank:.1f}.")
    return said


def _ranked(reading: Reading, columns: Mapping[str, Mapping[str, float]]) -> list[Ranked]:
    means = mean_rank(columns)
    styles = {name: reading.styles[who] for who, name in reading.names.items()}
    told: dict[str, list[tuple[str, int]]] = {name: [] for name in means}
    for values in columns.values():
        ranks = stats.rankdata([-values[name] for name in means])
        for name, rank in zip(means, ranks.tolist(), strict=True):
            tint = round(100 * (len(means) - rank) / max(len(means) - 1, 1))
            told[name].append((f"{rank:g}", tint))
    return [
        Ranked(name, styles[name].tone, f"{mean:.1f}", told[name]) for name, mean in means.items()
    ]

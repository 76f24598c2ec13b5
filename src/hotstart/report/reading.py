"""What every section of the page is told: standings, evidence, and how each contender looks."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from hotstart.report.cells import Arena, Cell, Question
from hotstart.report.charts import TONES, Style
from hotstart.report.evidence import Evidence
from hotstart.report.families import Group, group_of, styles_of
from hotstart.report.runs import Run
from hotstart.report.standings import (
    CONTROL_ROLES,
    Contender,
    Standings,
    compute_standings,
    labels_of,
)

PREFERRED = ("linear", "knn", "finetune")
FEW = 8
"""Tasks that a chart shows in full at first, where there are many more."""


@dataclass(frozen=True)
class Entry:
    """A contender in the legend. number: by which charts know it."""

    number: int
    name: str
    style: Style
    aside: bool


@dataclass
class Reading:
    """The best first, everywhere on the page; controls last."""

    standings: Standings
    evidence: Evidence
    names: dict[Contender, str]
    styles: dict[Contender, Style]
    numbers: dict[Contender, int]
    arena: Arena | None
    """The comparison that the page leads with."""

    @property
    def tasks(self) -> list[Contender]:
        return [who for who in self.names if who.role not in CONTROL_ROLES]

    @property
    def arenas(self) -> list[Arena]:
        """The leading one, then those whose metric ranks the tasks, then all others.

        What one frame tells is no comparison of its own: it stands beside its video's.
        """
        known = self.standings.arenas
        beside = {arena.one_frame for arena in known}

        def place(arena: Arena) -> tuple[bool, bool]:
            return arena != self.arena, not self.ranks(arena)

        return sorted((arena for arena in known if arena not in beside), key=place)

    def ranks(self, arena: Arena) -> bool:
        """Whether some protocol ranks the tasks by the metric of `arena`."""
        return _ranks(self.standings, arena)

    @property
    def many(self) -> bool:
        """Whether there are more tasks than colours."""
        return len(self.tasks) > TONES

    def aside(self, who: Contender) -> bool:
        """Whether charts draw it faintly until it is asked for."""
        return self.many and who in self.tasks[FEW:]

    def legend(self) -> list[tuple[Group | None, list[Entry]]]:
        """Entries of everyone who was measured downstream, by family where there are many."""
        measured = {who for table in self.standings.arenas.values() for who in table}
        groups: dict[Group | None, list[Entry]] = {}
        for who, name in self.names.items():
            if who in measured:
                entry = Entry(self.numbers[who], name, self.styles[who], self.aside(who))
                groups.setdefault(group_of(who) if self.many else None, []).append(entry)
        return list(groups.items())


def read(runs: Sequence[Run]) -> Reading:
    """Sort everything that the runs tell."""
    standings = compute_standings(runs)
    names = labels_of(standings.contenders)
    arena = main_arena(standings)
    best = ranking(standings, arena, main_question(standings, arena)) if arena else []
    order = sorted(
        dict.fromkeys([*(who for who, _ in best), *names]),
        key=lambda who: who.role in CONTROL_ROLES,
    )
    return Reading(
        standings,
        Evidence(standings),
        {who: names[who] for who in order},
        styles_of(order),
        {who: number for number, who in enumerate(order)},
        arena,
    )


def main_arena(standings: Standings) -> Arena | None:
    """Most contenders, then one that ranks tasks, then the test split, then most numbers."""
    if not standings.arenas:
        return None
    return max(
        standings.arenas,
        key=lambda a: (
            len(standings.arenas[a]),
            _ranks(standings, a),
            a.split == "test",
            sum(len(cells) for cells in standings.arenas[a].values()),
        ),
    )


def _ranks(standings: Standings, arena: Arena) -> bool:
    return any(arena.ranks(q.protocol) for cells in standings.arenas[arena].values() for q in cells)


def main_question(standings: Standings, arena: Arena) -> Question:
    """The linear probe with the most labels, or what comes nearest to it."""
    table = standings.arenas[arena]
    asked = {q for cells in table.values() for q in cells}
    last = {q for q in asked if q.stage == "last"} or asked

    def rank(question: Question) -> tuple[bool, int, float, str]:
        preference = (
            -PREFERRED.index(question.protocol)
            if question.protocol in PREFERRED
            else -len(PREFERRED)
        )
        tasks = any(question in cells for who, cells in table.items() if who.role == "task")
        return (tasks, preference, question.labels, str(question))

    return max(last, key=rank)


def ranking(standings: Standings, arena: Arena, question: Question) -> list[tuple[Contender, Cell]]:
    """All that answered `question`, best first."""
    found = [
        (who, cells[question])
        for who, cells in standings.arenas[arena].items()
        if question in cells
    ]
    return sorted(found, key=lambda pair: -pair[1].mean)


def columns_of(standings: Standings, arena: Arena) -> list[Question]:
    """Protocols in their order, fewest labels first, stage last alone."""
    asked = {q for cells in standings.arenas[arena].values() for q in cells if q.stage == "last"}
    return sorted(asked, key=lambda q: (_order(q.protocol), q.labels))


def _order(name: str) -> tuple[int, str]:
    known = ("knn", "linear", "finetune")
    return (known.index(name) if name in known else len(known), name)

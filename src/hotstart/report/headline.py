"""The page's first sentences: what won, by how much, at what cost, how sure."""

from __future__ import annotations

from dataclasses import dataclass, field

from hotstart.report.standings import Arena, Cell, Contender, Question, Standings
from hotstart.report.words import (
    count,
    data_name,
    difference,
    listing,
    metric_name,
    number,
    plural,
    protocol,
    quantity,
    seconds,
    share,
    size,
    split_name,
    trivial_name,
)

PREFERRED = ("linear", "knn", "finetune")


@dataclass(frozen=True)
class Headline:
    """One sentence, and those that qualify it."""

    title: str
    lead: list[str]
    terms: list[str] = field(default_factory=list)
    """What was measured, at what cost."""


def main_arena(standings: Standings) -> Arena | None:
    """The comparison that the page leads with: most contenders, then the test split, then size."""
    if not standings.arenas:
        return None
    return max(
        standings.arenas,
        key=lambda a: (
            len(standings.arenas[a]),
            a.split == "test",
            sum(len(cells) for cells in standings.arenas[a].values()),
        ),
    )


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


def write_headline(standings: Standings, names: dict[Contender, str]) -> Headline:
    """Words computed from the records alone."""
    arena = main_arena(standings)
    if arena is None:
        return _without_downstream(standings, names)
    question = main_question(standings, arena)
    ranked = [pair for pair in ranking(standings, arena, question) if pair[0].role == "task"]
    where = f"in the {protocol(question.protocol)} on {data_name(arena.data)}"
    if not ranked:
        return _controls_alone(standings, arena, question, names, where)
    (winner, cell), rivals = ranked[0], ranked[1:]
    gain = standings.gain(arena, winner, question)
    value = quantity(cell.mean, arena.metric)
    name = names[winner]
    if gain is None:
        title = f"{name} reaches {value} {where}; without a control, nobody can say what it gained"
    elif gain.mean <= 0:
        who = "No task beats" if rivals else f"{name} does not beat"
        best = f": the best, {name}, is" if rivals else ": it is"
        gap = difference(gain.mean, arena.metric)
        title = f"{who} {names[gain.baseline]} {where}{best} {gap} below"
    else:
        verb = "wins" if rivals else "helps"
        margin = f"{difference(gain.mean, arena.metric)} above {names[gain.baseline]}"
        title = f"{name} {verb}: {value} {where}, {margin}"
    lead = [
        *_few_labels(standings, arena, question, winner, names),
        *_runner_up(arena, cell, rivals, names),
        _certainty(standings, arena, question, winner, cell),
    ]
    return Headline(title, lead, [_terms(arena, question, cell), *_cost(standings, winner, name)])


def _terms(arena: Arena, question: Question, cell: Cell) -> str:
    labels = "all training labels" if question.labels == 1 else f"{share(question.labels)} of them"
    known = f" ({count(cell.label_count)})" if cell.label_count else ""
    chance = f"; chance is {quantity(cell.chance, arena.metric)}" if cell.chance is not None else ""
    metric = metric_name(arena.metric)
    return f"Measured as {metric} on the {split_name(arena.split)} with {labels}{known}{chance}."


def _runner_up(
    arena: Arena,
    cell: Cell,
    rivals: list[tuple[Contender, Cell]],
    names: dict[Contender, str],
) -> list[str]:
    if not rivals:
        return []
    second, other = rivals[0]
    gap = cell.mean - other.mean
    told = (
        f"Next comes {names[second]} with {quantity(other.mean, arena.metric)}, "
        f"{difference(gap, arena.metric)} behind"
    )
    spread = max(cell.deviation or 0.0, other.deviation or 0.0)
    if spread > gap:
        told += "; the seeds spread wider than that, so call the two level"
    return [told + "."]


def _few_labels(
    standings: Standings,
    arena: Arena,
    question: Question,
    winner: Contender,
    names: dict[Contender, str],
) -> list[str]:
    """The gain at the fewest labels, where self-supervision is to earn its keep."""
    fewest = min(
        (
            other
            for other in standings.arenas[arena][winner]
            if other.protocol == question.protocol and other.stage == question.stage
        ),
        key=lambda other: other.labels,
    )
    gain = standings.gain(arena, winner, fewest)
    cell = standings.cell(arena, winner, fewest)
    if fewest == question or gain is None or cell is None:
        return []
    known = f" ({count(cell.label_count)})" if cell.label_count else ""
    side = "above" if gain.mean > 0 else "below"
    return [
        f"With {share(fewest.labels)} of the labels{known} it reaches "
        f"{quantity(cell.mean, arena.metric)}, {difference(gain.mean, arena.metric)} {side} "
        f"{names[gain.baseline]}."
    ]


def _cost(standings: Standings, who: Contender, name: str) -> list[str]:
    spent = standings.cost(who, "seconds")
    if spent is None:
        return []
    parts = [f"Pretraining {name} took {seconds(spent)}"]
    rate, peak = (standings.cost(who, key) for key in ("images_per_second", "peak_memory_bytes"))
    if rate is not None:
        parts.append(f"at {count(rate)} pictures/s")
    if peak is not None:
        parts.append(f"with {size(peak)} of memory at most")
    return [" ".join(parts) + "."]


def _certainty(
    standings: Standings, arena: Arena, question: Question, who: Contender, cell: Cell
) -> str:
    if cell.n == 1:
        return (
            "How sure: one seed, so there is no spread to judge by, and close results may change "
            "places with another."
        )
    spread = difference(cell.deviation or 0, arena.metric)
    told = f"How sure: {plural(cell.n, 'seed')}, deviation {spread}"
    gain = standings.gain(arena, who, question)
    if gain is None or not gain.pairs:
        return told + "."
    low, high = min(gain.pairs), max(gain.pairs)
    above = sum(pair > 0 for pair in gain.pairs)
    pairs = len(gain.pairs)
    seeds = "every seed" if above == pairs else f"{above} of {pairs} seeds"
    return (
        f"{told}; the gain is above zero in {seeds} "
        f"({number(low, arena.metric, sign=True)} to {number(high, arena.metric, sign=True)})."
    )


def _controls_alone(
    standings: Standings,
    arena: Arena,
    question: Question,
    names: dict[Contender, str],
    where: str,
) -> Headline:
    best, cell = ranking(standings, arena, question)[0]
    others = sorted({names[who] for who in standings.contenders if who.role == "task"})
    value = quantity(cell.mean, arena.metric)
    title = f"Controls alone so far: {names[best]} reaches {value} {where}"
    lead = [f"No downstream record yet for {listing(others)}."] if others else []
    return Headline(title, lead, [_terms(arena, question, cell)])


def _without_downstream(standings: Standings, names: dict[Contender, str]) -> Headline:
    """Only pretext records, or none at all."""
    advice = "What the encoder is worth to someone with labels was not measured yet."
    for who, answers in standings.pretext.items():
        for arena, cell in answers.items():
            chance = (
                f" ({trivial_name(arena.metric)}: {quantity(cell.chance, arena.metric)})"
                if cell.chance is not None
                else ""
            )
            title = (
                f"{names[who]} reaches {metric_name(arena.metric)} "
                f"{quantity(cell.mean, arena.metric)} at its own game{chance}"
            )
            others = len(standings.pretext) - 1
            told = plural(others, "more task was", "more tasks were")
            more = [f"{told} trained."] if others else []
            return Headline(title, [*more, advice], _cost(standings, who, names[who]))
    tasks = [names[who] for who in standings.contenders]
    if not tasks:
        return Headline("Nothing was measured yet", ["The folder holds no readable record."])
    return Headline(f"{listing(tasks)}: no result yet", [advice])

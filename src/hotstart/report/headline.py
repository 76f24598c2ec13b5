"""The page's first sentences: what won, by how much, at what cost, how sure."""

from __future__ import annotations

from dataclasses import dataclass

from hotstart.report.cells import Arena, Cell, Question
from hotstart.report.certainty import (
    certainty,
    corrected,
    may_be_chance,
    runner_up,
    tie_title,
    ties,
)
from hotstart.report.evidence import Gain
from hotstart.report.hot_start import Start
from hotstart.report.reading import Reading, main_question, ranking
from hotstart.report.standings import Contender
from hotstart.report.words import (
    between,
    count,
    difference,
    listing,
    metric_name,
    plural,
    protocol,
    quantity,
    seconds,
    share,
    size,
    split_name,
    trivial_name,
)


@dataclass(frozen=True)
class Headline:
    """One sentence, and those that qualify it."""

    title: str
    lead: list[tuple[str, str]]
    """What a paragraph is about, in a word or two, and the paragraph."""
    terms: str = ""
    """What was measured."""


def write_headline(reading: Reading, starts: list[Start]) -> Headline:
    """Words computed from the records alone. starts: of which the first sentence is told."""
    arena, names = reading.arena, reading.names
    if arena is None:
        return _without_downstream(reading)
    question = main_question(reading.standings, arena)
    everyone = ranking(reading.standings, arena, question)
    ranked = [pair for pair in everyone if pair[0].role == "task"]
    where = f"in the {protocol(question.protocol)} on {arena.name}"
    if not ranked:
        return _controls_alone(reading, arena, question, where)
    winner, cell = ranked[0]
    tied = ties(reading, arena, question)
    sure = [
        certainty(reading, arena, question, winner),
        corrected(reading, arena, question),
    ]
    lead = [
        ("How sure", " ".join(sure)),
        ("Who is next", " ".join(runner_up(reading, arena, question, tied))),
        ("Few labels", _few_labels(reading, arena, question, winner)),
        ("Hot start", next((start.sentence for start in starts if start.sentence), "")),
        ("Cost", _cost(reading, winner, names[winner])),
    ]
    title = _title(reading, arena, question, winner, cell, tied, len(ranked) > 1, where)
    return Headline(title, [pair for pair in lead if pair[1]], _terms(arena, question, cell))


def _title(
    reading: Reading,
    arena: Arena,
    question: Question,
    winner: Contender,
    cell: Cell,
    tied: list[Contender],
    rivals: bool,
    where: str,
) -> str:
    names, metric = reading.names, arena.metric
    gain = reading.evidence.gain(arena, winner, question)
    name, value = names[winner], quantity(cell.mean, metric)
    if gain is None:
        return f"{name} reaches {value} {where}; without a control, nobody can say what it gained"
    control, gap = names[gain.baseline], difference(gain.mean, metric)
    if gain.mean <= 0:
        who = "No task beats" if rivals else f"{name} does not beat"
        best = f": the best, {name}, is" if rivals else ": it is"
        return f"{who} {control} {where}{best} {gap} below"
    if may_be_chance(gain.paired):
        verb = "leads" if rivals else "is ahead"
        return f"{name} {verb} with {value} {where}, but {gap} above {control} may be chance"
    margin = f"{value} {where}, {gap} above {control}"
    if tied:
        return f"{tie_title(names, winner, tied)}: {margin}"
    return f"{name} {'wins' if rivals else 'helps'}: {margin}"


def _terms(arena: Arena, question: Question, cell: Cell) -> str:
    labels = "all training labels" if question.labels == 1 else f"{share(question.labels)} of them"
    known = f" ({count(cell.label_count)})" if cell.label_count else ""
    chance = f"; chance is {quantity(cell.chance, arena.metric)}" if cell.chance is not None else ""
    metric = metric_name(arena.metric)
    return f"Measured as {metric} on the {split_name(arena.split)} with {labels}{known}{chance}."


def _few_labels(reading: Reading, arena: Arena, question: Question, winner: Contender) -> str:
    """The gain at the fewest labels, where self-supervision is to earn its keep."""
    fewest = min(
        (
            other
            for other in reading.standings.arenas[arena][winner]
            if other.protocol == question.protocol and other.stage == question.stage
        ),
        key=lambda other: other.labels,
    )
    gain = reading.evidence.gain(arena, winner, fewest)
    cell = reading.standings.cell(arena, winner, fewest)
    if fewest == question or gain is None or cell is None:
        return ""
    known = f" ({count(cell.label_count)})" if cell.label_count else ""
    name = reading.names[winner]
    return (
        f"With {share(fewest.labels)} of the labels{known} {name} reaches "
        f"{quantity(cell.mean, arena.metric)}, {_above(reading, arena, gain)}."
    )


def _above(reading: Reading, arena: Arena, gain: Gain) -> str:
    side = "above" if gain.mean > 0 else "below"
    told = f"{difference(gain.mean, arena.metric)} {side} {reading.names[gain.baseline]}"
    if gain.paired is None:
        return told
    return f"{told} ({between(gain.paired.low, gain.paired.high, arena.metric)})"


def _cost(reading: Reading, who: Contender, name: str) -> str:
    cost = reading.standings.cost
    spent = cost(who, "seconds")
    if spent is None:
        return ""
    parts = [f"Pretraining {name} took {seconds(spent)}"]
    rate, peak = (cost(who, key) for key in ("images_per_second", "peak_memory_bytes"))
    if rate is not None:
        parts.append(f"at {count(rate)} pictures/s")
    if peak is not None:
        parts.append(f"with {size(peak)} of memory at most")
    return " ".join(parts) + "."


def _controls_alone(reading: Reading, arena: Arena, question: Question, where: str) -> Headline:
    names = reading.names
    best, cell = ranking(reading.standings, arena, question)[0]
    others = sorted({names[who] for who in reading.standings.contenders if who.role == "task"})
    value = quantity(cell.mean, arena.metric)
    title = f"Controls alone so far: {names[best]} reaches {value} {where}"
    lead = [("Missing", f"No downstream record yet for {listing(others)}.")] if others else []
    return Headline(title, lead, _terms(arena, question, cell))


def _without_downstream(reading: Reading) -> Headline:
    """Only pretext records, or none at all."""
    standings, names = reading.standings, reading.names
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
            lead = [
                ("Missing", advice + (f" {told} trained." if others else "")),
                ("Cost", _cost(reading, who, names[who])),
            ]
            return Headline(title, [pair for pair in lead if pair[1]])
    tasks = [names[who] for who in standings.contenders]
    if not tasks:
        return Headline(
            "Nothing was measured yet", [("Missing", "The folder holds no readable record.")]
        )
    return Headline(f"{listing(tasks)}: no result yet", [("Missing", advice)])

"""How sure, in plain words: intervals, ties, corrected p values."""

from __future__ import annotations

from collections.abc import Mapping

from hotstart.league.statistics import PairedGain
from hotstart.report.cells import Arena, Cell, Question
from hotstart.report.reading import Reading, ranking
from hotstart.report.standings import Contender
from hotstart.report.words import (
    THIN,
    between,
    count,
    difference,
    listing,
    number,
    plural,
    quantity,
)

SURE = f"95{THIN}% interval"
NAMED_TIES = 3


def certainty(reading: Reading, arena: Arena, question: Question, who: Contender) -> str:
    """Of the gain over the control: its interval, else what the seeds say."""
    cell = reading.standings.arenas[arena][who][question]
    gain = reading.evidence.gain(arena, who, question)
    if gain is not None and gain.paired is not None:
        ends = between(gain.paired.low, gain.paired.high, arena.metric)
        told = f"The gain over {reading.names[gain.baseline]} is {ends} ({SURE}, from"
        items = f"{count(gain.paired.items)} pictures"
        if gain.paired.seeds == 1:
            return f"{told} {items} of one seed; another seed may fall outside)."
        return f"{told} {plural(gain.paired.seeds, 'seed')} and {items})."
    return _by_seeds(reading, arena, question, who, cell)


def _by_seeds(
    reading: Reading, arena: Arena, question: Question, who: Contender, cell: Cell
) -> str:
    if cell.n == 1:
        return (
            "One seed, so there is no spread to judge by, and close results may change "
            "places with another."
        )
    spread = difference(cell.deviation or 0, arena.metric)
    told = f"{plural(cell.n, 'seed')}, deviation {spread}"
    gain = reading.evidence.gain(arena, who, question)
    if gain is None or not gain.pairs:
        return told + "."
    ends = (number(end, arena.metric, sign=True) for end in (min(gain.pairs), max(gain.pairs)))
    above, pairs = sum(pair > 0 for pair in gain.pairs), len(gain.pairs)
    seeds = "every seed" if above == pairs else f"{above} of {pairs} seeds"
    return f"{told}; the gain is above zero in {seeds} ({' to '.join(ends)})."


def may_be_chance(paired: PairedGain | None) -> bool:
    """Whether the interval of a gain holds zero."""
    return paired is not None and paired.low <= 0


def corrected(reading: Reading, arena: Arena, question: Question) -> str:
    """How many tasks gain beyond chance; empty where that is known of one or none."""
    gains = [
        gain
        for who in reading.standings.arenas[arena]
        if who.plain
        and (gain := reading.evidence.gain(arena, who, question)) is not None
        and gain.p is not None
    ]
    if len(gains) < 2:
        return ""
    sure = sum(gain.sure for gain in gains)
    among = "two tasks" if len(gains) == 2 else f"{len(gains)} tasks"
    who = (
        f"All {among}"
        if sure == len(gains) > 2
        else "Both tasks"
        if sure == len(gains)
        else f"{sure or 'None'} of the {among}"
    )
    verb = "gain" if sure > 1 else "gains"
    return (
        f"{who} {verb} over {reading.names[gains[0].baseline]} beyond chance "
        "(p < 0.05 after Holm's correction)."
    )


def ties(reading: Reading, arena: Arena, question: Question) -> list[Contender]:
    """The tasks that cannot be told from the best."""
    ranked = [who for who, _ in ranking(reading.standings, arena, question) if who.role == "task"]
    return reading.evidence.level(arena, question, ranked) if ranked else []


def runner_up(
    reading: Reading, arena: Arena, question: Question, tied: list[Contender]
) -> list[str]:
    """Who comes next, how far behind, and whether that may be chance."""
    ranked = [
        pair for pair in ranking(reading.standings, arena, question) if pair[0].role == "task"
    ]
    (winner, cell), names = ranked[0], reading.names
    rest = [pair for pair in ranked[1:] if pair[0] not in tied]
    said = [_tied(reading, arena, question, winner, tied)] if tied else []
    if rest:
        who, other = rest[0]
        gap = cell.mean - other.mean
        told = (
            f"Next comes {names[who]} with {quantity(other.mean, arena.metric)}, "
            f"{difference(gap, arena.metric)} behind"
        )
        known = reading.evidence.between(arena, question, winner, who)
        if known is not None:
            ends = f"{number(known.low, arena.metric)} to {number(known.high, arena.metric)}"
            told += f" ({SURE} {ends})"
        elif max(cell.deviation or 0.0, other.deviation or 0.0) > gap:
            told += "; the seeds spread wider than that, so call the two level"
        said.append(told + ".")
    return said


def _tied(
    reading: Reading,
    arena: Arena,
    question: Question,
    winner: Contender,
    tied: list[Contender],
) -> str:
    shown = [
        f"{reading.names[who]} ({_gap(reading, arena, question, winner, who)})"
        for who in tied[:NAMED_TIES]
    ]
    more = len(tied) - len(shown)
    others = shown + ([f"{more} more"] if more else [])
    is_or_are = "is" if len(tied) == 1 else "are"
    return (
        f"{listing(others)} {is_or_are} level with {reading.names[winner]}: the {SURE} of the "
        "difference holds zero."
    )


def _gap(
    reading: Reading, arena: Arena, question: Question, winner: Contender, who: Contender
) -> str:
    known = reading.evidence.between(arena, question, winner, who)
    assert known is not None
    ends = [number(-end, arena.metric, sign=True) for end in (known.high, known.low)]
    return " to ".join(ends)


def tie_title(names: Mapping[Contender, str], winner: Contender, tied: list[Contender]) -> str:
    """`simclr and moco tie`, `simclr ties with 4 others`."""
    if len(tied) < NAMED_TIES:
        return f"{listing([names[winner], *(names[who] for who in tied)])} tie at the top"
    return f"{names[winner]} ties with {len(tied)} others at the top"

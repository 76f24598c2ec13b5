"""What the values of a swept setting came to, in sentences."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, Generic, TypeVar

from hotstart.league.statistics import PairedGain
from hotstart.report.cells import Cell, Question
from hotstart.report.certainty import SURE, may_be_chance
from hotstart.report.evidence import Gain
from hotstart.report.standings import Contender
from hotstart.report.words import (
    MINUS,
    THIN,
    between,
    is_fraction,
    listing,
    metric_name,
    number,
    protocol,
    quantity,
    trivial_name,
    unit,
)

ToldT = TypeVar("ToldT", Cell, Gain)


@dataclass(frozen=True)
class Measured(Generic[ToldT]):
    """What one value came to. text: the value for people."""

    text: str
    value: Any
    who: Contender
    told: ToldT


@dataclass(frozen=True)
class Transfer:
    """Gains of the values under one question, in the order of the values.

    between: the paired difference of two contenders; None where predictions are missing.
    """

    metric: str
    question: Question
    control: str
    gains: list[Measured[Gain]]
    between: Callable[[Contender, Contender], PairedGain | None]


def own_words(setting: str, metric: str, own: Sequence[Measured[Cell]]) -> str:
    """How well the task answers its own question, from the first value to the last."""
    if len(own) < 2:
        return ""
    trivial = trivial_name(metric)
    chances = {one.told.chance for one in own}
    shared = chances.pop() if len(chances) == 1 else None

    def at(one: Measured[Cell]) -> str:
        beside = ""
        if shared is None and one.told.chance is not None:
            beside = f" ({trivial} {quantity(one.told.chance, metric)})"
        return f"{quantity(one.told.mean, metric)}{beside} at {setting}={one.text}"

    always = f"; {trivial} is {quantity(shared, metric)}" if shared is not None else ""
    said = f"On its own question {metric_name(metric)} goes from {at(own[0])} to {at(own[-1])}"
    hopeless = [
        one.text
        for one in own
        if _higher_is_better(metric)
        and one.told.chance is not None
        and one.told.mean <= one.told.chance
    ]
    verdict = ""
    if hopeless:
        the = trivial if trivial == "chance" else f"the {trivial}"
        verdict = f" At {listing(hopeless)} nothing better than {the} was learnt in this budget."
    return f"{said}{always}.{verdict}"


def transfer_words(setting: str, ordered: bool, found: Transfer, where: str) -> str:
    """Which value serves best downstream, whether that lies between the ends, and how sure it is.

    ordered: whether the values have places on an axis. where: the arena, if there are several.
    """
    gains = found.gains
    best = max(gains, key=lambda one: one.told.mean)
    worst = min(gains, key=lambda one: one.told.mean)
    way = f"in the {protocol(found.question.protocol)} with {found.question.share}"
    gain = f"the gain over {found.control} {way} is"
    about = f"{where}: " if where else ""
    if best.told.mean == worst.told.mean:
        return f"{about}All values serve alike: {gain} {_gain(best, found)}."
    ends = [gains[0], gains[-1]] if ordered and len(gains) > 2 else [worst]
    rivals = [one for one in ends if one is not best]
    others = [f"{_gain(one, found)} at {one.text}" for one in rivals]
    told = f"{gain} {listing([f'{_gain(best, found)} at {setting}={best.text}', *others])}."
    sure, surety = _surety(best, rivals, found)
    worth = _worth(best, found)
    if len(rivals) == 2:
        lead = (
            "Neither too hard nor too easy: "
            if sure and not worth
            else "A value between the ends leads: "
        )
    elif len(ends) == 2:
        most = "smallest" if best is gains[0] else "largest"
        lead = f"The {most} value serves best, and nothing beyond it was tried: "
    else:
        lead = f"{setting}={best.text} serves best: "
        told = f"{gain} {_gain(best, found)}, and {others[0]}."
    return " ".join(part for part in (about + lead + told, surety, worth) if part)


def shortcut_words(
    setting: str, metric: str, own: Sequence[Measured[Cell]], found: Transfer
) -> str:
    """Of two values: one that is answered better and surely teaches less; else nothing."""
    cells = {one.who: one.told for one in own}
    gains = sorted(found.gains, key=lambda one: one.told.mean)
    if len(gains) != 2 or not _higher_is_better(metric) or any(g.who not in cells for g in gains):
        return ""
    less, more = gains
    if cells[less.who].mean <= cells[more.who].mean or not _surety(more, [less], found)[0]:
        return ""
    return (
        f"So {setting}={less.text} is answered better and teaches less: the sign of a question "
        "that is too easy, or of a shortcut."
    )


def _higher_is_better(metric: str) -> bool:
    """Where that is known."""
    return is_fraction(metric) or unit(metric) == "dB"


def _gain(one: Measured[Gain], found: Transfer) -> str:
    """`+5.1 points`, `+0.20 dB`."""
    shown = number(one.told.mean, found.metric, sign=True)
    if is_fraction(found.metric):
        return f"{shown} {'point' if shown in ('+1.0', f'{MINUS}1.0') else 'points'}"
    return f"{shown}{THIN}{unit(found.metric)}" if unit(found.metric) else shown


def _surety(
    best: Measured[Gain], rivals: Sequence[Measured[Gain]], found: Transfer
) -> tuple[bool, str]:
    """Whether `best` is surely ahead of all of `rivals`, and that as a sentence."""
    gaps = [(one, found.between(best.who, one.who)) for one in rivals]
    known = [(one, gap) for one, gap in gaps if gap is not None]
    if len(known) < len(gaps):
        return False, "Without predictions nobody can say whether that is chance."
    unsure = [(one, gap) for one, gap in known if gap.low <= 0]
    told = listing(
        [
            f"{between(gap.low, gap.high, found.metric)} against {one.text}"
            for one, gap in unsure or known
        ]
    )
    if unsure:
        return False, f"That may be chance: the difference is {told} ({SURE})."
    return True, f"That is beyond chance: the difference is {told} ({SURE})."


def _worth(best: Measured[Gain], found: Transfer) -> str:
    """A word of warning where even the best value may be worth nothing."""
    if best.told.mean <= 0:
        return f"No value beats {found.control}."
    if may_be_chance(best.told.paired):
        return f"That any value beats {found.control} may be chance too."
    return ""

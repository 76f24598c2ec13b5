"""What a person sees of a race: who runs, its standing after every rung, who won."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from rich.markup import escape
from rich.table import Table

from hotstart.progress import RunDisplay, output, step_text
from hotstart.report.words import listing, plural

if TYPE_CHECKING:
    from hotstart.league.laps import Lap
    from hotstart.league.race import Finish
    from hotstart.league.race_settings import Race


class RaceDisplay(RunDisplay):
    """A bar for who runs, a line for each that was judged, a table after each rung."""

    def __init__(self) -> None:
        super().__init__()
        self.race_file: Race | None = None
        self.laps: list[Lap] = []
        self._title = ""

    def race(self, event: dict[str, Any]) -> None:
        """An event of `league.race.run_race`."""
        kind = event["kind"]
        if kind == "found":
            for sentence in event["sentences"]:
                self.say(sentence)
        elif kind == "left_out":
            self.say(f"left out: {event['contender']}: {event['problem']}")
        elif kind == "timing":
            self.working("timing", event["done"], event["total"])
            self.say(f"timing {event['contender']}")
        elif kind == "planned":
            self.race_file, self.laps = event["race"], list(event["laps"])
            self.say(_planned(event["race"]))
        elif kind == "lap_start":
            self._title = f"rung {event['rung']}: {event['contender']}"
            self.say(f"{self._title}, to step {event['stop']} of {event['steps']}")
        elif kind == "told":
            self._told(event["event"])
        elif kind == "lap_end":
            self._lap_end(event["lap"])
        else:
            self.say(f"finishing the run of {event['contender']}")

    def _told(self, event: dict[str, Any]) -> None:
        if event["kind"] == "start":
            self.start = event
        elif event["kind"] == "step" and self.console.is_terminal:
            done, total = event["step"] + 1, self.start["total_steps"]
            bar = self._bar(self._title, total)
            self.progress.update(bar, completed=done, told=step_text(event, self.start))
        elif event["kind"] == "resume":
            self.say(f"{self._title}: goes on from step {event['resumed_at']}")
        elif event["kind"] == "diagnosis":
            self.say(f"{self._title}: {event['message']}")

    def _lap_end(self, lap: Lap) -> None:
        if self._title in self.bars:
            self.progress.remove_task(self.bars.pop(self._title))
        self.laps.append(lap)
        self.say(f"{lap.contender}: {lap.out or _measures(lap)}, {lap.seconds:.0f} s")


def print_finish(found: Finish) -> None:
    """The standing, and in a sentence who won, on standard output."""
    console = output()

    def say(sentence: str) -> None:
        console.print(sentence, markup=False, highlight=False, soft_wrap=True)

    console.print(standing(found.race, found.laps))
    by = "RankMe" if found.race.asked.by == "rank" else "accuracy with few labels"
    won = f"{found.winner} wins by {by}"
    if found.beats_random:
        say(f"{won}: {_measures(found.best)}; random: {_measures(found.control)}")
    else:
        say(
            f"{won}, but nobody beats random, the same network untrained: {_measures(found.best)}; "
            f"random: {_measures(found.control)}. Nothing speaks for this encoder; give more "
            "minutes, other tasks, or labels"
        )
    if found.race.asked.by == "rank":
        say(
            "RankMe across tasks is a guess, and `random` may have a high one: `hotstart evaluate` "
            "proves with labels what was learnt"
        )
    say(
        f"{found.seconds / 60:.1f} of {found.race.asked.minutes:g} minutes; "
        f"{plural(len(found.race.rungs), 'rung')}"
    )
    say(f"Run: {found.run}")


def standing(race: Race, laps: Sequence[Lap]) -> Table:
    """Everyone at the last rung it was in: who came furthest first, `random` last."""
    last = {lap.contender: lap for lap in laps}
    by = race.asked.by

    def place(lap: Lap) -> tuple[int, bool, float]:
        return (-lap.rung, lap.out is not None, -(lap.judged.value(by) or 0.0))

    labels = f"top-1, {100 * race.asked.labels:.4g}% labels"
    table = Table("task", "rung", "steps", "of", "RankMe", labels, "", box=None)
    for lap in sorted(last.values(), key=place):
        own = (str(lap.rung or ""), str(lap.steps or ""), str(race.steps.get(lap.contender, "")))
        measured = (_rank(lap), _accuracy(lap))
        table.add_row(escape(lap.contender), *own, *measured, escape(lap.out or ""))
    return table


def _measures(lap: Lap) -> str:
    """`RankMe 41.3, top-1 0.312`."""
    told = {"RankMe": _rank(lap), "top-1": _accuracy(lap)}
    return ", ".join(f"{name} {value}" for name, value in told.items() if value)


def _rank(lap: Lap) -> str:
    return "" if lap.judged.rank is None else f"{lap.judged.rank:.1f}"


def _accuracy(lap: Lap) -> str:
    return "" if lap.judged.labels is None else f"{lap.judged.labels:.3f}"


def _planned(race: Race) -> str:
    """How many run in each rung, and how far they get."""
    told = [f"{plural(rung.contenders, 'task')} to {rung.share:.0%}" for rung in race.rungs]
    steps = ", ".join(f"{name} {count}" for name, count in race.steps.items())
    return f"Rungs, in shares of a whole run: {listing(told)}. Steps of a whole run: {steps}"

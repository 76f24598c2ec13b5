"""What a reader must know before believing the numbers: collapse, NaN, unfinished, missing."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from hotstart.league.variants import full_name
from hotstart.report.curves import alarms_of
from hotstart.report.reading import Reading
from hotstart.report.rungs import stopped
from hotstart.report.runs import Run
from hotstart.report.words import listing, plural


@dataclass(frozen=True)
class Checks:
    """alarms: tone, name of the contender, sentence; missing: sentences; verdict: all in one."""

    alarms: list[tuple[str, str, str]]
    missing: list[str]
    verdict: str

    @property
    def trouble(self) -> bool:
        return bool(self.alarms or self.missing)


def checks_of(reading: Reading, runs: Sequence[Run]) -> Checks:
    """From the diagnoses in the logs, their ends, and what a league was asked for."""
    alarms = [
        (reading.styles[who].tone, reading.names[who], alarm)
        for who, own in reading.standings.runs.items()
        for run in own
        for alarm in alarms_of(run, True)
    ]
    ill = sum(bool(run.events("diagnosis")) for run in runs)
    trained = [run for run in runs if run.events("step")]
    unfinished = [run.name for run in trained if not run.events("end") and not stopped(run)]
    absent = _absent(runs)
    missing = []
    if unfinished:
        missing.append(f"Not finished: {listing(unfinished)}.")
    if absent:
        told = [f"{name} (seed {', '.join(map(str, seeds))})" for name, seeds in absent.items()]
        missing.append(f"Asked for by the league, but without any result: {listing(told)}.")
    return Checks(alarms, missing, _verdict(len(trained), ill, len(unfinished), absent))


def _absent(runs: Sequence[Run]) -> dict[str, list[int]]:
    """Name -> seeds of which no folder holds a record."""
    known = {(record.task, record.variant, record.seed) for run in runs for record in run.records}
    absent: dict[str, list[int]] = {}
    for asked in dict.fromkeys(one for run in runs for one in run.asked):
        if asked not in known:
            task, variant, seed = asked
            absent.setdefault(full_name(task, variant), []).append(seed)
    return absent


def _verdict(trained: int, ill: int, unfinished: int, absent: dict[str, list[int]]) -> str:
    if not trained:
        return ""
    parts = [
        f"{ill} {'has' if ill == 1 else 'have'} a diagnosis" if ill else "",
        f"{unfinished} {'is' if unfinished == 1 else 'are'} not finished" if unfinished else "",
    ]
    said = [part for part in parts if part]
    gone = sum(map(len, absent.values()))
    tail = f" {plural(gone, 'more was', 'more were')} asked for and gave no result." if gone else ""
    if said:
        return f"Of {plural(trained, 'trained run')} {listing(said)}.{tail}"
    each = "The trained run ended" if trained == 1 else f"All {trained} trained runs ended"
    return f"{each}, without a sign of collapse or a loss that is no number.{tail}"

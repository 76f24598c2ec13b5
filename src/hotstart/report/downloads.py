"""What the page lets its reader take along: a tidy table, and every record behind it."""

from __future__ import annotations

import base64
import csv
import gzip
import io
import json
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass
from typing import Any

from hotstart.report.cells import Arena, Question
from hotstart.report.families import group_of
from hotstart.report.reading import Reading, columns_of
from hotstart.report.runs import Run
from hotstart.report.standings import CONTROL_ROLES, Contender
from hotstart.report.words import plural, size

COLUMNS = (
    *("contender", "task", "variant", "family", "control", "encoder"),
    *("downstream", "data", "split", "metric", "chance"),
    *("protocol", "labels", "label_count", "stage"),
    *("seeds", "mean", "deviation"),
    *("gain", "gain_over", "low", "high", "p", "p_holm"),
    *("seconds", "images_per_second", "peak_memory_bytes"),
)
"""Of the table; values as measured (accuracies in 0..1), what is not known is empty."""
STARTS_A_FORMULA = ("=", "+", "-", "@", "\t", "\r")


@dataclass(frozen=True)
class Download:
    """A file inside the page. uri: its address, whole; packed: whether that is its gzip file."""

    file: str
    told: str
    uri: str
    packed: bool = False


def downloads_of(reading: Reading, runs: Sequence[Run]) -> list[Download]:
    """The table as CSV, the records as JSON lines; nothing of what nobody measured."""
    table, records = table_of(reading), records_of(runs)
    found = []
    if reading.standings.arenas:
        # A file name need not be Unicode, and may be a data set's.
        plain = table.encode(errors="replace")
        told = f"every column and stage, intervals, p and cost, {size(len(plain))}"
        found.append(Download("league.csv", told, _uri("text/csv;charset=utf-8", plain)))
    if records:
        told = f"{plural(records.count(chr(10)), 'record')}, {size(len(records))}"
        # Without a time stamp: the page of one folder is always the same page.
        packed = gzip.compress(records.encode("ascii"), mtime=0)
        uri = _uri("application/gzip", packed)
        found.append(Download("results.jsonl", told, uri, packed=True))
    return found


def table_of(reading: Reading) -> str:
    """CSV, a line for each contender and question, every stage among them."""
    text = io.StringIO()
    writer = csv.DictWriter(text, COLUMNS, lineterminator="\n")
    writer.writeheader()
    for arena in sorted(reading.standings.arenas, key=lambda one: one != reading.arena):
        last = columns_of(reading.standings, arena)
        for who in reading.names:
            cells = reading.standings.arenas[arena].get(who, {})
            stages = [q for q in cells if q not in last]
            for question in [q for q in last if q in cells] + sorted(stages, key=str):
                row = _row(reading, arena, who, question)
                writer.writerow({key: _safe(value) for key, value in row.items()})
    return text.getvalue()


def _row(reading: Reading, arena: Arena, who: Contender, question: Question) -> dict[str, Any]:
    cell = reading.standings.arenas[arena][who][question]
    cost = reading.standings.cost
    row: dict[str, Any] = {
        "contender": reading.names[who],
        "task": who.task,
        "variant": who.variant,
        "family": group_of(who).title,
        "control": who.role in CONTROL_ROLES,
        "encoder": who.twin[0],
        "downstream": arena.downstream,
        "data": arena.data,
        "split": arena.split,
        "metric": arena.metric,
        "chance": cell.chance,
        "protocol": question.protocol,
        "labels": question.labels,
        "label_count": cell.label_count,
        "stage": question.stage,
        "seeds": len(cell.by_seed()),
        "mean": cell.mean,
        "deviation": cell.deviation,
        **{key: cost(who, key) for key in ("seconds", "images_per_second", "peak_memory_bytes")},
    }
    # Earlier stages have thousands of answers too, but nobody corrected p for asking them all.
    gain = reading.evidence.gain(arena, who, question) if question.stage == "last" else None
    if gain is not None:
        row |= {"gain": gain.mean, "gain_over": reading.names[gain.baseline], "p_holm": gain.p}
        if gain.paired is not None:
            row |= {"low": gain.paired.low, "high": gain.paired.high, "p": gain.paired.p}
    return row


def _safe(value: Any) -> Any:
    """Rounded past what can be meant; a name that a spreadsheet would run begins with a quote."""
    if isinstance(value, float):
        return float(f"{value:.10g}")
    return f"'{value}" if isinstance(value, str) and value.startswith(STARTS_A_FORMULA) else value


def records_of(runs: Sequence[Run]) -> str:
    """Every record once, as `results.jsonl` has it; the file of a league repeats its runs'."""
    return "".join(f"{line}\n" for line in dict.fromkeys(_lines(runs)))


def _lines(runs: Sequence[Run]) -> Iterator[str]:
    for run in runs:
        for record in run.records:
            yield json.dumps(asdict(record))


def _uri(kind: str, data: bytes) -> str:
    return f"data:{kind};base64,{base64.b64encode(data).decode()}"

"""The table of a league as text, from its `statistics.json`."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from typing import Any

HEADS = ("protocol", "labels", "task", "mean ± deviation") + (
    "gain",
    "95 % interval",
    "p (Holm)",
    "seeds",
)


def markdown(statistics: Mapping[str, Any]) -> str:
    """A Markdown table for each arena: every protocol and share of the labels at the last stage.

    statistics: what `statistics.json` holds, see `summary.Statistics`. Accuracies and gains are
    shares (0..1); the interval and p are of the gain over the control.
    """
    parts = []
    for arena in statistics["arenas"]:
        chance = "" if arena["chance"] is None else f", chance {arena['chance']:.3f}"
        lines = [
            f"{arena['downstream']}, {arena['split']} split: {arena['metric']}{chance}",
            "",
            _row(HEADS),
            _row(["---"] * len(HEADS)),
            *(_row(cells) for cells in rows(arena)),
        ]
        parts.append("\n".join(lines))
    return "\n\n".join(parts) + "\n"


def rows(arena: Mapping[str, Any]) -> Iterator[list[str]]:
    """Cells under `HEADS`, the best of each column first."""
    for column in arena["columns"]:
        if column["stage"] not in ("last", None):
            continue
        labels = "" if column["labels"] is None else f"{100 * column['labels']:.4g} %"
        for one in column["standings"]:
            yield [column["protocol"], labels, one["task"], *_cells(one), str(one["n"])]


def _cells(one: Mapping[str, Any]) -> list[str]:
    deviation = "" if one["deviation"] is None else f" ± {one['deviation']:.3f}"
    interval = "" if one["low"] is None else f"{one['low']:+.3f} .. {one['high']:+.3f}"
    return [
        f"{one['mean']:.3f}{deviation}",
        "" if one["gain"] is None else f"{one['gain']:+.3f}",
        interval,
        "" if one["p_holm"] is None else f"{one['p_holm']:.4f}",
    ]


def _row(cells: Iterable[str]) -> str:
    return "| " + " | ".join(cells) + " |"

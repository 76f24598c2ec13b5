"""The table of a league as text, from its `statistics.json`."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from typing import Any

from hotstart.league.variants import full_name, write_variant

WHO = ("protocol", "labels", "task")
HEADS = ("mean ± deviation", "gain", "95 % interval", "p (Holm)", "seeds")


def heads(arena: Mapping[str, Any]) -> tuple[str, ...]:
    """What stands over the cells of `rows`."""
    return (*WHO, *(("encoder",) if _several_encoders(arena) else ()), *HEADS)


def _several_encoders(arena: Mapping[str, Any]) -> bool:
    """Then `random`, and what else is in twice, is told apart by its encoder."""
    standings = [one for column in arena["columns"] for one in column["standings"]]
    return len({one["encoder"] for one in standings}) > 1


def markdown(statistics: Mapping[str, Any]) -> str:
    """A Markdown table for each arena: every protocol and share of the labels at the last stage.

    statistics: what `statistics.json` holds, see `summary.Statistics`. Accuracies and gains are
    shares (0..1); the interval and p are of the gain over the control. Each setting that was swept
    has a table of its own below.
    """
    parts = []
    for arena in statistics["arenas"]:
        chance = "" if arena["chance"] is None else f", chance {arena['chance']:.3f}"
        title = f"{arena['downstream']}, {arena['split']} split: {arena['metric']}{chance}"
        parts.append(_table(title, heads(arena), rows(arena)))
    parts += [_difficulty(sweep) for sweep in statistics.get("difficulty", [])]
    return "\n\n".join(parts) + "\n"


def rows(arena: Mapping[str, Any]) -> Iterator[list[str]]:
    """Cells under `heads`, the best of each column first."""
    several = _several_encoders(arena)
    for column in arena["columns"]:
        if column["stage"] not in ("last", None):
            continue
        labels = _labels(column)
        for one in column["standings"]:
            name = full_name(one["task"], one.get("variant"))
            encoder = [one["encoder"]] if several else []
            yield [column["protocol"], labels, name, *encoder, *_cells(one), str(one["n"])]


def _difficulty(sweep: Mapping[str, Any]) -> str:
    """One row a value: the task's own metric, and each gain with its interval."""
    columns = {_asked(gain): gain for point in sweep["points"] for gain in point["gains"]}
    arenas = {(gain["downstream"], gain["data"]) for gain in columns.values()}
    heads = [sweep["setting"], sweep["metric"] or "its own metric", "trivial"]
    for gain in columns.values():
        where = f" {gain['downstream']} {gain['data']}" if len(arenas) > 1 else ""
        heads.append(f"gain{where}, {gain['protocol']} {_labels(gain)}".strip())
    lines = []
    for point in sweep["points"]:
        known = {_asked(gain): gain for gain in point["gains"]}
        value = write_variant("", point["value"])[1:]
        own = "" if point["pretext"] is None else f"{point['pretext']:.4g}"
        own += "" if point["deviation"] is None else f" ± {point['deviation']:.2g}"
        trivial = "" if point["trivial"] is None else f"{point['trivial']:.4g}"
        gains = [_gain(known.get(asked)) for asked in columns]
        lines.append([value + ("" if point["variant"] else " (plain)"), own, trivial, *gains])
    return _table(f"{sweep['task']}: difficulty by {sweep['setting']}", heads, lines)


def _asked(gain: Mapping[str, Any]) -> tuple[Any, ...]:
    keys = ("downstream", "data", "split", "metric", "protocol", "labels")
    return tuple(gain[key] for key in keys)


def _gain(gain: Mapping[str, Any] | None) -> str:
    if gain is None:
        return ""
    return f"{gain['gain']:+.3f}" + (f" ({_interval(gain)})" if gain["low"] is not None else "")


def _cells(one: Mapping[str, Any]) -> list[str]:
    deviation = "" if one["deviation"] is None else f" ± {one['deviation']:.3f}"
    return [
        f"{one['mean']:.3f}{deviation}",
        "" if one["gain"] is None else f"{one['gain']:+.3f}",
        "" if one["low"] is None else _interval(one),
        "" if one["p_holm"] is None else f"{one['p_holm']:.4f}",
    ]


def _interval(one: Mapping[str, Any]) -> str:
    return f"{one['low']:+.3f} .. {one['high']:+.3f}"


def _labels(column: Mapping[str, Any]) -> str:
    return "" if column["labels"] is None else f"{100 * column['labels']:.4g} %"


def _table(title: str, heads: Iterable[str], lines: Iterable[Iterable[str]]) -> str:
    told = [_row(cells) for cells in lines]
    names = list(heads)
    return "\n".join([title, "", _row(names), _row(["---"] * len(names)), *told])


def _row(cells: Iterable[str]) -> str:
    return "| " + " | ".join(cells) + " |"

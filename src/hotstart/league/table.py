"""The table of a league as text, from its `statistics.json`."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from typing import Any

from hotstart.league.naming import told_apart
from hotstart.league.variants import full_name, write_variant

WHO = ("protocol", "labels", "task")
MEAN = "mean ± deviation"
HEADS = ("gain", "95 % interval", "p (Holm)", "seeds")
ONE_FRAME = "_one_frame"


def arenas_of(statistics: Mapping[str, Any]) -> list[dict[str, Any]]:
    """The arenas to be shown, those that rank the tasks first.

    What one frame of each video tells is none of its own: the standing of its video has it as
    `one_frame`.
    """
    every = {_place(arena, arena["metric"]): arena for arena in statistics["arenas"]}
    found = []
    for arena in statistics["arenas"]:
        metric = arena["metric"]
        if _place(arena, metric.removesuffix(ONE_FRAME)) in every and metric.endswith(ONE_FRAME):
            continue
        frames = _means(every.get(_place(arena, metric + ONE_FRAME)))
        columns = [
            {
                **column,
                "standings": [
                    {**one, "one_frame": frames.get(_who(column, one))}
                    for one in column["standings"]
                ],
            }
            for column in arena["columns"]
        ]
        found.append({**arena, "columns": columns})
    return found


def _place(arena: Mapping[str, Any], metric: str) -> tuple[Any, ...]:
    return (*(arena.get(key) for key in ("downstream", "data", "split", "fingerprint")), metric)


def _who(column: Mapping[str, Any], one: Mapping[str, Any]) -> tuple[Any, ...]:
    asked = (column["protocol"], column["labels"], column["stage"])
    return (*asked, one["task"], one["encoder"], one.get("variant"))


def _means(arena: Mapping[str, Any] | None) -> dict[tuple[Any, ...], float]:
    columns = arena["columns"] if arena is not None else []
    return {_who(column, one): one["mean"] for column in columns for one in column["standings"]}


def heads(arena: Mapping[str, Any]) -> tuple[str, ...]:
    """What stands over the cells of `rows`."""
    who = (*WHO, *(("encoder",) if _several_encoders(arena) else ()))
    return (*who, MEAN, *(("one frame",) if _of_videos(arena) else ()), *HEADS)


def _of_videos(arena: Mapping[str, Any]) -> bool:
    standings = [one for column in arena["columns"] for one in column["standings"]]
    return any(one.get("one_frame") is not None for one in standings)


def _several_encoders(arena: Mapping[str, Any]) -> bool:
    """Then `random`, and what else is in twice, is told apart by its encoder."""
    standings = [one for column in arena["columns"] for one in column["standings"]]
    return len({one["encoder"] for one in standings}) > 1


def markdown(statistics: Mapping[str, Any]) -> str:
    """A Markdown table for each arena: every protocol and share of the labels at the last stage.

    statistics: what `statistics.json` holds, see `summary.Statistics`. Accuracies and gains are
    shares (0..1); the interval and p are of the gain over the control. Where there are several
    downstream data sets, tables of all their columns come first; each setting that was swept has
    one of its own at the end.
    """
    parts = [_table(title, heads, lines) for title, heads, lines in overview(statistics)]
    names = told_apart(arena["data"] for arena in statistics["arenas"])
    for arena in arenas_of(statistics):
        data = f" on {names[arena['data']]}" if len(names) > 1 else ""
        chance = "" if arena["chance"] is None else f", chance {arena['chance']:.3f}"
        title = f"{arena['downstream']}{data}, {arena['split']} split: {arena['metric']}{chance}"
        parts.append(_table(title, heads(arena), rows(arena)))
    parts += [_difficulty(sweep) for sweep in statistics.get("difficulty", [])]
    return "\n\n".join(parts) + "\n"


def rows(arena: Mapping[str, Any]) -> Iterator[list[str]]:
    """Cells under `heads`, the best of each column first."""
    several, videos = _several_encoders(arena), _of_videos(arena)
    for column in arena["columns"]:
        if column["stage"] not in ("last", None):
            continue
        labels = _labels(column)
        for one in column["standings"]:
            name = full_name(one["task"], one.get("variant"))
            encoder = [one["encoder"]] if several else []
            mean, *others = _cells(one)
            still = one.get("one_frame")
            frame = ["" if still is None else f"{still:.3f}"] if videos else []
            own = [mean, *frame, *others, str(one["n"])]
            yield [column["protocol"], labels, name, *encoder, *own]


def overview(
    statistics: Mapping[str, Any],
) -> list[tuple[str, tuple[str, ...], list[list[str]]]]:
    """Title, heads and cells of two tables; none, unless there are several downstream data sets.

    What each task reached in each column and its mean rank, the best first; Kendall's tau between
    each two columns.
    """
    columns = statistics.get("ranked") or {}
    if len({(arena["downstream"], arena["data"]) for arena in statistics["arenas"]}) < 2:
        return []
    numbers = [str(number) for number in range(1, len(columns) + 1)]
    ranks = statistics["mean_rank"]
    tasks = list(dict.fromkeys([*ranks, *(task for cell in columns.values() for task in cell)]))
    reached = [
        [
            task,
            f"{ranks[task]:.2f}" if task in ranks else "",
            *(f"{cell[task]:.3f}" if task in cell else "" for cell in columns.values()),
        ]
        for task in tasks
    ]
    taus = [
        [f"{number} {name}", *("" if tau is None else f"{tau:+.2f}" for tau in row)]
        for number, name, row in zip(numbers, columns, statistics["agreement"]["tau"], strict=True)
    ]
    return [
        (
            "All columns: mean rank, and what each task reached",
            ("task", "mean rank", *numbers),
            reached,
        ),
        ("The columns, and Kendall's tau between them", ("column", *numbers), taus),
    ]


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
    # Of three seeds that all gain, p is as small as draws can say: it tells nothing.
    alone = one.get("resampled") == "seeds"
    deviation = "" if one["deviation"] is None else f" ± {one['deviation']:.3f}"
    return [
        f"{one['mean']:.3f}{deviation}",
        "" if one["gain"] is None else f"{one['gain']:+.3f}",
        "" if one["low"] is None else _interval(one),
        "" if one["p_holm"] is None or alone else f"{one['p_holm']:.4f}",
    ]


def _interval(one: Mapping[str, Any]) -> str:
    of_seeds = " (seeds alone)" if one.get("resampled") == "seeds" else ""
    return f"{one['low']:+.3f} .. {one['high']:+.3f}{of_seeds}"


def _labels(column: Mapping[str, Any]) -> str:
    return "" if column["labels"] is None else f"{100 * column['labels']:.4g} %"


def _table(title: str, heads: Iterable[str], lines: Iterable[Iterable[str]]) -> str:
    told = [_row(cells) for cells in lines]
    names = list(heads)
    return "\n".join([title, "", _row(names), _row(["---"] * len(names)), *told])


def _row(cells: Iterable[str]) -> str:
    return "| " + " | ".join(cells) + " |"

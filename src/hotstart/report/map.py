"""The embedding maps of runs: places, legend and thumbnails, ready to be drawn as SVG."""

from __future__ import annotations

import base64
import hashlib
import json
import math
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

from hotstart.report.reading import Reading
from hotstart.report.runs import MAP, PANELS, PNG_START, Run
from hotstart.report.words import data_name, listing, plural, split_name

SIDE = 600
"""The map's side in units of its drawing."""
EDGE = 14
SHOWN_PX = 96
"""A thumbnail grows by the whole factor that brings it nearest to this."""
TONES = 8
SHAPES = (
    "-5,0a5 5 0 1 0 10 0a5 5 0 1 0-10 0z",
    "-4.5,-4.5h9v9h-9z",
    "0,-6.2l6.2 6.2-6.2 6.2-6.2-6.2z",
    "0,-6l6 10.6h-12z",
    "-2,-5.8h4v3.8h3.8v4h-3.8v3.8h-4v-3.8h-3.8v-4h3.8z",
    "0,6l-6-10.6h12z",
    "-5.6,-3.6l2-2 3.6 3.6 3.6-3.6 2 2-3.6 3.6 3.6 3.6-2 2-3.6-3.6-3.6 3.6-2-2 3.6-3.6z",
    "0,-6.6l1.7 4.6h4.7l-3.8 2.9 1.4 4.7-4-2.8-4 2.8 1.4-4.7-3.8-2.9h4.7z",
)
"""Marks as SVG paths: where they begin, seen from their middle, and how they go on."""
NAMED = 16
"""Classes with a colour and a shape of their own; the rarer ones share one."""
OTHERS = "other classes"
FILES = (f"{MAP}-before", MAP)


@dataclass(frozen=True)
class Group:
    """Pictures of one class: they share a colour and a shape, so that neither is needed alone."""

    name: str
    tone: str
    shape: str
    count: int

    @property
    def mark(self) -> str:
        """One mark about the origin, for the legend."""
        return _mark(self.shape, 0, 0)


@dataclass(frozen=True)
class Plot:
    """One map. marks: an SVG path for each of the groups, in their order."""

    title: str
    description: str
    marks: Sequence[str]


@dataclass(frozen=True)
class Maps:
    """What one run has: the map before training, where there is one, and the one after."""

    name: str
    which: str
    note: str
    groups: Sequence[Group]
    plots: Sequence[Plot]
    sprite: str
    """Name of the style that shows the thumbnails."""
    script: dict[str, Any]
    """What `map.js` says of each picture, and where in the sprite it is."""


@dataclass
class Atlas:
    """All maps of a page. sprites: PNG files by name; runs on the same pictures share one."""

    maps: list[Maps] = field(default_factory=list)
    sprites: dict[str, str] = field(default_factory=dict)

    @property
    def named(self) -> bool:
        """Whether any of the maps tells its pictures by their class."""
        return any(maps.groups[0].name for maps in self.maps)

    @property
    def paired(self) -> bool:
        """Whether some map of before training stands beside the one of after."""
        return any(len(maps.plots) > 1 for maps in self.maps)

    def add(self, name: str, which: str, told: Sequence[dict[str, Any]], png: bytes) -> Maps:
        """A run's maps, as `league/map.py` tells them, the one after training last."""
        sprite = f"sprite-{hashlib.sha256(png).hexdigest()[:12]}"
        self.sprites[sprite] = base64.b64encode(png).decode()
        self.maps.append(_maps(name, which, told, sprite))
        return self.maps[-1]


def maps_of(reading: Reading) -> Atlas:
    """Of each experiment the maps of its first run that has some, in the page's order."""
    atlas = Atlas()
    for who, name in reading.names.items():
        runs = reading.standings.runs.get(who, [])
        for run in runs:
            found = _read(run)
            if found is not None:
                told, png = found
                which = run.name if len(runs) > 1 else ""
                atlas.add(name, which, told, png)
                break
    return atlas


def _maps(name: str, which: str, told: Sequence[dict[str, Any]], sprite: str) -> Maps:
    last = told[-1]
    groups, group_of = _groups(last)
    plots, places = [], []
    for one in told:
        xs, ys = ([round(EDGE + at * (SIDE - 2 * EDGE), 1) for at in one[key]] for key in "xy")
        marks = ["" for _ in groups]
        for group, x, y in zip(group_of, xs, ys, strict=True):
            marks[group] += _mark(groups[group].shape, x, y)
        when = one["when"]
        description = f"{name}, {when}: a map of {len(xs)} pictures"
        plots.append(Plot(when[:1].upper() + when[1:], description, marks))
        places.append({"x": xs, "y": ys})
    methods = listing(list(dict.fromkeys(one["method"] for one in told)))
    note = (
        f"{plural(len(group_of), 'picture')} of {data_name(last['data'])} "
        f"({split_name(last['split'])}), laid out by {methods} of the features h."
    )
    labels = [last["classes"][label] if label is not None else "" for label in last["label"]]
    script = {
        "plots": places,
        "names": last["name"],
        "labels": labels,
        "groups": group_of,
        "per_row": last["per_row"],
        "shown_px": last["cell_px"] * max(1, round(SHOWN_PX / last["cell_px"])),
    }
    return Maps(name, which, note, groups, plots, sprite, script)


def _mark(shape: str, x: float, y: float) -> str:
    start, turn, rest = shape.partition(next(c for c in shape if c.isalpha()))
    dx, dy = map(float, start.split(","))
    return f"M{x + dx:.4g} {y + dy:.4g}{turn}{rest}"


def _groups(told: dict[str, Any]) -> tuple[list[Group], list[int]]:
    """The legend, in the order of the classes, and for each picture its place in it."""
    counts = Counter(label for label in told["label"] if label is not None)
    named = sorted(label for label, _ in counts.most_common(NAMED))
    groups = [
        # From the ninth class on, the colours come again with another shape.
        Group(
            told["classes"][label],
            f"c{k % TONES}",
            SHAPES[(k + k // TONES) % len(SHAPES)],
            counts[label],
        )
        for k, label in enumerate(named)
    ]
    place = {label: k for k, label in enumerate(named)}
    rest = sum(label not in place for label in told["label"])
    if rest:
        name, tone = (OTHERS, "random") if counts else ("", "c0")
        groups.append(Group(name, tone, SHAPES[0], rest))
    return groups, [place.get(label, len(named)) for label in told["label"]]


def _read(run: Run) -> tuple[list[dict[str, Any]], bytes] | None:
    """The maps of a run, the one before training first, and their sprite; None without any."""
    folder = run.path / PANELS
    if not (folder / f"{FILES[-1]}.json").is_file():
        return None
    try:
        png = (folder / f"{FILES[-1]}.png").read_bytes()
        if len(png) < 24 or not png.startswith(PNG_START):
            raise ValueError("its sprite is no PNG file")
        found = [
            _checked(json.loads((folder / f"{name}.json").read_text(encoding="utf-8")), png)
            for name in FILES
            if (folder / f"{name}.json").is_file()
        ]
    except (OSError, ValueError) as error:
        run.notes.append(f"{run.name}: the embedding map could not be read ({error}).")
        return None
    # Written one after the other: a run stopped between the two has pictures that do not fit.
    return [one for one in found if one["name"] == found[-1]["name"]], png


def _checked(told: Any, png: bytes) -> dict[str, Any]:
    """A map as `league/map.py` writes it. Raises ValueError for anything else."""
    if not isinstance(told, dict):
        raise ValueError("no JSON object")
    for key, kind in KINDS.items():
        if not isinstance(told.get(key), kind) or isinstance(told[key], bool):
            raise ValueError(f"{key!r} is missing or of the wrong kind")
    count, classes = len(told["name"]), len(told["classes"])
    columns = {key: told[key] for key in ("x", "y", "label", "name")}
    if {len(column) for column in columns.values()} != {count} or not count:
        raise ValueError("its lists are of different lengths, or empty")
    for value in (*told["x"], *told["y"]):
        if not isinstance(value, int | float) or not math.isfinite(value) or not 0 <= value <= 1:
            raise ValueError(f"a place is {value!r}")
    for label in told["label"]:
        if not (label is None or (isinstance(label, int) and 0 <= label < classes)):
            raise ValueError(f"a label is {label!r}, of {classes} classes")
    width, height = (int.from_bytes(png[at : at + 4], "big") for at in (16, 20))
    cell, per_row = told["cell_px"], told["per_row"]
    if cell < 1 or per_row * cell != width or -(-count // max(per_row, 1)) * cell != height:
        raise ValueError(f"its sprite of {width} x {height} px does not hold {count} pictures")
    told["name"] = [str(name) for name in told["name"]]
    told["classes"] = [str(name) for name in told["classes"]]
    return told


KINDS: dict[str, type] = {
    **dict.fromkeys(("when", "method", "data", "split"), str),
    **dict.fromkeys(("x", "y", "label", "name", "classes"), list),
    **dict.fromkeys(("cell_px", "per_row"), int),
}

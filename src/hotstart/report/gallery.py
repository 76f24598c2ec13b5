"""The gallery page: what each task asks of the same pictures, and what runs of it answer."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt
from markupsafe import Markup
from PIL import Image

from hotstart.league.gallery import Gallery, Scene
from hotstart.league.map import png_of
from hotstart.league.records import Record
from hotstart.pretext.registry import TASKS, find, parts
from hotstart.pretext.task import Panel
from hotstart.report.map import Atlas, Maps
from hotstart.report.shell import assemble, environment, write_page
from hotstart.report.words import (
    count,
    data_name,
    listing,
    metric_name,
    plural,
    quantity,
    sought_among,
    trivial_name,
)
from hotstart.training.folder import wave_file

STYLES = ("style.css", "map.css", "gallery.css", "media.css")
SCRIPTS = ("map.js",)
ACROSS = 4
"""Panels of so many columns lie on their side where there is room: a row for each column."""


@dataclass(frozen=True)
class Cell:
    """One picture. png: its file; alt: what it is, for who does not see it; sound: a WAV file."""

    png: bytes
    text: str
    alt: str
    sound: bytes | None = None


@dataclass(frozen=True)
class Grid:
    """A panel. cells: row by row, as many in each as there are columns."""

    title: str
    caption: str
    columns: Sequence[str]
    rows: Sequence[Sequence[Cell]]
    kind: str

    @property
    def lies(self) -> bool:
        """Whether it may be turned so that its rows stand side by side."""
        return len(self.columns) <= ACROSS and self.kind != "clusters"


@dataclass(frozen=True)
class Room:
    """A section of the page."""

    id: str
    task: str
    run: str
    idea: str
    facts: str
    grids: Sequence[Grid]
    neighbours: Sequence[Grid]
    maps: Maps | None


def write_gallery(found: Gallery, out: Path) -> Path:
    """Write the page, one self-contained file, to `out`; returns its path."""
    out.parent.mkdir(parents=True, exist_ok=True)
    return write_page(out, render(found))


def render(found: Gallery) -> str:
    """The page as text."""
    atlas = Atlas()
    rooms = [_room(number, scene, atlas) for number, scene in enumerate(found.scenes)]
    name = data_name(found.data)
    tasks = list(dict.fromkeys(scene.task for scene in found.scenes))
    trained = [scene for scene in found.scenes if scene.run]
    body = (
        environment()
        .get_template("gallery.html")
        .render(
            name=name,
            title=_title(name, tasks, trained),
            lead=_lead(found, trained),
            shown=[(_png(picture), name) for picture, name in found.shown],
            rooms=rooms,
            sprites=atlas.sprites,
            left_out=found.left_out,
        )
    )
    return assemble(name, "gallery", body, STYLES, SCRIPTS if atlas.maps else ())


def _title(name: str, tasks: Sequence[str], trained: Sequence[Scene]) -> str:
    if not tasks:
        return f"No task has anything to show on {name}"
    what = tasks[0] if len(tasks) == 1 else plural(len(tasks), "pretext task")
    asks = "asks" if len(tasks) == 1 else "ask"
    answers = f", and what {plural(len(trained), 'run')} made of it" if trained else ""
    return f"What {what} {asks} of {name}{answers}"


def _lead(found: Gallery, trained: Sequence[Scene]) -> list[tuple[str, str]]:
    """Sentences on what is shown, each with its heading."""
    kept = "held out from training" if found.held_out else "chosen by the hash of their content"
    pictures = (
        f"{count(len(found.shown))} of {plural(found.total, 'picture')}, the same for every task, "
        f"{kept}. Neighbours and clusters are sought among {count(found.pool)}."
    )
    if found.quarantined:
        pictures += f" {plural(found.quarantined, 'file')} could not be read."
    if found.silent:
        pictures += f" {plural(found.silent, 'video')} without sound."
    lead = [
        (
            "Question",
            "Each task asks something that the pictures themselves can answer; nobody labelled "
            "anything. That answer is the pseudo-label.",
        ),
        ("Pictures", pictures),
    ]
    if trained:
        names = listing([scene.run for scene in trained])
        lead.append(("Answers", f"From {names}, beside the pseudo-label."))
    else:
        told = Markup("None yet: <code>--runs DIR</code> gives those of the runs in a folder.")
        lead.append(("Answers", told))
    for name, made in found.saved.items():
        lead.append(("Saved", f"{plural(made, 'picture')} that {name} made."))
    return lead


def _room(number: int, scene: Scene, atlas: Atlas) -> Room:
    entry = find(scene.task) if set(parts(scene.task)) <= TASKS.keys() else None
    facts = [] if entry is None else [f"{entry.family}, {entry.kind}", entry.paper]
    if scene.run:
        facts += [_learnt(scene), *map(_scored, scene.scores)]
    maps = None
    if scene.maps is not None:
        told = [one for one in (scene.maps.before, scene.maps.after) if one is not None]
        maps = atlas.add(scene.task, scene.run, told, png_of(scene.maps.sprite))
    return Room(
        id=f"task-{number}",
        task=scene.task,
        run=scene.run,
        idea=scene.idea,
        facts=" · ".join(facts),
        grids=[_grid(panel) for panel in scene.panels],
        neighbours=[_grid(panel) for panel in scene.neighbours],
        maps=maps,
    )


def _learnt(scene: Scene) -> str:
    if scene.step < scene.total_steps:
        return f"unfinished: {count(scene.step)} of {plural(scene.total_steps, 'step')}"
    return plural(scene.step, "step")


def _scored(score: Record) -> str:
    name = metric_name(score.metric) + sought_among(score.detail)
    told = f"{name} on held-out pictures {quantity(score.value, score.metric)}"
    if score.chance is None:
        return told
    return f"{told} ({trivial_name(score.metric)} {quantity(score.chance, score.metric)})"


def _grid(panel: Panel) -> Grid:
    rows = []
    for number, (pictures, texts) in enumerate(zip(panel.pictures, panel.texts, strict=True), 1):
        cells = []
        heard = panel.sounds[number - 1] if panel.sounds else [None] * len(pictures)
        for column, picture, text, samples in zip(
            panel.columns, pictures, texts, heard, strict=False
        ):
            told = f"row {number}, {column}" + (f": {text}" if text else "")
            sound = None if samples is None else wave_file(samples)
            cells.append(Cell(_png(picture), text, told, sound))
        rows.append(cells)
    return Grid(panel.title, panel.caption, panel.columns, rows, panel.kind)


def _png(picture: npt.NDArray[np.uint8]) -> bytes:
    return png_of(Image.fromarray(np.ascontiguousarray(picture)))

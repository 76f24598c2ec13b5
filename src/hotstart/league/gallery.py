"""What each pretext task asks of pictures, and, where a run of it is given, what that answers."""

from __future__ import annotations

import contextlib
import functools
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import torch
from PIL import Image

from hotstart.augment import centre_view
from hotstart.config import PretrainSettings
from hotstart.data import Dataset, pretraining_split
from hotstart.data.draws import Draws
from hotstart.data.sample import Batch, to_device
from hotstart.downstream.features import recalibrate_batchnorm
from hotstart.encoders import build_encoder, resolve_spec
from hotstart.errors import DataError, HotstartError, UsageError
from hotstart.league.asked import Asked
from hotstart.league.heldout import heldout_in
from hotstart.league.map import Drawn, draw_maps
from hotstart.league.pretraining import default_encoder
from hotstart.league.rebuild import rebuild_task
from hotstart.league.records import Record
from hotstart.league.subject import pretext_records_of
from hotstart.pretext.panels import SHOWN, neighbour_panel
from hotstart.pretext.registry import parts, task_class
from hotstart.pretext.task import Panel, PretextTask, batch_rows, to_uint8
from hotstart.training.folder import safe_name
from hotstart.training.train import Material, build_task

POOL = 512
"""Pictures that neighbours are sought among, and that `save` is given, at most."""

Open = Callable[[int | None, PretrainSettings | None], Dataset]
Hashes = npt.NDArray[np.uint64]
Saved = dict[str, int]


@dataclass(frozen=True)
class Scene:
    """What there is to see of one task."""

    task: str
    idea: str
    """The first line of its documentation."""
    run: str = ""
    """Name of the run; empty for a task that is untrained."""
    step: int = 0
    total_steps: int = 0
    scores: Sequence[Record] = ()
    """Its own metric on held-out pictures, once the run is finished; of several tasks, theirs."""
    panels: Sequence[Panel] = ()
    neighbours: Sequence[Panel] = ()
    """Before and after training."""
    maps: Drawn | None = None


@dataclass
class Gallery:
    """Everything that the page shows."""

    data: str
    total: int
    """Readable pictures in the data."""
    pool: int
    """Of these, how many were looked at."""
    held_out: bool
    """Whether they were, because none of the runs was trained on them."""
    shown: list[tuple[npt.NDArray[np.uint8], str]]
    """The first rows of every panel: picture, name."""
    scenes: list[Scene] = field(default_factory=list)
    left_out: list[tuple[str, str]] = field(default_factory=list)
    """Task or run, and why it is not here."""
    quarantined: int = 0
    silent: int = 0
    """Videos without sound, where others have some."""
    saved: Saved = field(default_factory=dict)
    """Pictures that were made and written, by run."""


def look(
    asked: Sequence[Asked],
    open_pictures: Open,
    *,
    size: int | None,
    seed: int,
    device: torch.device,
    task_settings: Mapping[str, Mapping[str, Any]],
    save: Path | None = None,
    progress: Callable[[str, int, int], None] | None = None,
) -> Gallery:
    """Look at every task of `asked` on the same pictures, the first by the hash of their content.

    open_pictures: gives the data with pictures of so many pixels, read as a run with these settings
    reads them; a run's own size is asked for.
    size, seed, task_settings: of tasks without a run. save: a folder that gets what generative
    tasks make. Where some of the runs were trained on these pictures, only those that each of them
    held out are looked at. A task that these pictures do not suit is left out with the reason.

    Raises UsageError where nothing was held out from all of these runs, or no task can be shown.
    """
    of_first = next((one.settings for one in asked if one.settings), None)
    first = open_pictures(size or (of_first.size if of_first else None), of_first)
    datasets = [
        open_pictures(one.settings.size, one.settings) if one.settings else first for one in asked
    ]
    new_to_all = _held_out(asked, datasets)
    pool = pool_of(first, new_to_all)
    wholes = centre_view(first.batch(pool[:SHOWN], ("image",))["image"], first.size)
    names = [first.path(int(item)) for item in pool[:SHOWN]]
    found = Gallery(
        data=first.name,
        total=len(first),
        pool=len(pool),
        held_out=new_to_all is not None,
        shown=list(zip(to_uint8(wholes), names, strict=True)),
        quarantined=len(first.quarantine),
        silent=first.describe().get("without_sound", 0) if "audio" in first.keys else 0,
    )
    for number, (one, dataset) in enumerate(zip(asked, datasets, strict=True)):
        if progress is not None:
            progress("gallery", number, len(asked))
        try:
            if one.run is None:
                scene = _untrained(one.task, dataset, pool, seed, task_settings, device)
            else:
                scene = _trained(one, dataset, pool_of(dataset, new_to_all), device, save, found)
        except HotstartError as error:
            found.left_out.append((one.name or one.task, str(error)))
            continue
        if scene.panels or scene.neighbours:
            found.scenes.append(scene)
        else:
            found.left_out.append((one.task, "it has no pictures of its own to show"))
    if progress is not None:
        progress("gallery", len(asked), len(asked))
    if not found.scenes:
        told = "; ".join(f"{name}: {reason}" for name, reason in found.left_out)
        raise UsageError(f"nothing can be shown on {found.data}: {told}")
    return found


def pool_of(dataset: Dataset, contents: Hashes | None = None) -> npt.NDArray[np.int64]:
    """At most 512 positions, each content once, in the order of their hashes.

    contents: uint64 hashes to which they are restricted; None: to what is in no test split.
    """
    if contents is not None:
        items = np.flatnonzero(np.isin(dataset.hashes, contents))
    else:
        items = np.concatenate(pretraining_split(dataset))
        items = items if len(items) else np.arange(len(dataset))
    return items[np.unique(dataset.hashes[items], return_index=True)[1]][:POOL]


def _held_out(asked: Sequence[Asked], datasets: Sequence[Dataset]) -> Hashes | None:
    """Contents that no run was trained on, of those trained on this data; None: none was."""
    kept = []
    for one, dataset in zip(asked, datasets, strict=True):
        with contextlib.suppress(DataError):  # rebuilding that run will tell why it is left out
            held = heldout_in(one.run, dataset) if one.run else None
            if held is not None:
                kept.append(dataset.hashes[held])
    if not kept:
        return None
    shared: Hashes = functools.reduce(np.intersect1d, kept)
    if not len(shared):
        raise UsageError(
            "the runs held out different parts of this data, and nothing is new to all of them: "
            "give runs that were trained with the same --group and --label, or one at a time"
        )
    return shared


def _untrained(
    name: str,
    dataset: Dataset,
    pool: npt.NDArray[np.int64],
    seed: int,
    task_settings: Mapping[str, Mapping[str, Any]],
    device: torch.device,
) -> Scene:
    """Question and pseudo-label alone."""
    cls = task_class(name)
    dataset.require(cls.needs)
    encoder = default_encoder(name)
    settings = PretrainSettings(
        data=dataset.name,
        task=name,
        encoder=encoder,
        size=dataset.size,
        stem=resolve_spec(encoder, dataset.size, "auto").stem,
        seed=seed,
        batch_size=max(min(cls.batch_size, len(dataset)), 2),
        task_settings={part: dict(task_settings.get(part, {})) for part in parts(name)},
    )
    every = np.arange(len(dataset))
    task = build_task(settings, Material(dataset, every, pool), 1).eval().to(device)
    recalibrate_batchnorm(task.encoder, dataset, pool)
    batch = _batch(task, dataset, pool, device)
    return Scene(name, _idea(cls), panels=_panels(task, batch, seed, answers=False))


def _trained(
    one: Asked,
    dataset: Dataset,
    pool: npt.NDArray[np.int64],
    device: torch.device,
    save: Path | None,
    found: Gallery,
) -> Scene:
    """Question, pseudo-label and answer; what the encoder finds alike, before and after."""
    assert one.run is not None
    rebuilt = rebuild_task(one.run, dataset)
    task, seed = rebuilt.task.to(device), rebuilt.settings.seed
    batch = _batch(task, dataset, pool, device)
    # Of videos, an encoder of pictures is asked about the frame in the middle.
    frames = to_device(dataset.batch(pool, ("image",)), device)
    fresh = build_encoder(task.encoder.spec, seed).to(device).eval()
    recalibrate_batchnorm(fresh, dataset, pool)
    if save is not None:
        names = [dataset.path(int(item)) for item in pool]
        made = _save(task, batch, seed, names, save / safe_name(one.name))
        if made:
            found.saved[one.name] = made
    return Scene(
        one.task,
        _idea(type(task)),
        run=one.name,
        step=rebuilt.step,
        total_steps=rebuilt.settings.steps or rebuilt.step,
        scores=pretext_records_of(one.run),
        # Neighbours are shown beside those of before, for every task alike.
        panels=[p for p in _panels(task, batch, seed) if p.kind != "neighbours"],
        neighbours=[
            neighbour_panel(one.task, encoder, frames, when)
            for encoder, when in ((fresh, "before training"), (task.encoder, "after training"))
        ]
        if len(pool) > 1 and fresh.kind != "video"
        else [],
        maps=draw_maps(
            task.encoder,
            fresh,
            dataset,
            pool,
            task=one.task,
            split="heldout" if rebuilt.own_pictures else "all",
            device=device,
        ),
    )


def _batch(
    task: PretextTask, dataset: Dataset, pool: npt.NDArray[np.int64], device: torch.device
) -> Batch:
    return to_device(dataset.batch(pool, task.needs), device)


def _panels(task: PretextTask, batch: Batch, seed: int, *, answers: bool = True) -> list[Panel]:
    """The same draws for a seed as at the end of a training."""
    rng = Draws(seed, 0, total=batch_rows(batch), names=("panels",))
    return task.panels(batch, rng, answers=answers)


def _save(task: PretextTask, batch: Batch, seed: int, names: Sequence[str], folder: Path) -> int:
    """Write what `task` makes of each picture as PNG, its number and name in the file's name."""
    rng = Draws(seed, 0, total=len(names), names=("generate",))
    made = task.generate(batch, rng)
    if made is None:
        return 0
    folder.mkdir(parents=True, exist_ok=True)
    for number, (picture, name) in enumerate(zip(to_uint8(made), names, strict=True), start=1):
        path = folder / f"{safe_name(f'{number:04d}-{Path(name).stem}')}.png"
        Image.fromarray(picture).save(path, optimize=True)
    return len(names)


def _idea(cls: type[PretextTask]) -> str:
    return (cls.__doc__ or "").strip().partition("\n")[0]

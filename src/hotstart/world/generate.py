"""Worlds on disk: WebDataset shards and a folder that one can look through, on all cores."""

from __future__ import annotations

import contextlib
import fcntl
import functools
import json
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any, Literal, get_args

from hotstart.data.workers import cores
from hotstart.errors import DataError, UsageError
from hotstart.world.asked import VERSION, WorldSettings, parse_world
from hotstart.world.engines import versions
from hotstart.world.folder import Readable
from hotstart.world.item import files_of
from hotstart.world.pool import in_order
from hotstart.world.scene import ACTIONS, CLASSES, SHAPES
from hotstart.world.shards import Shards

Form = Literal["both", "shards", "folder"]
Progress = Callable[[str, int, int], None]

ABOUT = "world.json"
SHARDS = "shards"
LOCK = ".lock"
IN_SHARD = {"images": 256, "objects": 256, "videos": 16}
DONE = "done"
OWN = {LOCK, ABOUT + ".part"}


def render(
    world: str,
    out: str | Path,
    *,
    form: Form = "both",
    processes: int | None = None,
    progress: Progress | None = None,
) -> Path:
    """Render `world:images?...`, `world:objects?...` or `world:videos?...` into the folder `out`.

    form: `shards` for WebDataset, `folder` for files to look at, or both
    processes: None is one for each core; the files are the same whatever their number
    progress: called as progress("render", done, total)
    A folder that holds the beginning of the same world is gone on with; a whole one is left alone.

    Raises `UsageError` for a world that there is not, without the engines, or where `out` holds
    something else; `DataError` when `out` cannot be written.
    """
    if form not in get_args(Form):
        raise UsageError(f"form={form!r}: valid are {', '.join(get_args(Form))}")
    if processes is not None and processes < 1:
        raise UsageError(f"processes={processes}: at least 1 must work")
    settings, place = parse_world(world), Path(out).expanduser()
    about = _about(settings, form)
    try:
        place.mkdir(parents=True, exist_ok=True)
        with _alone(place):
            _claim(place, about)
            if not (place / DONE).exists():
                _fill(settings, place, form, processes or cores(), progress)
                (place / DONE).touch()
    except OSError as error:
        reason = error.strerror or error
        raise DataError(f"{place} cannot be written: {reason}; make room or give another") from None
    return place


def _about(settings: WorldSettings, form: Form) -> dict[str, Any]:
    return {
        "world": settings.text,
        "version": VERSION,
        "engines": versions(),
        "form": form,
        "labels": list(ACTIONS if settings.is_video else SHAPES),
        "classes": list(CLASSES),
    }


def _claim(out: Path, about: Mapping[str, Any]) -> None:
    """Raise `UsageError` unless `out` is empty or holds this very world."""
    path = out / ABOUT
    text = json.dumps(about, indent=1) + "\n"
    if path.exists():
        if path.read_text(encoding="utf-8") != text:
            raise UsageError(f"{out} holds another world (see {ABOUT} in it); give a new folder")
        return
    others = [entry.name for entry in out.iterdir() if entry.name not in OWN]
    if others:
        raise UsageError(f"{out} holds other files, such as {others[0]}; give a new folder")
    part = path.with_name(ABOUT + ".part")
    part.write_text(text, encoding="utf-8")
    part.rename(path)


@contextlib.contextmanager
def _alone(out: Path) -> Iterator[None]:
    """Hold the folder's lock, which the system lets go when the process ends."""
    with (out / LOCK).open("w") as handle:
        with contextlib.suppress(OSError):  # a file system without locks
            fcntl.flock(handle, fcntl.LOCK_EX)
        yield


def _fill(
    settings: WorldSettings, out: Path, form: Form, processes: int, progress: Progress | None
) -> None:
    forms: list[Shards | Readable] = []
    if form != "folder":
        forms.append(Shards(out / SHARDS, settings.n, IN_SHARD[settings.kind]))
    if form != "shards":
        forms.append(Readable(out, settings.n))
    missing = [set(each.missing()) for each in forms]
    jobs = sorted(set().union(*missing))
    done = settings.n - len(jobs)
    if progress:
        progress("render", done, settings.n)
    work = functools.partial(files_of, settings)
    with contextlib.ExitStack() as stack:
        for each in forms:
            stack.callback(each.close)
        made = in_order(work, jobs, min(processes, max(len(jobs), 1)))
        stack.callback(made.close)
        for index, files in zip(jobs, made, strict=True):
            for each, wanted in zip(forms, missing, strict=True):
                if index in wanted:
                    each.write(index, files)
            done += 1
            if progress:
                progress("render", done, settings.n)

"""What DATA is: a folder (of pictures or videos, class folders, splits, tars), a table, or a name.

A folder holds videos if it has at least as many video files as pictures, GIFs aside; or nothing
but GIFs, most of them animated. It holds shards if it has at least as many tars as of all these.
"""

from __future__ import annotations

import contextlib
import importlib
import os
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Literal

import numpy as np
import numpy.typing as npt
from PIL import Image

from hotstart.data.index import SOUND_SUFFIXES, SUFFIXES, TAR, VIDEO_SUFFIXES, Index, ending, walk
from hotstart.data.quarantine import printable
from hotstart.data.source import FileSource, Found, Items, absolute, groups_of_paths
from hotstart.data.splits import SPLIT_NAMES, SPLITS
from hotstart.data_names import (
    ALLOWED,
    CAMERA,
    FRAMES,
    RECORDED,
    WORLD,
    is_pattern,
    missing,
    tars_named,
)
from hotstart.errors import DataError, UsageError

TABLES = (".csv", ".tsv", ".parquet", ".pq")
COMPRESSED = (".tar.gz", ".tgz", ".tar.bz2", ".tbz2", ".tar.xz", ".txz", ".tar.zst", ".tzst")
GIF = ".gif"
GIFS_OPENED = 16
RENDERED = "world.json"
"""What lies in a folder that holds a rendered world."""
Progress = Callable[[str, int, int], None]


def discover(
    data: str | Path,
    label: str | None = None,
    group: str | None = None,
    progress: Progress | None = None,
    cache_dir: Path | None = None,
) -> Found:
    """Find out what `data` is and list its pictures or videos.

    label: column of a table that holds the label; of tar shards, an ending or a field of `json`
    group: such a column or field, or a regular expression searched in each relative path (of tar
    shards, in each key), whose first group (or whole match) names the group; what has no match is
    its own group
    progress: called as progress("render", done, total) while a world is rendered, or as
    progress("index", done, total) while tars are read
    cache_dir: where the index of tars is kept, see `default_cache_folder`

    Raises `DataError` when there is nothing to be used, `UsageError` when `label` or `group` does
    not fit the data.
    """
    from hotstart.data import named, table

    text = str(data)
    if text.startswith(CAMERA):
        # Each kind of data brings its own libraries, loaded only where it is asked for.
        from hotstart.data import camera

        where, _, query = text.removeprefix(CAMERA).partition("?")
        return camera.open_camera(discover(where, label, group, progress, cache_dir), query)
    if text.startswith(FRAMES):
        from hotstart.data import frame_folders

        return frame_folders.open_frames(text, label, group)
    if text.startswith(RECORDED):
        return _engine("recorded", text, label, group)
    path = Path(data).expanduser()
    try:
        is_folder, is_file = path.is_dir(), path.is_file()
        is_world = text.startswith(WORLD) or (path / RENDERED).is_file()
    except OSError as error:
        raise DataError(f"{text!r} cannot be read: {error.strerror}; {ALLOWED}") from None
    if is_world:
        return _engine("rendered", text, label, group, progress)
    if is_file:
        if path.suffix.lower() in TABLES:
            return table.open_table(path, label, group)
        if path.suffix.lower() != TAR:
            raise DataError(f"{text} is a single file{_compressed(path.name)}; {ALLOWED}")
    index = walk(path) if is_folder else None
    if is_file or (is_pattern(text) if index is None else holds_tars(index)):
        from hotstart.data.shards import opening

        tars = [path] if is_file else index if index is not None else tars_named(text)
        return opening.open_shards(path, tars, label, group, cache_dir, progress)
    if label is not None:
        raise UsageError(
            f"label={label!r} names a column of a table or a field of tar shards, and {text} is "
            "neither; the labels of a folder are its class folders"
        )
    if index is not None:
        return _folder(path, text, index, group)
    if named.is_name(text):
        if group is not None:
            raise UsageError(f"group={group!r}: the pictures of {text} have no paths to group by")
        return named.open_named(text)
    raise missing(text)


def _engine(
    kind: Literal["rendered", "recorded"],
    text: str,
    label: str | None,
    group: str | None,
    progress: Progress | None = None,
) -> Found:
    for name, value in (("label", label), ("group", group)):
        if value is not None:
            raise UsageError(f"{name}={value!r}: {text} is a {kind} world, which has its own")
    # Loaded by its name, and only when asked for: that room lies below this one.
    found: Found
    if kind == "recorded":
        source = importlib.import_module("hotstart.world.recorded_source")
        found = source.open_recorded(text)
    else:
        source = importlib.import_module("hotstart.world.source")
        found = source.open_world(text, progress, folder=not text.startswith(WORLD))
    return found


def _folder(path: Path, text: str, index: Index, group: str | None) -> Found:
    tars = index.tars
    if holds_videos(index):
        from hotstart.data.video import VideoFiles

        index = walk(path, VIDEO_SUFFIXES | {GIF})
        found = classify_folders(index, VideoFiles(index, absolute(path)), "videos")
    elif len(index):
        found = classify_folders(index, _pictures(index, absolute(path)), "pictures")
    elif index.others and len(heard := walk(path, SOUND_SUFFIXES)):
        from hotstart.data.sounds import SoundFiles

        index = heard
        found = classify_folders(index, SoundFiles(index, absolute(path)), "sounds")
    else:
        raise DataError(_nothing_in(text, index))
    if tars:
        told = f"{tars} tars among them were passed over: give {text}/*.tar to read these alone"
        found = replace(found, notes=(*found.notes, told))
    return found if group is None else found.with_groups(groups_of_paths(index, group))


def _pictures(index: Index, origin: str) -> Items:
    """Pictures, with sounds of the same names if there are any."""
    if index.others:
        from hotstart.data.sounds import Beside, sounded

        beside = Beside(index)
        if any(beside.file(index.relative(i)) for i in range(len(index))):
            return sounded(index, beside, origin)
    return FileSource(index, origin)


def holds_videos(index: Index) -> bool:
    """Whether a folder of these pictures, and of videos passed over, is one of videos."""
    count = len(index)
    if not index.videos and not (count and _is_gif(index, 0)):
        return False
    gifs = sum(_is_gif(index, i) for i in range(count))
    if index.videos:
        return index.videos >= count - gifs
    return gifs == count and _animated(index)


def holds_tars(index: Index) -> bool:
    """Whether a folder of these pictures, and of tars and videos passed over, is one of shards."""
    return index.tars > 0 and index.tars >= len(index) + index.videos


def _is_gif(index: Index, i: int) -> bool:
    return ending(printable(index.name(i))) == GIF


def _animated(index: Index) -> bool:
    """Whether most of some GIFs have more than one frame."""
    chosen = np.unique(np.linspace(0, len(index) - 1, GIFS_OPENED).astype(int)).tolist()
    moving = 0
    for i in chosen:
        name = os.fsdecode(index.file(i))
        # What is damaged, the cache will tell.
        with contextlib.suppress(Exception), Image.open(name) as image:
            moving += getattr(image, "n_frames", 1) > 1
    return 2 * moving > len(chosen)


def _compressed(name: str) -> str:
    """What to do about a compressed tar."""
    if not name.lower().endswith(COMPRESSED):
        return ""
    return (
        ", compressed: unpack it to a plain .tar, in which pictures are found without reading all"
    )


def _nothing_in(text: str, index: Index) -> str:
    if index.problems:
        first = index.problems[0]
        return f"{text} holds no picture that can be read ({first.path}: {first.reason}); {ALLOWED}"
    seen = (
        f"none of its {index.others} files (such as {index.other_example}"
        f"{_compressed(index.other_example)}) ends in"
        if index.others
        else "it is empty; Hotstart looks for"
    )
    return f"{text} holds no pictures: {seen} {', '.join(sorted(SUFFIXES))}; {ALLOWED}"


def classify_folders(index: Index, source: Items, noun: str) -> Found:
    """Decide what the folders of the items of `source`, which are `noun`, mean.

    Class folders: each picture lies exactly one folder deep, in at least two folders. Folders of
    one video each are none: all of a video is in one split. Splits: there is a `train` folder;
    pictures beside the split folders belong to train and have no label. Anything else is
    unlabelled.
    """
    parts = [folder.split(b"/") if folder else [] for folder in index.folders]
    tops = [printable(part[0]).lower() if part else "" for part in parts]
    split_of = [SPLIT_NAMES.get(top) for top in tops]
    notes = (f"{index.others} files that are no {noun} were passed over",) if index.others else ()
    least = 2 if noun == "videos" else 1
    if "train" not in split_of:
        labels, classes, why = _classes(index, parts, [True] * len(parts), 1, least)
        kind = f"unlabelled {noun}"
        if classes:
            kind = "class folders" if noun == "pictures" else f"class folders of {noun}"
        return Found(kind, source, labels, classes, problems=index.problems, notes=(*notes, *why))
    inside = [name is not None for name in split_of]
    codes = np.array([SPLITS.index(name or "train") for name in split_of], np.uint8)
    labels, classes, why = _classes(index, parts, inside, 2, least)
    split: npt.NDArray[np.uint8] | None = codes[index.folder]
    names = sorted({name for name in split_of if name}, key=SPLITS.index)
    if names == ["train"]:
        split = None
    kind = f"{' and '.join(f'{name}/' for name in names)} " + (
        "with class folders" if classes else "without labels"
    )
    if noun != "pictures":
        kind += f", {noun}"
    return Found(
        kind, source, labels, classes, split, problems=index.problems, notes=(*notes, *why)
    )


def _classes(
    index: Index, parts: list[list[bytes]], inside: list[bool], depth: int, least: int
) -> tuple[npt.NDArray[np.int32] | None, tuple[str, ...], tuple[str, ...]]:
    """Labels int32 (N,), class names, and why there are none although there might be.

    least: so many items one class at least must have
    """
    names = {part[-1] for part, asked in zip(parts, inside, strict=True) if asked and part}
    odd = [
        folder
        for folder, (part, asked) in enumerate(zip(parts, inside, strict=True))
        if asked and len(part) != depth
    ]
    if odd or len(names) < 2:
        some_fit = any(len(part) == depth for part in parts)
        if not odd or not some_fit:
            return None, (), ()
        first = int(np.flatnonzero(np.isin(index.folder, odd))[0])
        where = printable(index.relative(first))
        return None, (), (f"no labels: {where} does not lie exactly one folder below a class",)
    ordered = sorted(names)
    code = {name: number for number, name in enumerate(ordered)}
    of_folder = np.array(
        [code[part[-1]] if asked else -1 for part, asked in zip(parts, inside, strict=True)],
        np.int32,
    )
    labels = of_folder[index.folder]
    if np.bincount(labels[labels >= 0]).max(initial=0) < least:
        return None, (), (f"no labels: none of the {len(ordered)} folders holds two videos",)
    return labels, tuple(printable(name) for name in ordered), ()

"""DATA in WebDataset tar shards: a folder of them, one of them, or a pattern of names.

A sample are the files of one tar whose paths are equal up to the first dot of their own name. Its
picture (or video, or sound) is that of a plain ending such as `jpg`, else of one such as
`image.png`. Labels are what `cls` says, else the field `label` of `json`, else a short `txt` that
others have too, else the class folders in the tars.
"""

from __future__ import annotations

import os
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path, PurePosixPath

import numpy as np
import numpy.typing as npt

from hotstart.data.discover import RENDERED, Progress, classify_folders
from hotstart.data.entries import default_cache_folder
from hotstart.data.index import TAR, Index, walk
from hotstart.data.listed import index_of_paths
from hotstart.data.noted import split_of_path
from hotstart.data.shards.labels import Asked
from hotstart.data.shards.samples import Samples, open_samples
from hotstart.data.source import FileSource, Found, Items, absolute, groups_of_paths
from hotstart.data.splits import SPLITS
from hotstart.data_names import ALLOWED
from hotstart.errors import DataError

CLASS_NAMES = ("classnames.txt", "classes.txt")
"""Beside the tars, a line for each class, in the order of the numbers in `cls`."""


def open_shards(
    path: Path,
    tars: Index | Sequence[Path],
    label: str | None,
    group: str | None,
    cache_dir: Path | None,
    progress: Progress | None,
) -> Found:
    """The samples of all tars below the folder `path`, or of those for which it is a name.

    tars: what else is in the folder, or these tars
    label, group, cache_dir, progress: as `discover` has them

    Raises `DataError` where there is no sample to be used, `UsageError` for a label that none has.
    """
    beside = len(tars) + tars.videos if isinstance(tars, Index) else 0
    tars = walk(path, frozenset({TAR})) if isinstance(tars, Index) else _index(tars)
    if not len(tars):
        raise DataError(
            f"{path}: no tar in it can be opened ({tars.problems[0].path}: "
            f"{tars.problems[0].reason}); {ALLOWED}"
        )
    origin = absolute(path)
    folder = default_cache_folder() if cache_dir is None else cache_dir
    samples = open_samples(tars, origin, Asked(label, group), folder, progress)
    source = _source(samples, origin)
    source.rendered = any((place / RENDERED).is_file() for place in (tars.root, tars.root.parent))
    found = classify_folders(_inside(samples.keys), source, samples.noun)
    split = _splits(tars)
    found = replace(
        found,
        problems=(*tars.problems, *samples.problems),
        notes=(*samples.notes, *found.notes),
        split=found.split if split is None else split[samples.tar],
    )
    if samples.classes:
        classes = _named(tars.root, samples.classes)
        found = replace(found, labels=samples.labels, classes=classes, notes=samples.notes)
    if samples.groups is not None:
        found = found.with_groups(samples.groups)
    elif group is not None:
        found = found.with_groups(groups_of_paths(samples.keys, group))
    labelled = "labelled " if found.classes else ""
    if beside:
        told = f"{beside} files beside the tars were passed over: only what is in tars is read"
        found = replace(found, notes=(*found.notes, told))
    return replace(found, kind=f"tar shards of {labelled}{samples.noun}")


def _index(paths: Sequence[Path]) -> Index:
    root = Path(os.path.commonpath([path.absolute().parent for path in paths]))
    tars, there = index_of_paths(root, [bytes(path.absolute().relative_to(root)) for path in paths])
    if len(there) < len(paths):
        raise DataError(f"{root}: a tar vanished while it was opened; start again")
    return tars


def _source(samples: Samples, origin: str) -> Items:
    # PyAV is loaded only where something is seen or heard by it.
    if samples.noun == "videos":
        from hotstart.data.video import VideoFiles

        return VideoFiles(samples, origin)
    if samples.noun == "sounds":
        from hotstart.data.sounds import SoundFiles

        return SoundFiles(samples, origin)
    if samples.sound.any():
        from hotstart.data.sounds import SoundedPictures

        return SoundedPictures(samples, samples.heard, "", origin)
    return FileSource(samples, origin)


def _inside(keys: Index) -> Index:
    """The keys without the folders that all of them lie in: a tar often begins with its own."""
    parts = [folder.split(b"/") if folder else [] for folder in keys.folders]
    levels = enumerate(zip(*parts, strict=False))
    shared = next((i for i, level in levels if len({*level}) > 1), min(map(len, parts)))
    return replace(keys, folders=tuple(b"/".join(part[shared:]) for part in parts))


def _splits(tars: Index) -> npt.NDArray[np.uint8] | None:
    """Uint8 (tars,), as the name of each tar tells, else its folders; None where none is train."""
    names = []
    for path in map(PurePosixPath, tars.relatives()):
        names.append(split_of_path(path))
    if set(names) <= {None, "train"} or "train" not in names:
        return None
    return np.array([SPLITS.index(name or "train") for name in names], np.uint8)


def _named(root: Path, classes: tuple[str, ...]) -> tuple[str, ...]:
    """Names of classes that are numbers, where a file beside the tars tells them."""
    for name in CLASS_NAMES:
        try:
            lines = (root / name).read_text(encoding="utf-8").splitlines()
            numbers = [int(number) for number in classes]
        except (OSError, ValueError):
            continue
        names = [line.strip() for line in lines if line.strip()]
        if min(numbers) >= 0 and max(numbers) < len(names):
            return tuple(names[number] for number in numbers)
    return classes

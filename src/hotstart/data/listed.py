"""Index of files that are named elsewhere: by a table, by annotations, by a pattern."""

from __future__ import annotations

import os
from array import array
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import numpy.typing as npt

from hotstart.data.index import Index, joined


def index_of_paths(root: Path, paths: Sequence[bytes]) -> tuple[Index, npt.NDArray[np.int64]]:
    """Index of the files at `paths` that exist, in the order given, and their positions there.

    Relative paths count from `root`.
    """
    folders: dict[bytes, int] = {}
    folder, lengths, sizes, changed, there = (array("q") for _ in range(5))
    names = bytearray()
    base = os.fsencode(root)
    for i, path in enumerate(paths):
        try:
            status = os.stat(joined(base, path))  # noqa: PTH116 - the path is bytes
        except (OSError, ValueError):  # ValueError: a NUL in the path
            continue
        head, name = os.path.split(path)
        there.append(i)
        folder.append(folders.setdefault(head, len(folders)))
        names += name
        lengths.append(len(name))
        sizes.append(status.st_size)
        changed.append(status.st_mtime_ns)
    index = Index(
        root=root,
        folders=tuple(folders),
        folder=np.array(folder, np.uint32),
        names=np.frombuffer(bytes(names), dtype=np.uint8),
        ends=np.array(lengths, np.int64).cumsum(),
        sizes=np.array(sizes, np.int64),
        changed=np.array(changed, np.int64),
    )
    return index, np.array(there, np.int64)

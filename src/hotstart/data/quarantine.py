"""Files that cannot be used: named with the reason, never an end of the run."""

from __future__ import annotations

import csv
from collections.abc import Iterable
from pathlib import Path
from typing import NamedTuple


class Quarantined(NamedTuple):
    """One file left out, and why, in a few words."""

    path: str
    """Relative to the data."""
    reason: str


def printable(path: bytes) -> str:
    r"""A file's path for people: bytes that are not UTF-8 become `\xNN`."""
    return path.decode("utf-8", "backslashreplace")


def write_quarantine(path: Path, items: Iterable[Quarantined]) -> None:
    """Write `path,reason` lines; a file without any says that nothing was left out."""
    part = path.with_name(path.name + ".part")
    with part.open("w", encoding="utf-8", newline="") as file:
        writer = csv.writer(file, lineterminator="\n")
        writer.writerow(Quarantined._fields)
        writer.writerows(items)
    part.replace(path)

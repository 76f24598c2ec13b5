"""Files that tell where a camera was: CSV, TUM, KITTI, 4 x 4 matrices as text.

A pose is a 4 x 4 matrix that takes a point from the camera's axes (x right, y down, z forward) to
those of the world, in metres.
"""

from __future__ import annotations

import csv
import os
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np
import numpy.typing as npt
from scipy.spatial.transform import Rotation, Slerp

from hotstart.data.headers import Unreadable

Floats = npt.NDArray[np.float64]
By = Literal["order", "number", "seconds"]
TIMES = ("seconds", "timestamp", "time", "t")
NUMBERS = ("frame", "number", "index")
PLACES = (("tx", "ty", "tz"), ("x", "y", "z"))
TURNS = ("qx", "qy", "qz", "qw")
FORMS = (
    "a line holds 8 numbers (TUM: seconds, place, quaternion x y z w), 12 or 16 (KITTI, or a "
    "matrix row by row), or these after the frame's number; a CSV may name its columns"
)
CRUDE = 0.02
"""By how much a printed rotation may miss being one."""
NEAR_SECONDS = 0.02
"""How far before the first or after the last pose a frame is still given that."""
GAP_SECONDS = 0.5
"""Two poses further apart in time say nothing of the frames between them."""


@dataclass(frozen=True)
class Track:
    """Poses in a file's order, float64 (P, 4, 4), and what says which frame each is of.

    by: `order`: the k-th is of frame k; `number`: keys are numbers of frames; `seconds`: times
    keys: float64 (P,), increasing
    """

    by: By
    keys: Floats
    matrices: Floats

    def at(self, numbers: Floats, seconds: Floats) -> Floats:
        """Float64 (F, 4, 4) of frames with these numbers, at these times; NaN where unknown."""
        if self.by == "seconds":
            return self._between(seconds)
        wanted = np.arange(len(numbers)) if self.by == "order" else numbers
        place = np.searchsorted(self.keys, wanted).clip(max=len(self.keys) - 1)
        return np.where((self.keys[place] == wanted)[:, None, None], self.matrices[place], np.nan)

    def _between(self, seconds: Floats) -> Floats:
        """On the way from the pose before to the one after, at even speed."""
        keys = self.keys
        found = np.full((len(seconds), 4, 4), np.nan)
        there = (seconds >= keys[0] - NEAR_SECONDS) & (seconds <= keys[-1] + NEAR_SECONDS)
        inside = seconds.clip(keys[0], keys[-1])
        after = np.searchsorted(keys, inside).clip(1, max(len(keys) - 1, 1))
        if len(keys) == 1:
            return np.where(there[:, None, None], self.matrices[0], np.nan)
        exact = (keys[after] == inside) | (keys[after - 1] == inside)
        there &= exact | (keys[after] - keys[after - 1] <= GAP_SECONDS)
        now = inside[there]
        if not len(now):
            return found
        found[there] = np.eye(4)
        turned = Slerp(keys, Rotation.from_matrix(self.matrices[:, :3, :3]))(now)
        found[there, :3, :3] = turned.as_matrix()
        for axis in range(3):
            found[there, axis, 3] = np.interp(now, keys, self.matrices[:, axis, 3])
        return found


def read_track(path: bytes) -> Track:
    """The poses in a file; its form is told by how many numbers a line holds.

    Raises `Unreadable` that names the line.
    """
    name, rows = _rows(path)
    header = rows.pop(0)[1] if rows and not _is_number(rows[0][1][0]) else None
    if not rows:
        raise Unreadable(f"{name}: no poses in it; {FORMS}")
    table = np.array([_numbers(name, line, cells, len(rows[0][1])) for line, cells in rows])
    lines = [line for line, _ in rows]
    if header is None:
        return _by_width(name, table, lines)
    return _by_names(name, [cell.strip().lower() for cell in header], table, lines)


def read_matrix(path: bytes) -> Floats:
    """The one pose in a file of four lines of four numbers, as 7-Scenes has for each frame."""
    name, rows = _rows(path)
    table = np.array([_numbers(name, line, cells, 4) for line, cells in rows])
    if table.shape != (4, 4):
        raise Unreadable(f"{name}: {len(rows)} lines, a pose has four of four numbers")
    pose: Floats = _matrices(name, table.reshape(1, 16), [rows[0][0]])[0]
    return pose


def _rows(path: bytes) -> tuple[str, list[tuple[int, list[str]]]]:
    """Name of the file, and of each line that says something, its number and its cells."""
    name = os.fsdecode(os.path.basename(path))  # noqa: PTH119 - bytes path
    try:
        with open(path, encoding="utf-8-sig", newline="") as file:  # noqa: PTH123 - bytes path
            lines = file.read().splitlines()
    except (OSError, UnicodeDecodeError) as error:
        raise Unreadable(f"{name}: cannot be read: {error}") from None
    rows = []
    for number, line in enumerate(lines, start=1):
        if line.strip() and not line.lstrip().startswith("#"):
            cells = next(csv.reader([line])) if "," in line else line.split()
            rows.append((number, cells))
    return name, rows


def _is_number(text: str) -> bool:
    try:
        float(text)
    except ValueError:
        return False
    return True


def _numbers(name: str, line: int, cells: Sequence[str], count: int) -> list[float]:
    wrong = next((cell for cell in cells if not _is_number(cell)), None)
    if wrong is not None:
        raise Unreadable(f"{name}, line {line}: {wrong!r} is no number")
    if len(cells) != count:
        raise Unreadable(f"{name}, line {line}: {len(cells)} numbers, those before have {count}")
    return [float(cell) for cell in cells]


def _by_width(name: str, table: Floats, lines: Sequence[int]) -> Track:
    width = table.shape[1]
    if width == 8:
        return _track(name, "seconds", table[:, 0], _of_quaternions(name, table[:, 1:], lines))
    if width in (12, 16):
        matrices = _matrices(name, table, lines)
        return Track("order", np.arange(len(table), dtype=np.float64), matrices)
    if width in (13, 17):
        return _track(name, "number", table[:, 0], _matrices(name, table[:, 1:], lines))
    raise Unreadable(f"{name}, line {lines[0]}: {width} numbers; {FORMS}")


def _by_names(name: str, header: Sequence[str], table: Floats, lines: Sequence[int]) -> Track:
    place = next((names for names in PLACES if set(names) <= set(header)), None)
    if place is None or not set(TURNS) <= set(header) or len(header) != table.shape[1]:
        raise Unreadable(
            f"{name}: columns {', '.join(header)}; needed are tx, ty, tz (or x, y, z) and "
            f"{', '.join(TURNS)}, and one of {', '.join((*NUMBERS, *TIMES))} unless every frame "
            "has its line"
        )
    columns = [header.index(column) for column in (*place, *TURNS)]
    matrices = _of_quaternions(name, table[:, columns], lines)
    ways: tuple[tuple[By, tuple[str, ...]], ...] = (("number", NUMBERS), ("seconds", TIMES))
    for by, names in ways:
        for key in names:
            if key in header:
                return _track(name, by, table[:, header.index(key)], matrices)
    return Track("order", np.arange(len(table), dtype=np.float64), matrices)


def _track(name: str, by: By, keys: Floats, matrices: Floats) -> Track:
    order = np.argsort(keys, kind="stable")
    keys = keys[order]
    twice = np.flatnonzero(np.diff(keys) == 0)
    if len(twice):
        raise Unreadable(f"{name}: two poses for {by} {keys[twice[0]]:g}")
    return Track(by, keys, matrices[order])


def _of_quaternions(name: str, table: Floats, lines: Sequence[int]) -> Floats:
    """(P, 7), place and quaternion x y z w -> (P, 4, 4)."""
    lengths = np.linalg.norm(table[:, 3:], axis=1)
    _refuse(name, np.abs(lengths - 1) > CRUDE, lines, "the quaternion's length is not 1")
    matrices = np.tile(np.eye(4), (len(table), 1, 1))
    matrices[:, :3, :3] = Rotation.from_quat(table[:, 3:]).as_matrix()
    matrices[:, :3, 3] = table[:, :3]
    return matrices


def _matrices(name: str, table: Floats, lines: Sequence[int]) -> Floats:
    """(P, 12 or 16), row by row -> (P, 4, 4), rotations made exact."""
    matrices = np.tile(np.eye(4), (len(table), 1, 1))
    given = table.reshape(len(table), -1, 4)
    matrices[:, : given.shape[1]] = given
    turns = matrices[:, :3, :3]
    off = np.abs(turns @ turns.transpose(0, 2, 1) - np.eye(3)).max((1, 2))
    wrong = ~(off <= CRUDE) | (np.linalg.det(np.nan_to_num(turns)) < 0)
    _refuse(name, wrong, lines, "its first three columns are no rotation")
    _refuse(name, (matrices[:, 3] != (0, 0, 0, 1)).any(1), lines, "the last row is not 0 0 0 1")
    left, _, right = np.linalg.svd(turns)
    matrices[:, :3, :3] = left @ right
    return matrices


def _refuse(name: str, wrong: npt.NDArray[np.bool_], lines: Sequence[int], reason: str) -> None:
    if wrong.any():
        raise Unreadable(f"{name}, line {lines[int(wrong.argmax())]}: {reason}")

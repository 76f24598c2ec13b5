"""One video read from end to end: what is known of it, and its frames and sound on disk."""

from __future__ import annotations

import errno
import tempfile
from array import array
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import BinaryIO, cast

import numpy as np
import numpy.typing as npt

from hotstart.data.headers import Unreadable
from hotstart.data.quarantine import Quarantined
from hotstart.data.videos import Frame, Sound, VideoSource

SPOOL_BYTES = 2**24
"""Of a video that stay in memory until they are copied to their place; more go to the disk."""

ROUNDING_SECONDS = 0.0015


@dataclass(frozen=True)
class Viewed:
    """A video that can be used. Its two files are gone when it is closed."""

    row: int
    facts: tuple[int | float, ...]
    """Hash, height, width, frames, length, interval, samples, start of the sound (see `Facts`)."""
    times: npt.NDArray[np.float64]
    stamps: npt.NDArray[np.int64]
    pixels: BinaryIO
    sound: BinaryIO
    kept: bool
    """Whether frames and sound are in these files."""
    remarks: tuple[Quarantined, ...]

    def __enter__(self) -> Viewed:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.pixels.close()
        self.sound.close()


def view(source: VideoSource, row: int, short_side: int, folder: Path | None) -> Viewed:
    """Read video `row`; frames and sound go to files in `folder`, or, with None, nowhere.

    Raises `Unreadable` when the video cannot be used.
    """
    content = source.content(row)
    pixels, sound = _spool(folder), _spool(folder)
    try:
        return _view(source, row, short_side, content, pixels, sound, folder is not None)
    except BaseException:
        pixels.close()
        sound.close()
        raise


def _spool(folder: Path | None) -> BinaryIO:
    place = None if folder is None else str(folder)
    return cast(BinaryIO, tempfile.SpooledTemporaryFile(SPOOL_BYTES, dir=place))


def disk_is_full(error: OSError) -> bool:
    return error.errno in (errno.ENOSPC, errno.EDQUOT)


def _view(
    source: VideoSource,
    row: int,
    short_side: int,
    content: int,
    pixels: BinaryIO,
    sound: BinaryIO,
    keep: bool,
) -> Viewed:
    times, stamps = array("d"), array("q")
    remarks: list[Quarantined] = []
    height = width = samples = 0
    heard_at = 0.0
    for piece in source.read(row, short_side):
        if isinstance(piece, Quarantined):
            remarks.append(piece)
            continue
        if isinstance(piece, Sound):
            heard_at = heard_at if samples else piece.seconds
            samples += len(piece.samples)
        else:
            times.append(piece.seconds)
            stamps.append(piece.stamp)
            height, width = piece.pixels.shape[:2]
        keep = keep and _keep(piece, pixels, sound)
    if len(times) < 2:
        raise Unreadable(
            "one frame: a video has two at least"
            if times
            else "damaged: no frame of it can be decoded"
        )
    seconds = np.array(times) - times[0]
    gaps = np.diff(seconds)
    # Some formats round times to milliseconds, and 30 Hz becomes 33, 33, 34: the longest of those.
    interval = float(gaps[gaps <= np.median(gaps) + ROUNDING_SECONDS].max())
    length = float(seconds[-1]) + interval
    start = heard_at - times[0] if samples else 0.0
    return Viewed(
        row,
        (content, height, width, len(times), length, interval, samples, start),
        seconds,
        np.array(stamps),
        pixels,
        sound,
        keep,
        tuple(remarks),
    )


def _keep(piece: Frame | Sound, pixels: BinaryIO, sound: BinaryIO) -> bool:
    """Write a piece to its file; False, and both emptied, where the disk is full."""
    try:
        if isinstance(piece, Sound):
            sound.write(piece.samples.tobytes())
        else:
            pixels.write(piece.pixels.data)
    except OSError as error:
        if not disk_is_full(error):
            raise
        for file in (pixels, sound):
            file.seek(0)
            file.truncate()
        return False
    return True

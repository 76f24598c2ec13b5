"""Where videos come from before they are cached: what can be asked of any source of them."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from hotstart.data.quarantine import Quarantined
from hotstart.data.source import Items

Array = npt.NDArray[np.uint8]
Samples = npt.NDArray[np.int16]


@dataclass(frozen=True)
class Frame:
    """One frame of a video.

    seconds: on the file's own clock; stamp: what to ask for it by (`VideoSource.frames`)
    pixels: uint8 RGB (H, W, 3), the same size for all frames of a video
    """

    seconds: float
    stamp: int
    pixels: Array


@dataclass(frozen=True)
class Sound:
    """A stretch of sound at `SOUND_HZ`, int16 (n,); seconds: of its start, on the file's clock."""

    seconds: float
    samples: Samples


@dataclass(frozen=True)
class Measured:
    """What a video says of itself; of its number of frames, about."""

    width: int
    height: int
    frames: int
    sound_seconds: float


class VideoSource(Items):
    """Videos by position. A video is read from end to end; it is never whole in memory."""

    pictured: bool = True
    """Whether its pictures are of the data; sound alone has them for people."""
    piece_frames: int | None = None
    """Into items of how many frames its videos are cut (`stretches.py`); None: it was not said."""

    @abstractmethod
    def content(self, i: int) -> int:
        """Content hash of video i. Raises `Unreadable`."""

    @abstractmethod
    def read(self, i: int, short_side: int) -> Iterator[Frame | Sound | Quarantined]:
        """All frames of video i in the order of time and all of its sound, mixed.

        Frames are reduced to `short_side` if both sides are longer. A part that cannot be used
        (a picture of a folder of frames, the sound) comes as `Quarantined`.
        Raises `Unreadable` when the video cannot be used.
        """

    @abstractmethod
    def frames(self, i: int, short_side: int, stamps: Sequence[int]) -> list[Array]:
        """The frames with these stamps, as `read` gave them. Raises `Unreadable`."""

    @abstractmethod
    def sound(self, i: int) -> Samples:
        """All sound of video i, as `read` gave it. Raises `Unreadable`."""

    def poses(
        self, i: int, seconds: npt.NDArray[np.float64], stamps: Sequence[int]
    ) -> npt.NDArray[np.float64] | None:
        """Where the camera was, float64 (F, 4, 4), of all frames of video i; None if unknown.

        seconds: float64 (F,), from the first frame; stamps: as `read` gave them. NaN for a frame
        whose pose is unknown. See `pose_files.py`. Raises `Unreadable`.
        """
        return None

    @abstractmethod
    def measure(self, i: int) -> Measured:
        """From as little as can be read. Raises `Unreadable`."""

    def peek(self, i: int) -> tuple[int, int]:
        measured = self.measure(i)
        return measured.width, measured.height

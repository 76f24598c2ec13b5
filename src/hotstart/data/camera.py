"""Generated camera motion over still pictures, known exactly: `camera:PICTURES?frames=12&hz=5`.

Each picture hangs upright at a distance of 1 before a camera that sways and turns: a video with a
pose for each frame. What a plane shows to a camera that moved is a homography away.
"""

from __future__ import annotations

import hashlib
import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, fields, replace
from urllib.parse import parse_qsl

import cv2
import numpy as np
import numpy.typing as npt
from scipy.spatial.transform import Rotation

from hotstart.data.quarantine import Quarantined
from hotstart.data.source import Found, Source
from hotstart.data.videos import Array, Frame, Measured, Samples, Sound, VideoSource
from hotstart.errors import UsageError

Floats = npt.NDArray[np.float64]
PREFIX = "camera:"
WIDE = 1.6
"""Short side of the picture, in sides of what the camera sees of it at first."""
SLOWEST_HZ, FASTEST_HZ = 0.15, 0.6
LONGEST, FASTEST = 10_000, 1_000.0


@dataclass(frozen=True)
class CameraSettings:
    """How the camera moves; by their names in `camera:PICTURES?name=value&...`."""

    frames: int = 12
    hz: float = 5.0
    """Frames a second."""
    degrees: float = 8.0
    """It turns by up to so much about each axis."""
    shift: float = 0.25
    """It moves by up to so much along each axis, in distances of the picture."""
    seed: int = 0

    @classmethod
    def parse(cls, query: str) -> CameraSettings:
        """Raises `UsageError` for a name or a value that is none."""
        kinds = {field.name: type(getattr(cls, field.name)) for field in fields(cls)}
        values: dict[str, float] = {}
        for name, text in parse_qsl(query, keep_blank_values=True):
            if name not in kinds:
                raise UsageError(f"{PREFIX}...?{name}: valid are {', '.join(kinds)}")
            try:
                values[name] = kinds[name](text)
            except ValueError:
                raise UsageError(
                    f"{PREFIX}...?{name}={text} is not {'a whole' if kinds[name] is int else 'a'} "
                    "number"
                ) from None
        asked = cls(**values)  # type: ignore[arg-type]
        limits = {
            "frames": (2, LONGEST),
            "hz": (0.1, FASTEST),
            "degrees": (0, 30),
            "shift": (0, 0.5),
        }
        for name, (low, high) in limits.items():
            if not low <= getattr(asked, name) <= high:
                raise UsageError(
                    f"{PREFIX}...?{name}={getattr(asked, name):g}: it must be {low:g} to {high:g}"
                )
        return asked


def open_camera(found: Found, query: str) -> Found:
    """Videos in the place of the pictures `found`, with their labels, splits and groups."""
    if not isinstance(found.source, Source):
        raise UsageError(f"{PREFIX} moves over pictures, and {found.source.origin} holds videos")
    source = CameraOverPictures(found.source, CameraSettings.parse(query))
    return replace(found, kind=f"camera over {found.kind}", source=source)


class CameraOverPictures(VideoSource):
    """One video for each picture of `pictures`."""

    def __init__(self, pictures: Source, settings: CameraSettings) -> None:
        self.pictures = pictures
        self.settings = settings
        self.origin = PREFIX + pictures.origin
        state = f"{pictures.fingerprint}|{settings}"
        self.rendered = pictures.rendered
        self.fingerprint = hashlib.blake2b(state.encode(), digest_size=16).hexdigest()

    def __len__(self) -> int:
        return len(self.pictures)

    def path(self, i: int) -> str:
        return self.pictures.path(i)

    def content(self, i: int) -> int:
        return self.pictures.read(i, 1)[0]

    def read(self, i: int, short_side: int) -> Iterator[Frame | Sound | Quarantined]:
        numbers = range(self.settings.frames)
        for number, pixels in zip(numbers, self._seen(i, short_side, numbers), strict=True):
            yield Frame(number / self.settings.hz, number, pixels)

    def frames(self, i: int, short_side: int, stamps: Sequence[int]) -> list[Array]:
        return list(self._seen(i, short_side, stamps))

    def sound(self, i: int) -> Samples:
        return np.empty(0, np.int16)

    def poses(self, i: int, seconds: Floats, stamps: Sequence[int]) -> Floats:
        return self._poses(self.content(i), np.array(stamps) / self.settings.hz)

    def measure(self, i: int) -> Measured:
        side = min(self.pictures.peek(i))
        return Measured(side, side, self.settings.frames, 0.0)

    def _seen(self, i: int, short_side: int, numbers: Sequence[int]) -> Iterator[Array]:
        content, picture = self.pictures.read(i, math.ceil(WIDE * short_side))
        height, width = picture.shape[:2]
        side = min(short_side, height, width)
        # From pixels of the picture to places on it, whose short side is WIDE; and to those seen.
        scale = WIDE / min(height, width)
        hung = np.array(
            [[scale, 0, -scale * (width - 1) / 2], [0, scale, -scale * (height - 1) / 2], [0, 0, 1]]
        )
        lens = np.array([[side, 0, (side - 1) / 2], [0, side, (side - 1) / 2], [0, 0, 1]])
        for pose in self._poses(content, np.array(numbers) / self.settings.hz):
            matrix = lens @ homography(pose) @ hung
            yield cv2.warpPerspective(
                picture, matrix, (side, side), borderMode=cv2.BORDER_REFLECT_101
            ).astype(np.uint8, copy=False)

    def _poses(self, content: int, seconds: Floats) -> Floats:
        """Float64 (F, 4, 4): each of six numbers sways at a rate and from a phase of its own."""
        rng = np.random.default_rng([self.settings.seed, content])
        rate, phase = rng.uniform(SLOWEST_HZ, FASTEST_HZ, 6), rng.uniform(0, 1, 6)
        share = rng.uniform(0.3, 1, 6)
        sway = share * np.sin(2 * np.pi * (seconds[:, None] * rate + phase))
        poses = np.tile(np.eye(4), (len(seconds), 1, 1))
        poses[:, :3, 3] = self.settings.shift * sway[:, :3]
        turns = Rotation.from_rotvec(self.settings.degrees * sway[:, 3:], degrees=True)
        poses[:, :3, :3] = turns.as_matrix()
        return poses


def homography(pose: Floats) -> Floats:
    """From places (x, y, 1) on the plane z = 1 to where a camera with this pose sees them: (3, 3).

    With world = R camera + t, a place X is seen along R' (X - t), and as X has z = 1 that is
    R' (I - t (0, 0, 1)) X: Hartley & Zisserman, Multiple View Geometry, section 13.1.
    """
    seen: Floats = pose[:3, :3].T @ (np.eye(3) - np.outer(pose[:3, 3], (0, 0, 1)))
    return seen

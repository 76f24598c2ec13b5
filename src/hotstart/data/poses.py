"""Which camera poses belong to the frames of videos: those in the files that lie beside them.

Beside a video `drive.mp4`: `drive.poses.csv` or `drive.poses.txt`. Of a folder of frames:
`poses.csv`, `poses.txt` or `groundtruth.txt` in it or in the folder above, or beside each frame
`frame-000000.png` a file `frame-000000.pose.txt`.
"""

from __future__ import annotations

import os
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from hotstart.data.headers import Unreadable
from hotstart.data.pose_files import Track, read_matrix, read_track
from hotstart.data.quarantine import Quarantined
from hotstart.data.reels import Reels
from hotstart.data.videos import VideoSource

Floats = npt.NDArray[np.float64]
BESIDE_VIDEO = (b".poses.csv", b".poses.txt")
BESIDE_FRAMES = (b"poses.csv", b"poses.txt", b"groundtruth.txt")
BESIDE_FRAME = b".pose.txt"


@dataclass(frozen=True)
class Poses:
    """Poses of the frames of videos; only videos that have some take memory.

    of_video: by the video's number, float64 (F, 4, 4), camera to world, NaN where unknown
    remarks: pose files that cannot be used
    """

    of_video: dict[int, Floats]
    remarks: tuple[Quarantined, ...] = ()

    def known(self, video: int, first: int, count: int) -> bool:
        """Whether frames first : first + count of a video all have one."""
        found = self.of_video.get(video)
        return found is not None and bool(np.isfinite(found[first : first + count]).all())

    @property
    def state(self) -> bytes:
        """Bytes that tell these poses from others."""
        return b"".join(
            str(video).encode() + self.of_video[video].tobytes() for video in sorted(self.of_video)
        )


def open_poses(source: VideoSource, rows: npt.NDArray[np.int32], reels: Reels) -> Poses:
    """Read what there is for each readable video; rows: int (N,), their positions in `source`."""
    found: dict[int, Floats] = {}
    remarks: list[Quarantined] = []
    for video, row in enumerate(rows.tolist()):
        frames = reels.first[video] + np.arange(reels.counts[video])
        try:
            poses = source.poses(row, reels.times(video), reels.stamps[frames].tolist())
        except Unreadable as reason:
            remarks.append(Quarantined(source.path(row), f"used without its poses: {reason}"))
            continue
        if poses is not None and np.isfinite(poses).all((1, 2)).any():
            found[video] = poses
    return Poses(found, tuple(remarks))


def beside_video(path: bytes, seconds: Floats) -> Floats | None:
    """Poses of a video file's frames, which are shown at `seconds`; None where no file is."""
    stem = os.path.splitext(path)[0]  # noqa: PTH122 - bytes path
    track = _first(stem + ending for ending in BESIDE_VIDEO)
    return None if track is None else track.at(np.arange(len(seconds), dtype=np.float64), seconds)


def beside_frames(files: Sequence[bytes], numbers: Floats, seconds: Floats) -> Floats | None:
    """Poses of frames in picture files, which have `numbers` and are shown at `seconds`.

    A pose file that goes by the order has a line for each file of the folder.
    """
    folder = os.path.dirname(files[0])  # noqa: PTH120 - bytes path
    stems = [file[: len(folder)] + file[len(folder) :].split(b".")[0] for file in files]
    if _exists(stems[0] + BESIDE_FRAME):
        return np.stack([_one(stem + BESIDE_FRAME) for stem in stems])
    above = os.path.dirname(folder)  # noqa: PTH120 - bytes path
    track = _first(place + b"/" + name for place in (folder, above) for name in BESIDE_FRAMES)
    return None if track is None else track.at(numbers, seconds)


def _first(paths: Iterable[bytes]) -> Track | None:
    """What is in the first of these files that is there."""
    path = next(filter(_exists, paths), None)
    return None if path is None else read_track(path)


def _one(path: bytes) -> Floats:
    return read_matrix(path) if _exists(path) else np.full((4, 4), np.nan)


def _exists(path: bytes) -> bool:
    return os.path.isfile(path)  # noqa: PTH113 - bytes path

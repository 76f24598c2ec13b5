"""The items of a set of videos: a short video is one, of a long one every ten seconds or so.

Otherwise three drives of ten minutes would be a set of three. Where the source says of how many
frames an item is to be (`VideoSource.piece_frames`), that alone decides. All stretches of a video
are of one group, so that no split cuts through a video while there are others (`splits.py`).
"""

from __future__ import annotations

import functools
from collections.abc import Collection
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from hotstart.data.footage import Footage
from hotstart.data.splits import mix

STRETCH_SECONDS = 10.0
STRETCH_FRAMES = 16
"""A stretch has at least as many of both; a video shorter than two of them stays whole."""


@dataclass(frozen=True)
class Stretches:
    """N stretches of videos, ordered by video, then by time.

    videos: int64 (N,), which video of `footage`; parts: int64 (N,), number within it
    firsts, counts: int64 (N,), first frame and number of frames
    starts, lengths: float64 (N,), seconds from the first frame of the video, and to its own end
    """

    footage: Footage
    videos: npt.NDArray[np.int64]
    parts: npt.NDArray[np.int64]
    firsts: npt.NDArray[np.int64]
    counts: npt.NDArray[np.int64]
    starts: npt.NDArray[np.float64]
    lengths: npt.NDArray[np.float64]

    def __len__(self) -> int:
        return len(self.videos)

    @property
    def rows(self) -> npt.NDArray[np.int32]:
        """Int32 (N,), position of the video in the source."""
        return self.footage.facts.rows[self.videos]

    @property
    def hashes(self) -> npt.NDArray[np.uint64]:
        """Uint64 (N,): the video's content hash; different for the later stretches of it.

        Later stretches of a video that is cut otherwise have others.
        """
        of_video = self.footage.facts.hashes[self.videos]
        asked = np.uint64((self.footage.source.piece_frames or 0) << 32)
        later = mix(of_video + self.parts.astype(np.uint64) + asked, purpose=3)
        return np.where(self.parts > 0, later, of_video)

    @property
    def heard(self) -> npt.NDArray[np.bool_]:
        """Bool (N,): whose video has sound."""
        return np.asarray(self.footage.facts.samples[self.videos] > 0)

    @functools.cached_property
    def posed(self) -> npt.NDArray[np.bool_]:
        """Bool (N,): of which each frame has a camera pose."""
        known, parts = self.footage.poses.known, (self.videos, self.firsts, self.counts)
        return np.array([known(*part) for part in zip(*map(list, parts), strict=True)], bool)

    @functools.cached_property
    def moving(self) -> npt.NDArray[np.bool_]:
        """Bool (N,): which hold both frames of a field of flow; a piece of few may hold none."""
        frames, ends = self.footage.motion.frames, self.firsts + self.counts
        parts = zip(self.videos.tolist(), self.firsts, ends, strict=True)
        return np.array([np.ptp(np.searchsorted(frames(i), part)) > 1 for i, *part in parts], bool)

    @property
    def keys(self) -> set[str]:
        """Sample keys that some of these videos can give."""
        some = {"audio": self.heard, "pose": self.posed}
        seen = {"image", "clip", "flow"} if self.footage.source.pictured else set()
        return seen | {key for key, there in some.items() if there.any()}

    def having(self, keys: Collection[str]) -> npt.NDArray[np.bool_]:
        """Bool (N,): which have all of `keys`."""
        there = np.ones(len(self), bool)
        if "audio" in keys:
            there &= self.heard
        if "pose" in keys:
            there &= self.posed
        if "flow" in keys:
            there &= self.moving
        return there

    def name(self, i: int, path: str) -> str:
        """For people: the video's `path`, with the seconds that it begins at if it is a part."""
        return f"{path} from {self.starts[i]:.1f} s" if self.parts[i] else path


def cut_videos(footage: Footage) -> Stretches:
    """Cut what is long into stretches of equally many frames, none left over."""
    facts, asked = footage.facts, footage.source.piece_frames
    if asked is None:
        most = np.minimum(facts.lengths // STRETCH_SECONDS, facts.counts // STRETCH_FRAMES)
    else:
        most = facts.counts // asked
    cuts = np.maximum(most, 1).astype(np.int64)
    videos = np.repeat(np.arange(len(cuts)), cuts)
    of = cuts[videos]
    parts = np.arange(len(videos)) - (cuts.cumsum() - cuts)[videos]
    total = facts.counts[videos]
    firsts = parts * total // of
    ends = (parts + 1) * total // of
    starts, stops = np.zeros(len(videos)), facts.lengths[videos]
    for i in np.flatnonzero(parts):
        starts[i] = stops[i - 1] = footage.reels.times(int(videos[i]))[firsts[i]]
    return Stretches(footage, videos, parts, firsts, ends - firsts, starts, stops - starts)

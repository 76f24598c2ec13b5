"""How an encoder reads items: a picture by one view, a video or a sound at several moments."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import ClassVar

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from hotstart.augment import (
    ViewSettings,
    as_waves,
    centre_clip,
    centre_view,
    random_clip,
    random_view,
)
from hotstart.data.clips import FRAMES
from hotstart.data.dataset import Dataset
from hotstart.data.draws import Draws
from hotstart.data.loader import Loader
from hotstart.data.sample import Batch, Spec, to_device
from hotstart.encoders.audio import AudioEncoder
from hotstart.encoders.encoder import Encoder

PICTURES_AT_ONCE = 256
SOUND_WINDOWS = 3
"""Stretches of a sound that are heard in evaluation."""
LOUDER_DB = 6.0
"""By how much a sound is made louder or softer at most, in training."""


class Reading(ABC):
    """From the samples of a batch to what the encoder takes.

    windows: moments of each item that are looked at in evaluation
    views_each: views of each item that these give; what the encoder says of them is averaged
    mirrors: whether a view, mirrored along its last axis, shows what it showed before
    """

    windows: int
    mirrors: ClassVar[bool] = True

    @property
    def views_each(self) -> int:
        return self.windows

    @property
    @abstractmethod
    def needs(self) -> Mapping[str, Spec]:
        """Sample keys that it reads, and their form."""

    @property
    @abstractmethod
    def batch_size(self) -> int:
        """Moments that are looked at once in evaluation, a multiple of `windows`."""

    @abstractmethod
    def plain(self, batch: Batch, size: int) -> Tensor:
        """The view for evaluation of each row, `size` px."""

    @abstractmethod
    def random(self, batch: Batch, settings: ViewSettings, size: int, rng: Draws) -> Tensor:
        """A random view of each row, `size` px."""

    def views(
        self,
        dataset: Dataset,
        indices: npt.NDArray[np.int64],
        size: int,
        device: torch.device,
        *,
        drop_last: bool = False,
    ) -> Iterator[Tensor]:
        """Evaluation views of the items, in order; the next batch loads ahead.

        Those of one item are one behind the other, and in one batch.
        """
        order = indices.repeat(self.windows)
        places = None
        if self.windows > 1:
            # Spread evenly: of two windows, one in the middle of each half.
            places = ((torch.arange(self.windows) + 0.5) / self.windows).repeat(len(indices))
        loader = Loader(
            dataset, self.needs, order, self.batch_size, drop_last=drop_last, places=places
        )
        for batch in loader:
            yield self.plain(to_device(batch, device), size)


@dataclass(frozen=True)
class Stills(Reading):
    """One picture of each item: of a video, evaluation sees the frame in its middle.

    frames: an encoder of clips is shown the picture this many times over; None: one of pictures,
    once.
    """

    frames: int | None = None
    windows = 1

    @property
    def needs(self) -> Mapping[str, Spec]:
        return {"image": Spec()}

    @property
    def batch_size(self) -> int:
        return PICTURES_AT_ONCE // (self.frames or 1)

    def plain(self, batch: Batch, size: int) -> Tensor:
        """(B, 3, size, size), or (B, 3, frames, size, size)."""
        return self._shown(centre_view(batch["image"], size))

    def random(self, batch: Batch, settings: ViewSettings, size: int, rng: Draws) -> Tensor:
        return self._shown(random_view(batch["image"], settings, size, rng))

    def _shown(self, pictures: Tensor) -> Tensor:
        if self.frames is None:
            return pictures
        return pictures.unsqueeze(2).expand(-1, -1, self.frames, -1, -1)


@dataclass(frozen=True)
class ClipWindows(Reading):
    """Clips of each video: `windows` of them in evaluation, spread evenly over it.

    frames, seconds: of each clip, see `Spec`
    apart: an encoder of pictures is given the frames one by one
    """

    frames: int = FRAMES
    seconds: float | None = None
    windows: int = 1
    apart: bool = False

    @property
    def views_each(self) -> int:
        return self.windows * (self.frames if self.apart else 1)

    @property
    def needs(self) -> Mapping[str, Spec]:
        return {"clip": Spec(self.frames, self.seconds)}

    @property
    def batch_size(self) -> int:
        return max(PICTURES_AT_ONCE // (self.frames * self.windows), 1) * self.windows

    def plain(self, batch: Batch, size: int) -> Tensor:
        """(B, 3, frames, size, size), or apart (B frames, 3, size, size)."""
        clips = centre_clip(batch["clip"], size)
        return clips.transpose(1, 2).flatten(0, 1) if self.apart else clips

    def random(self, batch: Batch, settings: ViewSettings, size: int, rng: Draws) -> Tensor:
        """(B, 3, frames, size, size): what learns reads clips."""
        assert not self.apart
        return random_clip(batch["clip"], settings, size, rng)


@dataclass(frozen=True)
class SoundWindows(Reading):
    """Stretches of sound of each item: `windows` of them in evaluation, spread evenly over it.

    seconds: of each. Of a sound that is no longer than that, all are the same.
    """

    seconds: float
    windows: int = SOUND_WINDOWS
    mirrors: ClassVar[bool] = False

    @property
    def needs(self) -> Mapping[str, Spec]:
        return {"audio": Spec(seconds=self.seconds)}

    @property
    def batch_size(self) -> int:
        return max(PICTURES_AT_ONCE // self.windows, 1) * self.windows

    def plain(self, batch: Batch, size: int) -> Tensor:
        """(B, n)."""
        return as_waves(batch["audio"])

    def random(self, batch: Batch, settings: ViewSettings, size: int, rng: Draws) -> Tensor:
        """As loud as is drawn; `settings` are of pictures."""
        gain = 10 ** (rng.uniform(-LOUDER_DB, LOUDER_DB) / 20)
        return as_waves(batch["audio"]) * gain[:, None].to(batch["audio"].device)


def reading_of(encoder: Encoder, dataset: Dataset, sound_windows: int = SOUND_WINDOWS) -> Reading:
    """How `encoder` reads the items of `dataset` where nothing else is asked.

    One of clips reads the clip in the middle of a video; a picture it is shown as a clip in which
    nothing moves. One of sounds hears `sound_windows` stretches of a sound, or of a video.
    """
    if isinstance(encoder, AudioEncoder):
        return SoundWindows(encoder.sound.seconds, sound_windows)
    if encoder.kind != "video":
        return Stills()
    return ClipWindows() if "clip" in dataset.keys else Stills(FRAMES)

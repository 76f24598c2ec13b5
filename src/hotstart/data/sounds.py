"""Sound files: alone, as items of their own, and beside pictures of the same name.

WAV, FLAC and Ogg, known by their first bytes, become 16-bit PCM, one channel, 16 kHz. An item is a
`VideoSource`'s whose picture never changes: it has the length of its sound. Of sound alone that
picture is its spectrogram, for people; no task is given it.
"""

from __future__ import annotations

import hashlib
from abc import abstractmethod
from collections.abc import Callable, Iterator, Sequence
from io import BytesIO

import av
import numpy as np

from hotstart.data.decode import decode, measure
from hotstart.data.files import whole_file
from hotstart.data.headers import Unreadable
from hotstart.data.index import SOUND_SUFFIXES, Index, walk
from hotstart.data.quarantine import Quarantined
from hotstart.data.sample import SOUND_HZ
from hotstart.data.source import Files, content_hash
from hotstart.data.video import Ear
from hotstart.data.videos import Array, Frame, Measured, Samples, Sound, VideoSource

SILENT_SECONDS = 1.0
"""Length of a picture without sound."""
WHOLE = 0.99
"""Share of the samples that a file says it has which there must be."""
SIDE_PX = 96
WINDOW = 512
LOUDEST_DB, SOFTEST_DB = 40.0, -20.0


def decode_sound(data: bytes) -> Samples:
    """All samples of a sound file, int16 (n,). Raises `Unreadable`, also where the end is gone."""
    kind = _format(data)
    try:
        with av.open(BytesIO(data), "r", format=kind) as container:
            ear = Ear(container)
            if not ear.streams:
                raise Unreadable("no sound in it")
            told = float(ear.streams[0].duration or 0) * float(ear.streams[0].time_base or 0)
            heard = [part for packet in container.demux(ear.streams) for part in ear.hear(packet)]
            heard += ear.hear(None)
    except (av.error.FFmpegError, ValueError) as error:
        raise Unreadable(f"damaged: {str(error).splitlines()[0][:120]}") from None
    samples = np.concatenate([part.samples for part in heard] or [np.empty(0, np.int16)])
    if ear.problem or not len(samples):
        raise Unreadable(
            "damaged: its sound cannot be decoded" if ear.problem else "no sound in it"
        )
    # The others tell the length of what is there.
    if kind == "flac" and len(samples) < WHOLE * told * SOUND_HZ:
        raise Unreadable("truncated: the end of the sound is missing")
    return samples


def _format(data: bytes) -> str:
    """FFmpeg's name of the format; it is not left to guess, as it would open a playlist."""
    if not data:
        raise Unreadable("empty: the file has 0 bytes")
    if data[:4] == b"RIFF" and data[8:12] == b"WAVE":
        if 8 + int.from_bytes(data[4:8], "little") > len(data) + 1:
            raise Unreadable("truncated: the end of the sound is missing")
        return "wav"
    for start, kind in ((b"fLaC", "flac"), (b"OggS", "ogg")):
        if data.startswith(start):
            return kind
    raise Unreadable("not a sound: its first bytes are those of no WAV, FLAC or Ogg")


class Beside:
    """The sound files below a folder, by the path that they share with what they belong to."""

    def __init__(self, index: Index) -> None:
        sounds = walk(index.root, SOUND_SUFFIXES)
        self.fingerprint = sounds.fingerprint
        self._files = {
            sounds.relative(i).rpartition(b".")[0]: sounds.file(i) for i in range(len(sounds))
        }

    def file(self, relative: bytes) -> bytes | None:
        """Path of the sound of `relative`: `a/b.wav` of picture `a/b.jpg`, or of folder `a/b`."""
        found = self._files.get(relative)
        return self._files.get(relative.rpartition(b".")[0]) if found is None else found


class _Unmoved(VideoSource):
    """Items of one picture and one sound each; `files` are the pictures, else the sounds."""

    def __init__(self, files: Files, origin: str) -> None:
        self.files = files
        self.origin = origin
        self.fingerprint = files.fingerprint

    def __len__(self) -> int:
        return len(self.files)

    def path(self, i: int) -> str:
        return self.files.path(i)

    @abstractmethod
    def _picture(self, i: int, short_side: int) -> Array: ...

    def read(self, i: int, short_side: int) -> Iterator[Frame | Sound | Quarantined]:
        samples = np.empty(0, np.int16)
        try:
            samples = self.sound(i)
        except Unreadable as reason:
            if not self.pictured:
                raise
            yield Quarantined(self.path(i), f"used without its sound: {reason}")
        half = (len(samples) / SOUND_HZ or SILENT_SECONDS) / 2
        picture = self._picture(i, short_side)
        yield Frame(0.0, 0, picture)
        yield Frame(half, 1, picture)
        if len(samples):
            yield Sound(0.0, samples)

    def frames(self, i: int, short_side: int, stamps: Sequence[int]) -> list[Array]:
        return [self._picture(i, short_side)] * len(stamps)


class SoundFiles(_Unmoved):
    """Sound files, which have no pictures."""

    pictured = False

    def content(self, i: int) -> int:
        return content_hash(self.files.read(i))

    def sound(self, i: int) -> Samples:
        return decode_sound(self.files.read(i))

    def measure(self, i: int) -> Measured:
        return Measured(SIDE_PX, SIDE_PX, 2, len(self.sound(i)) / SOUND_HZ)

    def _picture(self, i: int, short_side: int) -> Array:
        return spectrogram(self.sound(i))


class SoundedPictures(_Unmoved):
    """Picture files, some with a sound.

    heard(i): the sound file of picture i, None where it has none; state: of these, see
    `fingerprint`
    """

    def __init__(
        self, files: Files, heard: Callable[[int], bytes | None], state: str, origin: str
    ) -> None:
        super().__init__(files, origin)
        self._heard = heard
        both = f"{files.fingerprint}|{state}"
        self.fingerprint = hashlib.blake2b(both.encode(), digest_size=16).hexdigest()

    def content(self, i: int) -> int:
        return content_hash(self.files.read(i) + (self._heard(i) or b""))

    def sound(self, i: int) -> Samples:
        data = self._heard(i)
        return np.empty(0, np.int16) if data is None else decode_sound(data)

    def measure(self, i: int) -> Measured:
        return Measured(*measure(self.files.read(i)), 2, SILENT_SECONDS)

    def _picture(self, i: int, short_side: int) -> Array:
        return decode(self.files.read(i), short_side)


def sounded(index: Index, beside: Beside, origin: str) -> SoundedPictures:
    """Picture files of an index, some with a sound of the same name beside them."""

    def heard(i: int) -> bytes | None:
        file = beside.file(index.relative(i))
        return None if file is None else whole_file(file)

    return SoundedPictures(index, heard, beside.fingerprint, origin)


def spectrogram(samples: Samples) -> Array:
    """Sound as a grey picture, uint8 (96, 96, 3): time to the right, high notes up to 8 kHz."""
    padded = np.pad(samples, (0, max(WINDOW - len(samples), 0))) / 2**15
    starts = np.linspace(0, len(padded) - WINDOW, SIDE_PX).astype(int)
    pieces = padded[starts[:, None] + np.arange(WINDOW)] * np.hanning(WINDOW)
    power = np.abs(np.fft.rfft(pieces))[:, 1:].reshape(SIDE_PX, -1)
    rows = np.linspace(power.shape[1] - 1, 0, SIDE_PX).astype(int)
    level = 20 * np.log10(power[:, rows].T + 1e-6)
    shade = np.clip((level - SOFTEST_DB) / (LOUDEST_DB - SOFTEST_DB), 0, 1)
    return np.repeat((255 * shade).astype(np.uint8)[..., None], 3, axis=2)

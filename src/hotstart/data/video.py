"""Video files, decoded by PyAV (FFmpeg).

- Times are those that the file gives its frames, so that variable frame rates come out right; a
  frame without a time, or one that is not after the one before, follows it at the mean rate.
- Phone videos are turned upright; transparent pixels of a GIF are laid over white, as a page
  would show them; a change of size in mid-stream is scaled back.
- Sound becomes 16-bit PCM, one channel, 16 kHz. Sound that cannot be decoded leaves the video as
  one without sound. Any other damage makes it unreadable: FFmpeg would guess the missing part.
"""

from __future__ import annotations

import contextlib
import hashlib
import os
from collections.abc import Iterator, Sequence
from typing import Any, BinaryIO

import av
import cv2
import numpy as np
from av.container import InputContainer
from av.video.frame import VideoFrame
from av.video.stream import VideoStream

from hotstart.data.containers import container_format
from hotstart.data.decode import over_white
from hotstart.data.headers import Unreadable, check_size
from hotstart.data.index import Index
from hotstart.data.pose_files import Floats
from hotstart.data.poses import beside_video
from hotstart.data.quarantine import Quarantined
from hotstart.data.sample import SOUND_HZ
from hotstart.data.shrink import shrink
from hotstart.data.source import Files
from hotstart.data.videos import Array, Frame, Measured, Samples, Sound, VideoSource

READ_BYTES = 2**18
PLAIN_HZ = 25.0
"""Frame rate of a file that names none."""


class VideoFiles(VideoSource):
    """Video files."""

    def __init__(self, files: Files, origin: str) -> None:
        self.files = files
        self.origin = origin
        self.fingerprint = files.fingerprint

    def __len__(self) -> int:
        return len(self.files)

    def path(self, i: int) -> str:
        return self.files.path(i)

    def content(self, i: int) -> int:
        digest = hashlib.blake2b(digest_size=8)
        with self.files.open(i) as file:
            while part := file.read(READ_BYTES):
                digest.update(part)
        return int.from_bytes(digest.digest(), "little")

    def measure(self, i: int) -> Measured:
        with _opened(self.files.open(i)) as (container, stream):
            seconds = container.duration / av.time_base if container.duration else 0.0
            frames = stream.frames or round(seconds * _rate(stream))
            sound = seconds if container.streams.audio else 0.0
            return Measured(stream.width, stream.height, frames, sound)

    def read(self, i: int, short_side: int) -> Iterator[Frame | Sound | Quarantined]:
        with _opened(self.files.open(i)) as (container, stream):
            ear = Ear(container)
            times = _Times(stream)
            scale = _Scale(short_side)
            for packet in _packets(container, *ear.streams, stream):
                # The packets that end a stream have no `stream_index` of their own.
                if packet.stream.index == stream.index:
                    for frame in _decoded(stream, packet):
                        seconds, stamp = times.of(frame)
                        yield Frame(seconds, stamp, scale.of(frame))
                else:
                    yield from ear.hear(packet)
            yield from ear.hear(None)
            if ear.problem:
                yield Quarantined(self.path(i), ear.problem)

    def frames(self, i: int, short_side: int, stamps: Sequence[int]) -> list[Array]:
        wanted = set(stamps)
        # A stamp below zero counts frames from the start (`_Times`).
        found = {} if min(wanted) < 0 else self._search(i, short_side, wanted, seek=True)
        if len(found) < len(wanted):  # a format that cannot seek, or seeks too far
            found = self._search(i, short_side, wanted, seek=False)
        if len(found) < len(wanted):
            raise Unreadable("damaged: some of its frames are gone")
        return [found[stamp] for stamp in stamps]

    def sound(self, i: int) -> Samples:
        with _opened(self.files.open(i)) as (container, _):
            ear = Ear(container)
            packets = _packets(container, *ear.streams) if ear.streams else ()
            heard = [sound for packet in packets for sound in ear.hear(packet)]
            heard += ear.hear(None)
        return np.concatenate([sound.samples for sound in heard] or [np.empty(0, np.int16)])

    def poses(self, i: int, seconds: Floats, stamps: Sequence[int]) -> Floats | None:
        # Beside what lies in a tar there is nothing.
        return beside_video(self.files.file(i), seconds) if isinstance(self.files, Index) else None

    def _search(self, i: int, short_side: int, wanted: set[int], seek: bool) -> dict[int, Array]:
        found: dict[int, Array] = {}
        with _opened(self.files.open(i)) as (container, stream):
            scale = _Scale(short_side)
            times = _Times(stream)
            if seek:
                try:
                    container.seek(min(wanted), stream=stream, backward=True)
                except av.error.FFmpegError:
                    return {}
            last = max(wanted)
            for packet in _packets(container, stream):
                for frame in _decoded(stream, packet):
                    stamp = frame.pts if seek else times.of(frame)[1]
                    if stamp in wanted and stamp not in found:
                        found[stamp] = scale.of(frame)
                    if len(found) == len(wanted):
                        return found
                    if seek and stamp is not None and stamp > last:
                        return found
        return found


class _Times:
    """Seconds and stamp of each frame, in order.

    A stamp is the frame's presentation time in the stream's own unit; where that is missing or
    of no use, -1 - its number among the frames.
    """

    def __init__(self, stream: VideoStream) -> None:
        self.unit = float(stream.time_base or 0)
        self.interval = 1 / _rate(stream)
        self.count = 0
        self.before: float | None = None

    def of(self, frame: VideoFrame) -> tuple[float, int]:
        stamp = frame.pts
        seconds = None if stamp is None else stamp * self.unit
        if seconds is None or (self.before is not None and seconds <= self.before):
            seconds = 0.0 if self.before is None else self.before + self.interval
            stamp = None
        number, self.before = self.count, seconds
        self.count += 1
        return seconds, -1 - number if stamp is None or stamp < 0 else stamp


class _Scale:
    """Frames as RGB, reduced, all of the size of the first."""

    def __init__(self, short_side: int) -> None:
        self.short_side = short_side
        self.target: tuple[int, int] | None = None

    def of(self, frame: VideoFrame) -> Array:
        pixels = shrink(_rgb(frame), self.short_side)
        height, width = pixels.shape[:2]
        if self.target is None:
            self.target = (width, height)
        if (width, height) != self.target:
            pixels = cv2.resize(pixels, self.target, interpolation=cv2.INTER_AREA)  # type: ignore[assignment]
        return np.ascontiguousarray(pixels)


class Ear:
    """The first sound of a container, resampled."""

    def __init__(self, container: InputContainer) -> None:
        self.streams = container.streams.audio[:1]
        self.problem = ""
        self.resampler = av.AudioResampler("s16", "mono", SOUND_HZ)

    def hear(self, packet: av.Packet[Any] | None) -> list[Sound]:
        """What a packet adds; None ends it. After damage nothing more is heard."""
        if not self.streams or self.problem:
            return []
        try:
            decoded = [None] if packet is None else self.streams[0].decode(packet)
            return [
                Sound(float(part.time or 0), part.to_ndarray().reshape(-1).astype(np.int16))
                for frame in decoded
                for part in self.resampler.resample(frame)
            ]
        except (av.error.FFmpegError, ValueError) as error:
            self.problem = f"used without its sound, which is damaged: {_said(error)}"
            return []


def _rate(stream: VideoStream) -> float:
    return float(stream.average_rate or stream.guessed_rate or PLAIN_HZ)


def _rgb(frame: VideoFrame) -> Array:
    if any(component.is_alpha for component in frame.format.components):
        layers = frame.to_ndarray(format="rgba").astype(np.float32)
        pixels = over_white(layers[..., :3], layers[..., 3:])
    else:
        pixels = frame.to_ndarray(format="rgb24").astype(np.uint8, copy=False)
    # FFmpeg's rotation is counterclockwise, as NumPy's.
    return np.rot90(pixels, round(frame.rotation / 90))


@contextlib.contextmanager
def _opened(file: BinaryIO) -> Iterator[tuple[InputContainer, VideoStream]]:
    """A file that is known to be a whole video, and the stream of its pictures."""
    with file:
        size = file.seek(0, os.SEEK_END)
        file.seek(0)
        kind = container_format(file, size)
        file.seek(0)
        try:
            container = av.open(
                file, "r", format=kind, buffer_size=READ_BYTES, metadata_errors="replace"
            )
        except (av.error.FFmpegError, ValueError) as error:
            raise Unreadable(f"damaged: {_said(error)}") from None
        with container:
            # A cover picture is no video.
            streams = [
                stream
                for stream in container.streams.video
                if not stream.disposition & av.stream.Disposition.attached_pic
            ]
            if not streams:
                raise Unreadable("no video stream: there are no pictures in it")
            stream = streams[0]
            check_size(stream.width, stream.height)
            stream.thread_count = 1  # videos are decoded side by side
            yield container, stream


def _packets(container: InputContainer, *streams: Any) -> Iterator[av.Packet[Any]]:
    try:
        yield from container.demux(*streams)
    except av.error.FFmpegError as error:
        raise Unreadable(f"damaged: {_said(error)}") from None


def _decoded(stream: VideoStream, packet: av.Packet[Any]) -> list[VideoFrame]:
    try:
        return stream.decode(packet)
    except av.error.FFmpegError as error:
        raise Unreadable(f"damaged: {_said(error)}") from None


def _said(error: Exception) -> str:
    text = getattr(error, "strerror", None) or str(error) or type(error).__name__
    return str(text).splitlines()[0][:120]

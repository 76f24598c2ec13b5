"""What a video file says of itself: its format, by its first bytes, and whether it is whole.

Read before FFmpeg sees the file. FFmpeg would take a text file for a playlist and open what it
names, and would show the first half of a file cut short without a word.
"""

from __future__ import annotations

from typing import BinaryIO

from hotstart.data.headers import Unreadable

HEAD_BYTES = 192
_BOXES = (b"ftyp", b"moov", b"mdat", b"free", b"skip", b"wide", b"pnot")
_STARTS = (
    (b"\x1aE\xdf\xa3", "matroska"),
    (b"GIF87a", "gif"),
    (b"GIF89a", "gif"),
    (b"\0\0\x01\xba", "mpeg"),
    (b"\0\0\x01\xb3", "mpegvideo"),
    (b"0&\xb2u\x8ef\xcf\x11", "asf"),
    (b"FLV\x01", "flv"),
    (b"OggS", "ogg"),
)
_SEGMENT = 0x18538067
_CUT = "truncated: the end of the video is missing"


def container_format(file: BinaryIO, size: int) -> str:
    """FFmpeg's name of the format of an open file of `size` bytes, which is then known as whole.

    Whole are formats that say how long they are (MP4 and MOV, Matroska and WebM, AVI, GIF); of
    the others nobody can tell. Raises `Unreadable`.
    """
    if not size:
        raise Unreadable("empty: the file has 0 bytes")
    head = file.read(HEAD_BYTES)
    if head[4:8] in _BOXES:
        _check_boxes(file, size)
        return "mov"
    if head[:4] == b"RIFF" and head[8:12] == b"AVI ":
        _check_riff(file, size)
        return "avi"
    if head[:1] == b"G" and head[188:189] == b"G":
        return "mpegts"
    kind = next((kind for start, kind in _STARTS if head.startswith(start)), None)
    if kind is None:
        raise Unreadable("not a video: its first bytes are those of no known format")
    if kind == "matroska":
        _check_segment(head, size)
    elif kind == "gif":
        file.seek(max(0, size - HEAD_BYTES))
        if file.read().rstrip(b"\0")[-1:] != b";":
            raise Unreadable("truncated: the end of the GIF is missing")
    return kind


def _check_boxes(file: BinaryIO, size: int) -> None:
    """Walk the outermost boxes of an MP4 or MOV (ISO/IEC 14496-12, 4.2)."""
    position, described = 0, False
    while position + 8 <= size:
        file.seek(position)
        head = file.read(16)
        length, kind = int.from_bytes(head[:4]), head[4:8]
        if length == 1:
            length = int.from_bytes(head[8:16])
        elif length == 0:  # to the end of the file
            length = size - position
        described = described or kind == b"moov"
        if length < 8:
            break  # what a writer left behind its last box
        position += length
        if position > size and kind in (b"moov", b"mdat", b"moof"):
            raise Unreadable(_CUT)
    if not described:
        raise Unreadable("truncated: the table of its frames (moov) is missing")


def _check_riff(file: BinaryIO, size: int) -> None:
    """Walk the RIFF chunks of an AVI; one longer than 1 GB has several."""
    position = 0
    while position + 12 <= size:
        file.seek(position)
        head = file.read(8)
        length = int.from_bytes(head[4:8], "little")
        if head[:4] != b"RIFF" or not length:
            return
        position += 8 + length + length % 2
        if position > size + 1:
            raise Unreadable(_CUT)


def _check_segment(head: bytes, size: int) -> None:
    """Compare the length of a Matroska file's one segment with the file (RFC 8794, 9559)."""
    try:
        position = 4
        length, width, _ = _number(head, position)
        position += width + length
        identity = int.from_bytes(head[position : position + 4])
        length, width, unknown = _number(head, position + 4)
    except IndexError:
        return
    if identity == _SEGMENT and not unknown and position + 4 + width + length > size:
        raise Unreadable(_CUT)


def _number(data: bytes, position: int) -> tuple[int, int, bool]:
    """An EBML number: value, bytes, and whether it stands for "unknown" (all ones)."""
    first = data[position]
    width = 9 - first.bit_length()
    value = int.from_bytes(data[position : position + width]) & ((1 << 7 * width) - 1)
    return value, width, value == (1 << 7 * width) - 1

"""What a picture file says of itself in its first bytes: format, size, orientation, wholeness.

Read before any decoder sees the file, so that a lying header allocates nothing and a file cut
short is known as such: libjpeg would fill the missing part with grey and carry on.
"""

from __future__ import annotations

import struct
import zlib
from dataclasses import dataclass
from typing import NamedTuple

MAX_PIXELS = 2**27
"""More pixels than this (134 million) are taken for a decompression bomb."""

PNG_SIGNATURE = b"\x89PNG\r\n\x1a\n"
_FRAMES = frozenset(range(0xC0, 0xD0)) - {0xC4, 0xC8, 0xCC}
_STANDALONE = frozenset(range(0xD0, 0xD9)) | {0x01}
_segment = struct.Struct(">BBH").unpack_from
_PNG_KEPT = (b"IHDR", b"PLTE", b"tRNS", b"IDAT", b"IEND")


class Unreadable(Exception):  # noqa: N818 - a finding, not an error
    """Why a file cannot be used as a picture, in a few words."""


class Jpeg(NamedTuple):
    """Size in pixels; `common` is 8-bit grey or colour, baseline or progressive."""

    width: int
    height: int
    common: bool
    orientation: int


@dataclass(frozen=True)
class Png:
    """Size in pixels, bits a sample, colour type as in the standard, and the bare file.

    `bare` holds the chunks that make the first picture: no colour profile to complain about.
    """

    width: int
    height: int
    bits: int
    colour_type: int
    transparency: bool
    orientation: int
    bare: bytes


def check_size(width: int, height: int) -> None:
    """Refuse a picture without pixels and one that would not fit in memory."""
    if width < 1 or height < 1:
        raise Unreadable(f"has no pixels: {width} x {height}")
    if width * height > MAX_PIXELS:
        raise Unreadable(f"too large: {width} x {height} pixels, at most {MAX_PIXELS} are read")


def read_jpeg(data: bytes) -> Jpeg:
    """Walk the segments up to the first scan, then look for the end of the picture."""
    position, end, orientation = 2, len(data), 1
    frame: tuple[int, int, int, int, int] | None = None
    while True:
        if position + 4 > end:
            raise Unreadable("truncated: ends within the header")
        begins, marker, length = _segment(data, position)
        if begins != 0xFF:
            raise Unreadable("damaged: no JPEG segment where one must be")
        if marker == 0xDA:
            break
        if marker == 0xFF:
            position += 1
            continue
        if marker in _STANDALONE:
            position += 2
            continue
        if marker == 0xD9:
            raise Unreadable("damaged: a JPEG without a picture")
        if marker in _FRAMES and position + 10 <= end:
            bits, height, width, channels = struct.unpack_from(">BHHB", data, position + 4)
            frame = (marker, bits, height, width, channels)
            check_size(width, height)
        elif marker == 0xE1 and data[position + 4 : position + 10] == b"Exif\0\0":
            orientation = read_orientation(data[position + 10 : position + 2 + length])
        position += 2 + length
    if frame is None:
        raise Unreadable("damaged: a JPEG without a frame header")
    if data.rfind(b"\xff\xd9") < position:  # from the end, where it is when all is well
        raise Unreadable("truncated: the end of the JPEG is missing")
    marker, bits, height, width, channels = frame
    common = marker in (0xC0, 0xC1, 0xC2) and bits == 8 and channels in (1, 3)
    return Jpeg(width, height, common, orientation)


def read_png(data: bytes) -> Png:
    """Walk all chunks and check their sums."""
    position, end = len(PNG_SIGNATURE), len(data)
    kept = [PNG_SIGNATURE]
    header: tuple[int, int, int, int] | None = None
    transparency, orientation = False, 1
    view = memoryview(data)
    while True:
        if position + 12 > end:
            raise Unreadable("truncated: the end of the PNG is missing")
        length = int.from_bytes(data[position : position + 4])
        kind = data[position + 4 : position + 8]
        after = position + 12 + length
        if after > end:
            raise Unreadable("truncated: the end of the PNG is missing")
        if header is None:
            if kind != b"IHDR" or length != 13:
                raise Unreadable("damaged: a PNG without a header")
            header = struct.unpack_from(">IIBB", data, position + 8)
            check_size(header[0], header[1])
        if kind in _PNG_KEPT:
            body = view[position + 4 : after - 4]
            if zlib.crc32(body) != int.from_bytes(data[after - 4 : after]):
                raise Unreadable("damaged: a PNG checksum is wrong")
            kept.append(data[position:after])
            transparency = transparency or kind == b"tRNS"
        elif kind == b"eXIf":
            orientation = read_orientation(data[position + 8 : after - 4])
        position = after
        if kind == b"IEND":
            return Png(*header, transparency, orientation, b"".join(kept))


def read_webp_size(data: bytes) -> tuple[int, int]:
    """Width and height of the canvas, after a check that the file is whole."""
    if len(data) < 30:
        raise Unreadable("truncated: ends within the header")
    if int.from_bytes(data[4:8], "little") + 8 > len(data):
        raise Unreadable("truncated: the end of the WebP is missing")
    kind = data[12:16]
    if kind == b"VP8X":
        width = int.from_bytes(data[24:27], "little") + 1
        height = int.from_bytes(data[27:30], "little") + 1
    elif kind == b"VP8L":
        bits = int.from_bytes(data[21:25], "little")
        width, height = (bits & 0x3FFF) + 1, (bits >> 14 & 0x3FFF) + 1
    else:
        width = int.from_bytes(data[26:28], "little") & 0x3FFF
        height = int.from_bytes(data[28:30], "little") & 0x3FFF
    check_size(width, height)
    return width, height


def read_orientation(exif: bytes) -> int:
    """Orientation 1..8 of a TIFF-shaped EXIF block; 1 where there is none or it is damaged."""
    exif = exif.removeprefix(b"Exif\0\0")
    order = {b"II*\0": "<", b"MM\0*": ">"}.get(exif[:4])
    if order is None:
        return 1
    try:
        (start,) = struct.unpack_from(order + "I", exif, 4)
        (count,) = struct.unpack_from(order + "H", exif, start)
        for entry in range(count):
            tag, _kind, _count, value = struct.unpack_from(
                order + "HHIH", exif, start + 2 + 12 * entry
            )
            if tag == 0x0112:
                return value if 1 <= value <= 8 else 1
    except struct.error:
        pass
    return 1

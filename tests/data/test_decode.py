"""Every format against the colour it must show, and every kind of damage against its reason."""

from __future__ import annotations

import contextlib
import io
import struct
import tracemalloc
import zlib
from collections.abc import Callable
from typing import Any

import cv2
import numpy as np
import numpy.typing as npt
import pytest
from PIL import Image

from hotstart.data.decode import decode, kept_short_side, measure
from hotstart.data.headers import Unreadable
from hotstart.data.shrink import shrink

Array = npt.NDArray[np.uint8]
COLOUR = (200, 40, 90)


def encoded(image: Image.Image, kind: str, **options: Any) -> bytes:
    stream = io.BytesIO()
    image.save(stream, kind, **options)
    return stream.getvalue()


def plain(mode: str = "RGB", colour: Any = COLOUR, size: tuple[int, int] = (24, 16)) -> Image.Image:
    return Image.new(mode, size, colour)


def opencv(ending: str, array: npt.NDArray[Any]) -> bytes:
    return cv2.imencode(ending, array)[1].tobytes()


def palette() -> Image.Image:
    return plain().quantize(8)


def animation(kind: str) -> bytes:
    frames = [plain(colour=colour) for colour in (COLOUR, (0, 0, 255), (0, 255, 0))]
    return encoded(frames[0], kind, save_all=True, append_images=frames[1:], duration=50)


def png_with(chunk: bytes, body: bytes) -> bytes:
    data = encoded(plain(), "PNG")
    added = struct.pack(">I", len(body)) + chunk + body
    added += struct.pack(">I", zlib.crc32(chunk + body))
    return data[:33] + added + data[33:]


def adobe_cmyk() -> bytes:
    """A CMYK JPEG as Adobe writes it: Pillow adds the marker and inverts."""
    return encoded(plain("CMYK", (0, 204, 140, 55)), "JPEG", quality=95)


DEEP = np.array([90, 40, 200], np.uint16) * 257  # BGR
GOOD: dict[str, tuple[Callable[[], bytes], tuple[int, int, int], int]] = {
    "jpeg": (lambda: encoded(plain(), "JPEG", quality=95), COLOUR, 3),
    "jpeg progressive": (lambda: encoded(plain(), "JPEG", progressive=True), COLOUR, 3),
    "jpeg grey": (lambda: encoded(plain("L", 77), "JPEG"), (77, 77, 77), 1),
    "jpeg cmyk adobe": (adobe_cmyk, (200, 40, 90), 4),
    "jpeg with bytes after its end": (
        lambda: encoded(plain(), "JPEG", quality=95) + bytes(100),
        COLOUR,
        3,
    ),
    "png": (lambda: encoded(plain(), "PNG"), COLOUR, 0),
    "png grey": (lambda: encoded(plain("L", 77), "PNG"), (77, 77, 77), 0),
    "png 1 bit": (lambda: encoded(plain("1", 1), "PNG"), (255, 255, 255), 0),
    "png palette": (lambda: encoded(palette(), "PNG"), COLOUR, 0),
    "png palette with transparency": (
        lambda: encoded(plain("RGBA", (*COLOUR, 0)).quantize(8), "PNG"),
        (255, 255, 255),
        0,
    ),
    "png colour key": (
        lambda: encoded(plain(), "PNG", transparency=COLOUR),
        (255, 255, 255),
        0,
    ),
    "png alpha": (lambda: encoded(plain("RGBA", (*COLOUR, 255)), "PNG"), COLOUR, 0),
    "png half alpha": (
        lambda: encoded(plain("RGBA", (*COLOUR, 128)), "PNG"),
        (227, 147, 172),
        1,
    ),
    "png grey alpha": (lambda: encoded(plain("LA", (77, 0)), "PNG"), (255, 255, 255), 0),
    "png 16-bit grey": (
        lambda: opencv(".png", np.full((16, 24), 77 * 257, np.uint16)),
        (77, 77, 77),
        0,
    ),
    "png 16-bit": (lambda: opencv(".png", np.tile(DEEP, (16, 24, 1))), COLOUR, 0),
    "png 16-bit alpha": (
        lambda: opencv(".png", np.tile(np.append(DEEP, 0).astype(np.uint16), (16, 24, 1))),
        (255, 255, 255),
        0,
    ),
    "png with a broken colour profile": (lambda: png_with(b"iCCP", b"x\0\0junk"), COLOUR, 0),
    "png animated": (lambda: animation("PNG"), COLOUR, 0),
    "webp": (lambda: encoded(plain(), "WEBP", quality=95), COLOUR, 4),
    "webp lossless alpha": (
        lambda: encoded(plain("RGBA", (*COLOUR, 0)), "WEBP", lossless=True, exact=True),
        (255, 255, 255),
        0,
    ),
    "webp animated": (lambda: animation("WEBP"), COLOUR, 6),
    "bmp": (lambda: encoded(plain(), "BMP"), COLOUR, 0),
    "tiff": (lambda: encoded(plain(), "TIFF"), COLOUR, 0),
    "tiff lzw": (lambda: encoded(plain(), "TIFF", compression="tiff_lzw"), COLOUR, 0),
    "tiff cmyk": (lambda: encoded(plain("CMYK", (0, 204, 140, 55)), "TIFF"), COLOUR, 3),
    "tiff 16-bit grey": (
        lambda: opencv(".tif", np.full((16, 24), 77 * 257, np.uint16)),
        (77, 77, 77),
        0,
    ),
    "tiff 16-bit": (lambda: opencv(".tif", np.tile(DEEP, (16, 24, 1))), COLOUR, 1),
    "tiff float": (lambda: encoded(plain("F", 0.5), "TIFF"), (128, 128, 128), 0),
    "gif": (lambda: encoded(palette(), "GIF"), COLOUR, 0),
    "gif animated": (lambda: animation("GIF"), COLOUR, 0),
    "ppm": (lambda: encoded(plain(), "PPM"), COLOUR, 0),
}


@pytest.mark.parametrize("name", GOOD)
def test_format_shows_its_colour(name: str, capfd: pytest.CaptureFixture[str]) -> None:
    make, colour, tolerance = GOOD[name]
    data = make()
    found = decode(data, 32)
    assert found.shape == (16, 24, 3)
    assert found.dtype == np.uint8
    assert found.flags.c_contiguous
    assert np.abs(found.astype(int) - colour).max() <= tolerance
    assert measure(data) == (24, 16)
    assert capfd.readouterr().err == ""


@pytest.mark.parametrize("kind", ["JPEG", "PNG", "WEBP", "TIFF"])
@pytest.mark.parametrize("orientation", range(1, 9))
def test_camera_orientation_is_applied(kind: str, orientation: int) -> None:
    """The reference is Pillow's own: a picture with four corners, turned by the tag."""
    from PIL import ImageOps

    pixels = np.zeros((16, 24, 3), np.uint8)
    pixels[:8, :12] = (255, 0, 0)
    pixels[8:, :12] = (0, 255, 0)
    pixels[:8, 12:] = (0, 0, 255)
    exif = Image.Exif()
    exif[0x0112] = orientation
    options = {"lossless": True} if kind == "WEBP" else {}
    data = encoded(Image.fromarray(pixels), kind, exif=exif, **options)
    upright = ImageOps.exif_transpose(Image.open(io.BytesIO(data))).convert("RGB")
    expected = np.asarray(upright).astype(int)
    found = decode(data, 64)
    assert found.shape == expected.shape
    assert np.abs(found.astype(int) - expected).max() <= 3


def huge_header(kind: str) -> bytes:
    """A small file that says it is 60,000 pixels wide and high (WebP: 16,384)."""
    if kind == "png":
        body = b"IHDR" + struct.pack(">IIBBBBB", 60000, 60000, 8, 2, 0, 0, 0)
        data = encoded(plain(), "PNG")
        return data[:12] + body + struct.pack(">I", zlib.crc32(body)) + data[33:]
    image = plain("RGBA", (*COLOUR, 9)) if kind == "webp" else plain()
    broken = bytearray(encoded(image, kind.upper()))
    if kind == "jpeg":
        at = broken.index(b"\xff\xc0") + 5
        side = struct.pack(">HH", 60000, 60000)
    elif kind == "gif":
        at, side = 6, struct.pack("<HH", 60000, 60000)
    elif kind == "bmp":
        at, side = 18, struct.pack("<ii", 60000, 60000)
    else:
        at, side = broken.index(b"VP8X") + 12, b"\xff\x3f\x00\xff\x3f\x00"
    broken[at : at + len(side)] = side
    return bytes(broken)


@pytest.mark.parametrize("kind", ["png", "jpeg", "gif", "bmp", "webp"])
def test_huge_header_is_refused_without_memory(kind: str) -> None:
    data = huge_header(kind)
    tracemalloc.start()
    with pytest.raises(Unreadable, match=r"too large: \d+ x \d+ pixels"):
        decode(data, 32)
    assert tracemalloc.get_traced_memory()[1] < 2**20
    tracemalloc.stop()


@pytest.mark.parametrize("kind", ["JPEG", "PNG", "WEBP", "BMP", "TIFF", "GIF"])
@pytest.mark.parametrize("share", [0.02, 0.3, 0.6, 0.97])
def test_cut_short_is_unreadable(
    kind: str, share: float, capfd: pytest.CaptureFixture[str]
) -> None:
    noise = np.random.default_rng(0).integers(0, 256, (40, 40, 3), dtype=np.uint8)
    data = encoded(Image.fromarray(noise), kind)
    with pytest.raises(Unreadable, match=r"truncated|damaged|not a picture"):
        decode(data[: int(len(data) * share)], 32)
    assert capfd.readouterr().err == ""


@pytest.mark.parametrize(
    ("data", "reason"),
    [
        (b"", "empty: the file has 0 bytes"),
        (b"dear diary, " * 9, "not a picture"),
        (b"\xff\xd8\xff\xd9", "truncated|damaged"),
        (b"\xff\xd8" + bytes(200), "damaged"),
        (b"\x89PNG\r\n\x1a\n" + bytes(60), "damaged"),
        (b"GIF89a" + bytes(10) + b";", "damaged"),
        (b"RIFF\x10\0\0\0WEBPVP8 ", "truncated"),
        (b"BM;", "damaged|truncated"),
    ],
)
def test_what_is_no_picture_says_why(data: bytes, reason: str) -> None:
    with pytest.raises(Unreadable, match=reason):
        decode(data, 32)


def test_flipped_byte_in_a_png_is_found() -> None:
    data = bytearray(encoded(plain(), "PNG"))
    data[-20] ^= 0xFF
    with pytest.raises(Unreadable, match="checksum"):
        decode(bytes(data))


def test_random_bytes_never_escape_as_another_error() -> None:
    rng = np.random.default_rng(0)
    for make, _, _ in GOOD.values():
        data = bytearray(make())
        for _ in range(10):
            broken = bytearray(data)
            for at in rng.integers(2, len(data), 6):
                broken[at] = rng.integers(256)
            with contextlib.suppress(Unreadable):
                assert decode(bytes(broken), 32).shape[2] == 3


def test_large_pictures_are_reduced_and_small_ones_left() -> None:
    """Scaled decoding agrees with averaging the whole picture, to within JPEG's own rounding."""
    side = kept_short_side(64)
    assert side == 96
    rows, columns = np.mgrid[0:800, 0:1000]
    smooth = np.stack([rows * 255 // 800, columns * 255 // 1000, 0 * rows + 60], -1)
    image = Image.fromarray(smooth.astype(np.uint8))
    reduced = decode(encoded(image, "JPEG", quality=95), side)
    assert reduced.shape == (96, 120, 3)
    expected = shrink(smooth.astype(np.uint8), side)
    assert np.abs(reduced.astype(int) - expected).max() <= 4
    assert decode(encoded(plain(size=(30, 20)), "PNG"), side).shape == (20, 30, 3)


@pytest.mark.parametrize(
    ("shape", "expected"),
    [((10, 4000), (10, 40)), ((4000, 100), (192, 48)), ((1, 1), (1, 1)), ((100, 400), (48, 192))],
)
def test_long_pictures_keep_their_middle(shape: tuple[int, int], expected: tuple[int, int]) -> None:
    assert shrink(np.zeros((*shape, 3), np.uint8), 48).shape == (*expected, 3)

"""Bytes of a picture file -> uint8 RGB, whatever the format; or the reason why not.

OpenCV decodes where it is right and fast (JPEG in grey or colour, PNG without colour key),
Pillow all else (CMYK, palettes with transparency, WebP, BMP, TIFF, GIF, PPM).

- 16 bits become 8 by division by 257, rounded (65,535 -> 255); TIFF of 32-bit floats is read as
  0..1 if nothing in it is above 1, else as 0..255.
- Transparent pixels are laid over white, as a page would show them.
- EXIF orientation is applied. Of an animation, the first frame is read.
- A picture more than four times as long as it is wide is cut to its middle: random crops stay
  near it, and the cache stays small.
"""

from __future__ import annotations

import io
import math
import threading
import warnings
from collections.abc import Callable
from typing import Any

import cv2
import numpy as np
import numpy.typing as npt
from PIL import (
    BmpImagePlugin,
    GifImagePlugin,
    Image,
    JpegImagePlugin,
    PngImagePlugin,
    PpmImagePlugin,
    TiffImagePlugin,
    WebPImagePlugin,
)

from hotstart.data.headers import (
    PNG_SIGNATURE,
    Unreadable,
    check_size,
    read_jpeg,
    read_orientation,
    read_png,
    read_webp_size,
)
from hotstart.data.shrink import shrink

Array = npt.NDArray[np.uint8]
Floats = npt.NDArray[np.floating[Any]]
CACHE_MARGIN = 1.5
"""Short side kept, as a multiple of the picture size: a random crop has something to choose."""

_TIFF = (b"II*\0", b"MM\0*", b"II+\0", b"MM\0+")
_warning_lock = threading.Lock()


def kept_short_side(size: int) -> int:
    """Longest short side that is kept of a picture that will be seen at `size` px."""
    return math.ceil(CACHE_MARGIN * size)


def decode(data: bytes, short_side: int | None = None) -> Array:
    """Uint8 RGB (H, W, 3), reduced to `short_side` if both sides are longer, never enlarged.

    Raises `Unreadable` with a short reason.
    """
    if not data:
        raise Unreadable("empty: the file has 0 bytes")
    try:
        picture = _decode(data, short_side)
    except Unreadable:
        raise
    except MemoryError:
        raise Unreadable("too large: not enough memory to decode it") from None
    except Exception as error:  # decoders raise a dozen unrelated types on damaged input
        raise Unreadable(f"damaged: {_first_line(error)}") from None
    return picture if short_side is None else shrink(picture, short_side)


def measure(data: bytes) -> tuple[int, int]:
    """Width and height in pixels of the upright picture, from the header alone.

    Raises `Unreadable`.
    """
    try:
        if data[:2] == b"\xff\xd8":
            jpeg = read_jpeg(data)
            return _upright(jpeg.width, jpeg.height, jpeg.orientation)
        if data[:8] == PNG_SIGNATURE:
            png = read_png(data)
            return _upright(png.width, png.height, png.orientation)
        image = _open_with_pillow(data)
        return _upright(*image.size, _orientation(image))
    except Unreadable:
        raise
    except Exception as error:
        raise Unreadable(f"damaged: {_first_line(error)}") from None


def _decode(data: bytes, short_side: int | None) -> Array:
    if data[:2] == b"\xff\xd8":
        jpeg = read_jpeg(data)
        if jpeg.common:
            short = min(jpeg.width, jpeg.height)
            return _turn(_by_opencv(data, _reduction(short, short_side)), jpeg.orientation)
        return _turn(_by_pillow(data), jpeg.orientation)
    if data[:8] == PNG_SIGNATURE:
        png = read_png(data)
        if png.transparency:
            picture = _by_pillow(png.bare)
        elif png.bits == 16 or png.colour_type in (4, 6):
            picture = _deep_or_transparent(png.bare)
        else:
            picture = _by_opencv(png.bare)
        return _turn(picture, png.orientation)
    return _by_pillow(data)


def _reduction(short: int, short_side: int | None) -> int:
    """OpenCV's flag for the strongest scaled decoding that leaves `short_side` pixels."""
    for factor, flag in (
        (8, cv2.IMREAD_REDUCED_GRAYSCALE_8),
        (4, cv2.IMREAD_REDUCED_GRAYSCALE_4),
        (2, cv2.IMREAD_REDUCED_GRAYSCALE_2),
    ):
        if short_side is not None and short >= factor * short_side:
            return flag
    return 0


def _by_opencv(data: bytes, reduction: int = 0) -> Array:
    # The flags of reduction are named after grey, and are the same bits for RGB.
    flags = reduction | cv2.IMREAD_COLOR_RGB | cv2.IMREAD_IGNORE_ORIENTATION
    found = cv2.imdecode(np.frombuffer(data, np.uint8), flags)
    if found is None:
        raise Unreadable("damaged: the decoder gave up")
    return found  # type: ignore[return-value]


def _deep_or_transparent(data: bytes) -> Array:
    found = cv2.imdecode(np.frombuffer(data, np.uint8), cv2.IMREAD_UNCHANGED)
    if found is None:
        raise Unreadable("damaged: the decoder gave up")
    full = 255 if found.dtype == np.uint8 else 65535
    values = found.astype(np.float32).reshape(*found.shape[:2], -1) * (255 / full)
    channels = values.shape[2]
    colour = values[..., 2::-1] if channels > 2 else values[..., :1].repeat(3, axis=2)
    if channels in (2, 4):
        return over_white(colour, values[..., -1:])
    return _rounded(colour)


def over_white(colour: Floats, alpha: Floats) -> Array:
    """Colour and alpha in 0..255 -> what a white page shows."""
    return _rounded(255 + (colour - 255) * (alpha / 255))


def _rounded(values: Floats) -> Array:
    return np.rint(values).clip(0, 255).astype(np.uint8)


def _open_with_pillow(data: bytes) -> Image.Image:
    """The picture, opened but not decoded; by its own reader, which knows no global limit."""
    stream = io.BytesIO(data)
    if data[:4] == b"RIFF" and data[8:12] == b"WEBP":
        read_webp_size(data)
        return WebPImagePlugin.WebPImageFile(stream)
    if data[:4] in _TIFF:
        with _warning_lock, warnings.catch_warnings():
            warnings.simplefilter("ignore")  # Pillow's complaint about a file cut short
            return _checked(TiffImagePlugin.TiffImageFile(stream))
    if data[:2] == b"\xff\xd8":
        return JpegImagePlugin.JpegImageFile(stream)
    if data[:8] == PNG_SIGNATURE:
        return PngImagePlugin.PngImageFile(stream)
    if data[:6] in (b"GIF87a", b"GIF89a"):
        if data.rstrip(b"\0")[-1:] != b";":
            raise Unreadable("truncated: the end of the GIF is missing")
        return _checked(GifImagePlugin.GifImageFile(stream))
    if data[:2] == b"BM":
        return _checked(BmpImagePlugin.BmpImageFile(stream))
    if data[:2] in (b"P1", b"P2", b"P3", b"P4", b"P5", b"P6"):
        return _checked(PpmImagePlugin.PpmImageFile(stream))
    raise Unreadable("not a picture: its first bytes are those of no known format")


def _checked(image: Image.Image) -> Image.Image:
    check_size(*image.size)
    return image


def _by_pillow(data: bytes) -> Array:
    image = _open_with_pillow(data)
    orientation = _orientation(image)
    try:
        image.load()
    except OSError as error:
        kind = "truncated" if "truncated" in str(error) else "damaged"
        raise Unreadable(f"{kind}: {_first_line(error)}") from None
    # A TIFF is turned by Pillow itself when it is loaded, and the tag is taken away.
    if isinstance(image, TiffImagePlugin.TiffImageFile) and 0x0112 not in image.getexif():
        orientation = 1
    return _turn(_to_rgb(image), orientation)


def _orientation(image: Image.Image) -> int:
    """What a TIFF or WebP says of how the camera was held."""
    if isinstance(image, TiffImagePlugin.TiffImageFile):
        return int(image.tag_v2.get(0x0112, 1))
    if isinstance(image, WebPImagePlugin.WebPImageFile):
        return read_orientation(image.info.get("exif", b""))
    return 1


def _upright(width: int, height: int, orientation: int) -> tuple[int, int]:
    return (height, width) if orientation >= 5 else (width, height)


def _to_rgb(image: Image.Image) -> Array:
    if image.mode.startswith("I"):
        return _grey(np.asarray(image).astype(np.float32) / 257)
    if image.mode == "F":
        values = np.nan_to_num(np.asarray(image, dtype=np.float32))
        return _grey(values * 255 if values.max() <= 1 else values)
    if image.has_transparency_data:
        layers = np.asarray(image.convert("RGBA"), dtype=np.float32)
        return over_white(layers[..., :3], layers[..., 3:])
    return np.array(image.convert("RGB"))


def _grey(values: Floats) -> Array:
    return _rounded(values)[..., None].repeat(3, axis=2)


_TURNS: dict[int, Callable[[Array], Array]] = {
    2: lambda picture: picture[:, ::-1],
    3: lambda picture: picture[::-1, ::-1],
    4: lambda picture: picture[::-1],
    5: lambda picture: picture.transpose(1, 0, 2),
    6: lambda picture: picture[::-1].transpose(1, 0, 2),
    7: lambda picture: picture[::-1, ::-1].transpose(1, 0, 2),
    8: lambda picture: picture[:, ::-1].transpose(1, 0, 2),
}


def _turn(picture: Array, orientation: int) -> Array:
    """Upright picture from a camera's orientation tag (EXIF 2.3, 4.6.4 A)."""
    turn = _TURNS.get(orientation)
    return picture if turn is None else np.ascontiguousarray(turn(picture))


def _first_line(error: BaseException) -> str:
    lines = str(error).strip().splitlines()
    return (lines[0] if lines else type(error).__name__)[:120]

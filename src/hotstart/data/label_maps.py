"""Label maps: pictures whose values are classes, read to the last digit."""

from __future__ import annotations

import io
from dataclasses import dataclass
from typing import TypeVar

import cv2
import numpy as np
import numpy.typing as npt
from PIL import Image, UnidentifiedImageError

from hotstart.data.headers import Unreadable, check_size
from hotstart.data.shrink import cut_middle

Int32s = npt.NDArray[np.int32]
Integers = TypeVar("Integers", Int32s, npt.NDArray[np.int64])
LabelMap = npt.NDArray[np.uint8]
IGNORED = 255
"""In a label map: a pixel that is neither learnt from nor scored."""
MAX_CLASSES = 255
COLOUR = 1 << 24
"""Values from here on are colours."""
LOSSY = ("JPEG", "MPO")


def read_label_map(data: bytes) -> Int32s:
    """Int32 (H, W): the value of each pixel as the file has it, and of a palette its index.

    Colours become numbers, `COLOUR` + 65536 r + 256 g + b, but where all three are equal
    everywhere: that may be a grey picture saved as a colour one (see `as_colours`).
    Transparency counts for nothing.

    Raises `Unreadable` for what is damaged, too large, or a JPEG, whose values are not exact.
    """
    try:
        with Image.open(io.BytesIO(data)) as image:
            if image.format in LOSSY:
                raise Unreadable("a JPEG, which does not keep values: save it as PNG")
            check_size(*image.size)
            image.load()
            if image.mode in ("LA", "RGBA", "PA"):
                bare = image.convert({"LA": "L", "RGBA": "RGB", "PA": "P"}[image.mode])
                values = np.asarray(bare)
            else:
                values = np.asarray(image)
    except Unreadable:
        raise
    except UnidentifiedImageError:
        raise Unreadable("not a picture: its first bytes are those of no known format") from None
    except Exception as error:  # decoders raise a dozen unrelated types on damaged input
        told = str(error).strip().splitlines() or [type(error).__name__]
        raise Unreadable(f"damaged: {told[0][:120]}") from None
    if values.ndim == 3:
        red, green, blue = (values[..., channel].astype(np.int32) for channel in range(3))
        grey = np.array_equal(red, green) and np.array_equal(red, blue)
        return red if grey else COLOUR + 65536 * red + 256 * green + blue
    if values.ndim != 2 or values.dtype.kind not in "bui":
        raise Unreadable(f"values of the kind {values.dtype} are no classes; save whole numbers")
    return values.astype(np.int32)


def as_colours(values: Integers) -> Integers:
    """Greys as the colours that they are, where other label maps of the set have colours."""
    return np.where(values < 256, COLOUR + 0x010101 * values, values).astype(values.dtype)


def value_name(value: int) -> str:
    """For people: a number, or a colour as `#ff0000`."""
    return f"#{value - COLOUR:06x}" if value >= COLOUR else str(value)


@dataclass(frozen=True)
class ClassValues:
    """Which values of label maps are which class; every other one is ignored.

    values: int64 (K,), ascending; names: of each; coloured: whether greys are read as colours
    """

    values: npt.NDArray[np.int64]
    names: tuple[str, ...]
    coloured: bool = False

    def encode(self, values: Int32s) -> LabelMap:
        """Values (H, W) -> positions in `names`, `IGNORED` where the value is none of ours."""
        values = as_colours(values) if self.coloured else values
        place = np.searchsorted(self.values, values).clip(max=len(self.values) - 1)
        return np.where(self.values[place] == values, place, IGNORED).astype(np.uint8)


def fit_to_picture(labels: LabelMap) -> LabelMap:
    """Cut as the cache cuts a picture that is more than four times as long as it is wide."""
    return np.ascontiguousarray(cut_middle(labels))


def resize_label_map(labels: LabelMap, width: int, height: int) -> LabelMap:
    """Nearest neighbour: no class is made up between two others."""
    if labels.shape == (height, width):
        return labels
    return cv2.resize(labels, (width, height), interpolation=cv2.INTER_NEAREST_EXACT)  # type: ignore[return-value]

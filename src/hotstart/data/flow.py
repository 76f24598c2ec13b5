"""Optical flow: where each pixel of a frame is in the next one, and where that is known."""

from __future__ import annotations

from pathlib import Path

import cv2
import numpy as np
import numpy.typing as npt

from hotstart.errors import DataError

Picture = npt.NDArray[np.uint8]
Field = npt.NDArray[np.float32]
Known = npt.NDArray[np.bool_]

SHARE, SLACK = 0.01, 0.5
"""Sundaram 2010, equation 5: alpha_1, and alpha_2 in px^2 for a picture of `SLACK_PX`."""
SLACK_PX = 384
LEAST_PX = 12
"""DIS takes no smaller picture; one that is has its rim repeated."""
MAGIC = b"PIEH"
MOST_PX = 2**15
"""Of a side of a file: more is taken for damage."""


def optical_flow(first: Picture, second: Picture) -> tuple[Field, Known]:
    """Flow from `first` to `second`, uint8 (H, W, 3) each, by OpenCV's DIS.

    Returns float32 (H, W, 2), x and y in pixels, and bool (H, W): where going there and back again
    ends near where it began. That is not so where something is covered or uncovered, where the
    picture ends, or across a cut.

    Kroeger 2016 (arXiv:1603.03590), OpenCV's preset "fast" but down to the last pixel: presets are
    made for large pictures and stop early, which on pictures of 96 px costs a quarter of the
    accuracy. The check is that of Sundaram 2010 ("Dense point trajectories by GPU-accelerated large
    displacement optical flow", ECCV), equation 5, its constant term scaled to the picture.
    """
    height, width = first.shape[:2]
    rim = (0, max(LEAST_PX - height, 0), 0, max(LEAST_PX - width, 0))
    grey, other = (
        cv2.copyMakeBorder(cv2.cvtColor(picture, cv2.COLOR_RGB2GRAY), *rim, cv2.BORDER_REPLICATE)
        for picture in (first, second)
    )
    engine = cv2.DISOpticalFlow.create(cv2.DISOpticalFlow_PRESET_FAST)
    engine.setFinestScale(0)
    there, back = (
        np.asarray(engine.calc(*pair, None), np.float32)[:height, :width]  # type: ignore[call-overload]
        for pair in ((grey, other), (other, grey))
    )
    return there, returns(there, back)


def returns(there: Field, back: Field) -> Known:
    """Bool (H, W): which pixels come back when they go `there` and `back`, (H, W, 2) each."""
    height, width = there.shape[:2]
    y, x = np.mgrid[:height, :width].astype(np.float32)
    x, y = x + there[..., 0], y + there[..., 1]
    met = cv2.remap(back, x, y, cv2.INTER_LINEAR, borderMode=cv2.BORDER_REPLICATE)
    inside = (x >= 0) & (x <= width - 1) & (y >= 0) & (y <= height - 1)
    error = np.square(there + met).sum(2)
    allowed = SHARE * (np.square(there).sum(2) + np.square(met).sum(2))
    slack = SLACK * (min(height, width) / SLACK_PX) ** 2
    return np.asarray(inside & (error < allowed + slack))


def read_flo(path: Path) -> Field:
    """A `.flo` file of Middlebury (Baker 2011) -> float32 (H, W, 2), x and y in pixels.

    Raises DataError for a file that is none, or that is cut short.
    """
    content = path.read_bytes()
    if len(content) < 12 or content[:4] != MAGIC:
        raise DataError(f"{path}: no .flo file, which begins with {MAGIC.decode()!r}")
    width, height = (int(side) for side in np.frombuffer(content[4:12], "<i4"))
    if not (0 < width <= MOST_PX and 0 < height <= MOST_PX):
        raise DataError(f"{path}: damaged: it says that it is {width} x {height} px")
    values = np.frombuffer(
        content[12:], "<f4", count=min(2 * height * width, len(content) // 4 - 3)
    )
    if len(values) < 2 * height * width:
        raise DataError(
            f"{path}: cut short: {len(content)} bytes, {width} x {height} px need "
            f"{12 + 8 * height * width}"
        )
    return values.reshape(height, width, 2).astype(np.float32)

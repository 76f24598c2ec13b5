"""The engine for the CPU: OpenCV, one picture at a time, spread over threads.

All arithmetic is float32: on CPUs with vector units OpenCV resizes float faster than uint8, its
rounding adds up over several operations, and the two engines then agree to the last grey level.
"""

from __future__ import annotations

import functools
from concurrent.futures import ThreadPoolExecutor

import cv2
import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from hotstart.augment.colour import colour_maps
from hotstart.augment.filters import blur_kernels
from hotstart.augment.settings import ViewParameters
from hotstart.data.sample import Pictures
from hotstart.data.shrink import shrink_kernels

Array = npt.NDArray[np.float32]
UNIT = np.float32(1 / 255)
THREADED_FROM_PX = 128
"""Views smaller than this are made by one thread: each call into OpenCV takes a few microseconds,
less than it takes two threads to hand the interpreter to each other."""
SMALL_VALUES = 64 * 64 * 3
"""Values of a picture up to which all pictures are made float at once, not crop by crop."""


def apply(
    pictures: Pictures, parameters: ViewParameters, size: int, threads: int | None = None
) -> Tensor:
    """Make the views; see `hotstart.augment.views.apply_view`.

    `threads`: by default torch's number of threads, one for views below 128 px; the result does not
    depend on it.
    """
    rows = len(parameters)
    # NumPy asks the kernel for huge pages, torch does not: at 224 px, filling fresh small pages
    # takes half as long as making the views.
    views = np.empty((rows, size, size, 3), np.float32)
    work = _Work(pictures, parameters, views)
    if threads is None:
        threads = torch.get_num_threads() if size >= THREADED_FROM_PX else 1
    threads = min(threads, rows)
    if threads <= 1:
        work(0, rows)
    else:
        # Some chunks a thread, because pictures of different sizes take different times.
        chunks = min(rows, 4 * threads)
        bounds = [rows * i // chunks for i in range(chunks + 1)]
        list(_pool(threads).map(work, bounds[:-1], bounds[1:]))
    return torch.from_numpy(views).permute(0, 3, 1, 2)


@functools.lru_cache(maxsize=4)
def _pool(threads: int) -> ThreadPoolExecutor:
    return ThreadPoolExecutor(threads, thread_name_prefix="hotstart-views")


class _Work:
    """One call of `apply`, its parameters turned into what the loop over rows reads fastest."""

    def __init__(self, pictures: Pictures, parameters: ViewParameters, views: Array) -> None:
        self.views = views
        self.size = views.shape[1]
        self.pixels = pictures.pixels.numpy()
        self.floats: Array | None = None
        if self.pixels.size <= SMALL_VALUES * len(pictures):
            self.floats = np.multiply(self.pixels, UNIT, dtype=np.float32)
        self.sources = list(
            zip(
                pictures.offsets.tolist(),
                pictures.heights.tolist(),
                pictures.widths.tolist(),
                strict=True,
            )
        )
        self.boxes = parameters.box.tolist()
        self.flips = parameters.flip.tolist()
        matrix, shift, changed = colour_maps(parameters)
        # cv2.transform takes the shift as a fourth column, filled in when the mean is known.
        self.matrices = torch.cat([matrix, torch.zeros(len(matrix), 3, 1)], 2).numpy()
        self.shifts = shift.tolist()
        self.changed = changed.tolist()
        self.blurs = _trimmed(*blur_kernels(parameters.blur_sigma, self.size))
        self.across = _trimmed(*shrink_kernels(parameters.box[:, 2] / self.size))
        down, radii = shrink_kernels(parameters.box[:, 3] / self.size)
        self.down = _trimmed(down * float(UNIT), radii)
        self.solarise = parameters.solarise.tolist()
        self.cutouts = parameters.cutout.tolist()

    def __call__(self, start: int, stop: int) -> None:
        for row in range(start, stop):
            self.view(row)

    def view(self, row: int) -> None:
        view = self.views[row]
        self.resample(row, view)
        if self.flips[row]:
            cv2.flip(view, 1, view)
        if self.changed[row]:
            red, green, blue, _ = cv2.mean(view)
            of_red, of_green, of_blue = self.shifts[row]
            matrix = self.matrices[row]
            matrix[:, 3] = of_red * red + of_green * green + of_blue * blue
            cv2.transform(view, matrix, view)
            # Two thresholds are half the time of numpy.clip.
            cv2.threshold(view, 1.0, 0.0, cv2.THRESH_TRUNC, view)
            cv2.threshold(view, 0.0, 0.0, cv2.THRESH_TOZERO, view)
        kernel = self.blurs[row]
        if len(kernel) > 1:
            cv2.sepFilter2D(view, -1, kernel, kernel, view, borderType=cv2.BORDER_REFLECT_101)
            cv2.threshold(view, 1.0, 0.0, cv2.THRESH_TRUNC, view)  # rounding may exceed 1
        if self.solarise[row]:
            np.minimum(view, 1 - view, out=view)
        x, y, width, height = self.cutouts[row]
        if width:
            view[y : y + height, x : x + width] = 0.5

    def resample(self, row: int, view: Array) -> None:
        offset, full_height, full_width = self.sources[row]
        x, y, width, height = self.boxes[row]
        size, end = self.size, offset + full_height * full_width * 3
        shrinks = width > size or height > size
        ready = self.floats is not None and not shrinks
        packed = self.floats if self.floats is not None and not shrinks else self.pixels
        picture = packed[offset:end].reshape(full_height, full_width, 3)
        picture = picture[y : y + height, x : x + width]
        if width == size and height == size:
            np.multiply(picture, 1 if ready else UNIT, out=view)
            return
        if shrinks:
            # The weights down the columns carry the division by 255.
            across, down = self.across[row], self.down[row]
            crop = cv2.sepFilter2D(
                picture, cv2.CV_32F, across, down, borderType=cv2.BORDER_REPLICATE
            )
        else:
            crop = picture if ready else np.multiply(picture, UNIT, dtype=np.float32)
        cv2.resize(crop, (size, size), view, interpolation=cv2.INTER_LINEAR)


def _trimmed(weights: Tensor, radii: Tensor) -> list[Array]:
    """The kernels one by one, without the zeros around them."""
    centre = weights.shape[1] // 2
    rows = weights.numpy()
    if not centre:
        return [rows[0]] * len(rows)  # nothing is filtered
    return [
        row[centre - radius : centre + radius + 1]
        for row, radius in zip(rows, radii.tolist(), strict=True)
    ]

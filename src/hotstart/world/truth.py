"""What follows from the geometry of a frame: boxes and contours of what is seen."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt

from hotstart.world.scene import CLASSES, Numbers, Scene

Mask = npt.NDArray[np.uint8]


def contours(instances: Mask, classes: Mask) -> npt.NDArray[np.bool_]:
    """(P, P), True where a thing or the background ends: one pixel wide, on the left or upper side.

    Also between floor, walls and sky.
    """
    # Two masks as one, so that a pixel differs where either does.
    both = instances.astype(np.int32) * len(CLASSES) + classes
    edge = np.zeros(both.shape, bool)
    edge[:, :-1] |= both[:, 1:] != both[:, :-1]
    edge[:-1] |= both[1:] != both[:-1]
    return edge


def boxes(instances: Mask, things: int) -> list[list[int] | None]:
    """Of each thing the smallest box around what is seen of it, or None where nothing is.

    Left, top, right and bottom in pixels; right and bottom are the first ones outside.
    """
    found: list[list[int] | None] = []
    for k in range(things):
        rows, columns = np.nonzero(instances == k + 1)
        found.append(
            [int(columns.min()), int(rows.min()), int(columns.max()) + 1, int(rows.max()) + 1]
            if len(rows)
            else None
        )
    return found


def most_seen(instances: Mask, scene: Scene) -> str | None:
    """Shape of the thing that covers most pixels; None where there is none."""
    counts = np.bincount(instances.ravel(), minlength=len(scene.things) + 1)[1:]
    return scene.things[int(counts.argmax())].shape if counts.any() else None


def rounded(values: Numbers | float, digits: int = 6) -> Any:
    """As lists, short enough to be read, and without -0, which is no other place than 0."""
    return (np.round(np.asarray(values, float), digits) + 0.0).tolist()

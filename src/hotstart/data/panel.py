"""Pictures for a person to look at."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np
import numpy.typing as npt

PanelKind = Literal["views", "prediction", "neighbours", "clusters"]


@dataclass(frozen=True)
class Panel:
    """A table of pictures for a person to look at: rows of uint8 (H, W, 3), a text under each.

    cell_px: the longest side at which a picture is shown
    sounds: what is heard with each picture, int16 (n,) at 16 kHz, or None; empty: no sound at all
    """

    name: str
    title: str
    caption: str
    columns: Sequence[str]
    pictures: Sequence[Sequence[npt.NDArray[np.uint8]]]
    texts: Sequence[Sequence[str]]
    kind: PanelKind = "views"
    cell_px: int = 128
    sounds: Sequence[Sequence[npt.NDArray[np.int16] | None]] = ()

"""Batches of pictures, with what is known of their pixels, and with pictures of another set."""

from __future__ import annotations

from collections.abc import Collection
from typing import Any, cast

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from hotstart.data.sample import Batch, Pictures
from hotstart.data.source import Items
from hotstart.data.splits import Hashes
from hotstart.data.store import Integers, Store
from hotstart.errors import DataError


class RealPictures:
    """Another set's pictures under `real_image`; those of its test split are left out.

    items: int64 (M,), which pictures of `pictures` may be seen; hashes: uint64 (M,), their content
    fingerprint: of the other set
    """

    def __init__(self, pictures: Store, items: Integers, hashes: Hashes, fingerprint: str) -> None:
        self.pictures = pictures
        self.items = items
        self.hashes = hashes
        self.fingerprint = fingerprint

    def without(self, excluded: Hashes) -> RealPictures:
        """The same but for pictures with these hashes. Raises DataError where none is left."""
        kept = ~np.isin(self.hashes, excluded)
        if not kept.any():
            raise DataError(
                f"all {len(kept)} pictures of --real are in a test split of what is evaluated on, "
                "and may not be seen; give other real pictures"
            )
        return RealPictures(self.pictures, self.items[kept], self.hashes[kept], self.fingerprint)

    def beside(self, indices: Integers, places: Tensor | None) -> Pictures:
        """One for each of the samples at int64 (B,) positions.

        places: (B,) in 0..1, chooses them, for samples at one place different ones; None: the same
        one for the same sample, always
        """
        count = len(self.items)
        shift = 0 if places is None else (places.double().numpy() * count).astype(np.int64)
        return self.pictures.get(self.items[(indices + shift) % count])


def fetch_pictures(
    source: Items,
    rows: npt.NDArray[np.int32],
    pictures: Store,
    indices: Integers,
    keys: Collection[str],
) -> Batch:
    """The pictures at int64 (B,) positions, and what `source` knows of them.

    rows: int32 (N,), position in the source of each picture
    """
    batch: dict[str, Any] = {}
    if "image" in keys:
        batch["image"] = pictures.get(indices)
    for key in sorted(source.truths & set(keys)):
        truths = [source.truth(int(row), key) for row in rows[indices]]
        batch[key] = torch.from_numpy(np.stack(truths))
    return cast(Batch, batch)


__all__ = ["RealPictures", "fetch_pictures"]

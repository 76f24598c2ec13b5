"""Some pictures of a data set, as a set of their own."""

from __future__ import annotations

import hashlib
from collections.abc import Collection, Mapping
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from hotstart.data.dataset import Dataset
from hotstart.data.sample import Batch, Spec


@dataclass(frozen=True)
class Subset:
    """Some of a data set's pictures, by positions of their own: 0 .. N - 1.

    items: int64 (N,), their positions in `dataset`
    """

    dataset: Dataset
    items: npt.NDArray[np.int64]

    def __len__(self) -> int:
        return len(self.items)

    @property
    def fingerprint(self) -> str:
        """Of the pictures alone."""
        chosen = np.ascontiguousarray(self.dataset.hashes[self.items])
        return hashlib.blake2b(chosen.data, digest_size=16).hexdigest()

    def batch(
        self,
        positions: npt.NDArray[np.int64],
        keys: Collection[str] | Mapping[str, Spec],
        places: Tensor | None = None,
    ) -> Batch:
        """The samples at int64 (B,) positions; `index` is such a position too."""
        batch = self.dataset.batch(self.items[positions], keys, places)
        if "index" in keys:
            batch["index"] = torch.from_numpy(np.array(positions, np.int64))
        return batch

"""What a run is scored on: held-out examples, the same ones each time."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass

import numpy as np
import torch

from hotstart.data.sample import Batch, Spec, to_device
from hotstart.training.loop import Material

SCORED_EXAMPLES = 2000
SCORED_BATCH = 256


@dataclass(frozen=True)
class HeldoutBatches:
    """At least 2,000 examples of the held-out pictures, in batches of one size, again and again.

    Of a video, those examples are windows spread evenly over it. Going through them another time
    gives the same ones.
    """

    material: Material
    needs: Mapping[str, Spec]
    device: torch.device

    def __iter__(self) -> Iterator[Batch]:
        heldout, dataset = self.material.heldout, self.material.dataset
        rows = min(SCORED_BATCH, len(heldout))
        if rows == 0:
            return
        count = -(-max(SCORED_EXAMPLES, len(heldout)) // rows)
        order = np.resize(heldout, count * rows)
        windows = -(-len(order) // len(heldout))
        number = torch.arange(len(order)) // len(heldout)
        places = (number + 0.5) / windows
        for start in range(0, len(order), rows):
            now = slice(start, start + rows)
            yield to_device(dataset.batch(order[now], self.needs, places[now]), self.device)

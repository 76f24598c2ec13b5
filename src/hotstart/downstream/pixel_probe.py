"""Linear probes of pixels: 1x1 convolutions on the upsampled maps of a frozen encoder.

A 1x1 convolution with softmax is logistic regression on single pixels. So some pixels of each
picture are drawn, their features are read out of every stage's map where they lie, and the
regression is solved to its optimum by what probes whole pictures (`linear.py`): no learning rate,
no number of epochs that could favour one encoder.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from itertools import accumulate

import numpy as np
import numpy.typing as npt
import torch
import torch.nn.functional as F
from torch import Tensor

from hotstart.data.label_maps import IGNORED
from hotstart.data.masked import MaskedDataset
from hotstart.downstream.features import evaluating
from hotstart.downstream.linear import LinearProbe
from hotstart.downstream.outcome import Stage
from hotstart.downstream.pixels import coarsest_stride, upsampled, whole_pictures
from hotstart.encoders.encoder import Encoder

Int64s = npt.NDArray[np.int64]
PIXELS = 40_000
"""Drawn of all pictures together: more of them are nearly the same ones again."""
PER_PICTURE = 1_000
NUMBERS = 1 << 25
"""Features in memory: of a wide encoder, fewer pixels are drawn."""


@dataclass(frozen=True)
class PixelFeatures:
    """Features of drawn pixels, of all stages side by side.

    table: float32 (N, D); labels: int64 (N,); picture: int64 (N,), which of the items it is from
    """

    table: Tensor
    labels: Tensor
    picture: Int64s


def stage_columns(encoder: Encoder) -> dict[Stage, slice]:
    """Where in a table of all stages each one's features are: `last` is all of them together."""
    ends = list(accumulate(encoder.stage_dims))
    columns: dict[Stage, slice] = {"last": slice(0, ends[-1])}
    for number, (end, dim) in enumerate(zip(ends, encoder.stage_dims, strict=True), start=1):
        columns[number] = slice(end - dim, end)
    return columns


def draw_pixels(
    encoder: Encoder,
    dataset: MaskedDataset,
    items: Int64s,
    *,
    seed: int,
    device: torch.device,
    progress: Callable[[int], None] | None = None,
) -> PixelFeatures:
    """Features of pixels of each of `items`, drawn evenly among those that are not ignored.

    The fewer pictures, the more of each. Which, depends on the seed and the picture alone.
    """
    budget = min(PIXELS, NUMBERS // sum(encoder.stage_dims))
    each = min(max(budget // len(items), 1), PER_PICTURE)
    rows: dict[int, tuple[Tensor, Tensor]] = {}
    done = 0
    with evaluating(encoder), torch.inference_mode():
        for places, images, labels in whole_pictures(
            dataset, items, coarsest_stride(encoder), device
        ):
            maps = encoder.stages(images)
            for row, place in enumerate(places.tolist()):
                rng = np.random.default_rng([seed, int(dataset.hashes[items[place]])])
                known = (labels[row] != IGNORED).nonzero().cpu()
                chosen = known[torch.from_numpy(rng.permutation(len(known))[:each])].to(device)
                rows[place] = (
                    torch.cat([_at(stage[row], chosen, labels.shape[1:]) for stage in maps], 1),
                    labels[row][chosen[:, 0], chosen[:, 1]],
                )
            done += len(places)
            if progress is not None:
                progress(done)
    ordered = [rows[place] for place in range(len(items))]
    return PixelFeatures(
        torch.cat([features.cpu() for features, _ in ordered]),
        torch.cat([labels.cpu() for _, labels in ordered]),
        np.repeat(np.arange(len(items)), [len(labels) for _, labels in ordered]),
    )


def _at(stage: Tensor, pixels: Tensor, size: Sequence[int]) -> Tensor:
    """Map (C, h, w) read at pixels (n, 2), rows and columns of a picture of `size`: (n, C).

    Equal to the bilinear upsampling of the map to that size, at those pixels.
    """
    sides = pixels.new_tensor(list(size)).float()
    where = 2 * (pixels.float() + 0.5) / sides - 1
    grid = where.flip(1).view(1, 1, -1, 2)
    read = F.grid_sample(
        stage.unsqueeze(0).float(),
        grid,
        mode="bilinear",
        padding_mode="border",
        align_corners=False,
    )
    return read[0, :, 0].T


class ProbedMaps:
    """Fitted probes, applied as 1x1 convolutions to whole maps."""

    def __init__(
        self, encoder: Encoder, probes: dict[Stage, LinearProbe], device: torch.device
    ) -> None:
        self.encoder = encoder
        columns = stage_columns(encoder)
        self.parts: list[list[tuple[int, Tensor]]] = []
        self.biases: list[Tensor] = []
        starts = [columns[number].start for number in range(1, len(encoder.stage_dims) + 1)]
        for stage, probe in probes.items():
            # Standardising is a convolution too: both become one.
            weight = probe.weight * probe.standardiser.scale
            self.biases.append((probe.bias - weight @ probe.standardiser.mean).to(device))
            if stage == "last":
                pieces = [
                    (number, weight[:, start : start + dim])
                    for number, (start, dim) in enumerate(
                        zip(starts, encoder.stage_dims, strict=True)
                    )
                ]
            else:
                pieces = [(stage - 1, weight)]
            self.parts.append([(n, piece[:, :, None, None].to(device)) for n, piece in pieces])

    def __call__(self, images: Tensor, size: tuple[int, int]) -> list[Tensor]:
        """One answer for each probe, int64 (B, H, W).

        Convolving and then upsampling is the same as the other way round, and cheaper.
        """
        with evaluating(self.encoder):
            maps = self.encoder.stages(images)
        said = []
        for parts, bias in zip(self.parts, self.biases, strict=True):
            logits = bias.view(1, -1, 1, 1)
            for number, weight in parts:
                logits = logits + upsampled(F.conv2d(maps[number], weight), size)
            said.append(logits.argmax(dim=1))
        return said

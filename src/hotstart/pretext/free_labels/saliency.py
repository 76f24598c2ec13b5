"""Saliency: which pixels belong to what stands out?"""

from __future__ import annotations

from typing import ClassVar

import torch

from hotstart.augment import apply_view
from hotstart.augment.settings import plain
from hotstart.pretext.colour_spaces import rgb_to_lab
from hotstart.pretext.free_labels.barrier import barrier_saliency, otsu_threshold
from hotstart.pretext.free_labels.mask_task import Found, MaskSettings, MaskTask
from hotstart.pretext.task import Batch, Settings


class SaliencySettings(MaskSettings):
    """Settings of `saliency`."""


class Saliency(MaskTask):
    """Find the pixels that a written programme calls foreground.

    The programme is Zhang 2015 ("Minimum Barrier Salient Object Detection at 80 FPS", ICCV), in
    `barrier.py`, with Otsu's threshold. It judges by what touches the border of the whole picture.
    The loss is the binary cross-entropy of every pixel.
    """

    name: ClassVar[str] = "saliency"
    question: ClassVar[str] = "What stands out?"
    answer: ClassVar[str] = "The foreground, as a written programme finds it,"
    Settings: ClassVar[type[Settings]] = SaliencySettings
    settings: SaliencySettings

    def find(self, batch: Batch) -> Found:
        """Saliency of whole pictures, and Otsu's threshold of each."""
        pictures = batch["image"]
        widths, heights = pictures.widths.cpu(), pictures.heights.cpu()
        none = torch.zeros_like(widths)
        whole = plain(torch.stack([none, none, widths, heights], 1))
        maps = barrier_saliency(rgb_to_lab(apply_view(pictures, whole, self.side)))
        return Found(maps, otsu_threshold(maps))

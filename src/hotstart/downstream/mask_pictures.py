"""Pictures with label maps laid over them: the truth beside what a network said."""

from __future__ import annotations

import colorsys

import cv2
import numpy as np
import numpy.typing as npt
import torch

from hotstart.data.label_maps import IGNORED
from hotstart.data.masked import MaskedDataset
from hotstart.data.panel import Panel
from hotstart.downstream.pixels import Read, count_pixels, whole_pictures

Array = npt.NDArray[np.uint8]
Int64s = npt.NDArray[np.int64]
SHOWN = 5
SIDE_PX = 256
LINE_PX = 17
STRENGTH = 0.6
"""Of the colour over the picture."""
IN_KEY = 14
"""Classes that fit beside a picture, the most frequent ones."""


def mask_panel(
    read: Read,
    dataset: MaskedDataset,
    items: Int64s,
    multiple: int,
    device: torch.device,
    *,
    name: str,
    title: str,
) -> Panel:
    """The first of `items` by their hashes: picture, truth, answer, and which colour is what.

    read: its first answer is drawn; see `pixels.answer`
    """
    shown = items[np.argsort(dataset.hashes[items], kind="stable")[:SHOWN]]
    classes = len(dataset.mask_classes)
    rows: dict[int, tuple[list[Array], list[str]]] = {}
    for places, images, labels in whole_pictures(dataset, shown, multiple, device):
        said = read(images, (labels.shape[1], labels.shape[2]))[0]
        for place, image, predicted, truth in zip(
            places.tolist(), images, said, labels, strict=True
        ):
            size = _shown_size(labels.shape[2], labels.shape[1])
            picture = (image.permute(1, 2, 0).cpu().numpy() * 255).round().astype(np.uint8)
            picture = np.asarray(cv2.resize(picture, size), np.uint8)
            counts = count_pixels(predicted, truth, classes)
            right = counts[0].sum() / max(int(counts[1].sum()), 1)
            drawn = [overlay(picture, one.cpu().numpy()) for one in (truth, predicted)]
            key = _key(dataset.mask_classes, counts, size)
            rows[place] = (
                [picture, *drawn, key],
                ["", "", f"{right:.0%} of the pixels right", "IoU in this picture"],
            )
    ordered = [rows[place] for place in sorted(rows)]
    return Panel(
        name,
        title,
        "Every pixel in the colour of its class. Where the truth is black, nobody was asked.",
        ("picture", "truth", "answer", "classes"),
        [pictures for pictures, _ in ordered],
        [texts for _, texts in ordered],
        kind="prediction",
        cell_px=SIDE_PX,
    )


def overlay(picture: Array, labels: npt.NDArray[np.int64]) -> Array:
    """The picture (h, w, 3) under the colours of the classes of `labels` (H, W).

    What is to be ignored is black.
    """
    height, width = picture.shape[:2]
    small = cv2.resize(
        labels.astype(np.uint8), (width, height), interpolation=cv2.INTER_NEAREST_EXACT
    )
    colours = np.array([colour_of(k) for k in range(IGNORED)] + [(0, 0, 0)], np.float32)
    strength = np.where(small == IGNORED, 0.85, STRENGTH)[..., None]
    mixed = picture * (1 - strength) + colours[small] * strength
    return np.asarray(mixed.round(), np.uint8)


def colour_of(position: int) -> tuple[int, int, int]:
    """A colour for the class at `position`: neighbours in number lie far apart in hue."""
    hue = position * 0.618034 % 1.0
    light = (0.55, 0.4, 0.7)[position // 7 % 3]
    red, green, blue = colorsys.hls_to_rgb(hue, light, 0.85)
    return (round(255 * red), round(255 * green), round(255 * blue))


def _shown_size(width: int, height: int) -> tuple[int, int]:
    scale = SIDE_PX / max(width, height)
    return max(1, round(width * scale)), max(1, round(height * scale))


def _key(names: tuple[str, ...], counts: npt.NDArray[np.int64], size: tuple[int, int]) -> Array:
    """Colour, name and IoU of the classes that are in the truth or the answer."""
    both, truth, predicted = counts
    union = truth + predicted - both
    present = [k for k in np.argsort(-truth, kind="stable").tolist() if union[k]][:IN_KEY]
    drawn = np.full((max(size[1], LINE_PX * len(present) + 4), SIDE_PX, 3), 255, np.uint8)
    for line, k in enumerate(present):
        top = 2 + line * LINE_PX
        drawn[top + 2 : top + LINE_PX - 2, 4:22] = colour_of(k)
        told = f"{names[k][:22]}  {both[k] / union[k]:.2f}"
        cv2.putText(
            drawn,
            told,
            (28, top + 13),
            cv2.FONT_HERSHEY_SIMPLEX,
            0.42,
            (20, 20, 20),
            1,
            cv2.LINE_AA,
        )
    return drawn

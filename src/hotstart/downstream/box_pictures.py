"""Pictures with boxes drawn on them: the truth beside what a detector found."""

from __future__ import annotations

from collections.abc import Sequence

import cv2
import numpy as np
import numpy.typing as npt

from hotstart.data.boxes import BoxSet
from hotstart.data.panel import Panel
from hotstart.downstream.predictions import BoxPredictions

Array = npt.NDArray[np.uint8]
Int64s = npt.NDArray[np.int64]
SHOWN = 6
SIDE_PX = 256
DASH_PX = 4
COLOURS: dict[str, tuple[int, int, int]] = {
    "blue": (31, 119, 255),
    "orange": (255, 127, 14),
    "green": (44, 190, 44),
    "red": (230, 39, 40),
    "purple": (160, 90, 220),
    "cyan": (23, 200, 220),
    "pink": (240, 119, 200),
    "yellow": (230, 220, 30),
}


def box_panel(
    dataset: BoxSet, items: Int64s, answers: BoxPredictions, *, name: str, title: str
) -> Panel:
    """The first pictures of `items` with objects, by their hashes: truth beside answers.

    items: the pictures asked, in the order of `answers`. Shown are answers from the score on at
    which precision and recall, at an overlap of one half, balance best over all pictures. What
    found its object has a full line, what did not a broken one.
    """
    least = best_score(answers)
    shown = [row for row in range(len(items)) if answers.asked[row].any()][:SHOWN]
    pictures, texts = [], []
    for row in shown:
        item = int(items[row])
        picture = _at_size(dataset.pictures.get(items[row : row + 1])[0].numpy())
        own = dataset.boxes.rows(item)
        asked = ~dataset.boxes.ignored[own]
        corners, classes = dataset.boxes.corners[own][asked], dataset.boxes.classes[own][asked]
        truth = draw_boxes(picture, corners, classes, np.ones(len(classes), bool))
        kept = (answers.classes[row] >= 0) & (answers.scores[row] >= least)
        kept &= ~answers.ignored[row, :, 0]
        right = answers.found[row, kept, 0]
        found = draw_boxes(picture, answers.boxes[row, kept], answers.classes[row, kept], right)
        pictures.append([truth, found])
        hits, wrong = int(right.sum()), int((~right).sum())
        texts.append([_count(len(classes), "object"), f"{hits} found, {wrong} wrong"])
    pairs = [(pictures[i : i + 2], texts[i : i + 2]) for i in range(0, len(pictures), 2)]
    return Panel(
        name,
        title,
        f"{_legend(dataset.classes)} Broken lines: nothing there overlaps by half. Shown is what "
        f"scores {least:.2f} or more, where precision and recall balance best.",
        ("truth", "answer") * (2 if len(pictures) > 1 else 1),
        [[picture for both in rows for picture in both] for rows, _ in pairs],
        [[text for both in told for text in both] for _, told in pairs],
        kind="prediction",
        cell_px=SIDE_PX,
    )


def best_score(answers: BoxPredictions) -> float:
    """The score from which on F1 at an overlap of one half is highest; 1 where nothing is found."""
    counted = (answers.classes >= 0) & ~answers.ignored[:, :, 0]
    scores, right = answers.scores[counted], answers.found[:, :, 0][counted]
    order = np.argsort(-scores, kind="stable")
    hits = np.cumsum(right[order])
    f1 = 2 * hits / (np.arange(1, len(hits) + 1) + answers.asked.sum())
    return float(scores[order][np.argmax(f1)]) if len(hits) and hits[-1] else 1.0


def draw_boxes(
    picture: Array,
    corners: npt.NDArray[np.float32],
    classes: Int64s,
    full: npt.NDArray[np.bool_],
) -> Array:
    """A copy of the picture with boxes in the colours of their classes.

    corners: (n, 4) in shares of the picture; full: bool (n,), a full line, else a broken one
    """
    drawn = picture.copy()
    high, wide = picture.shape[:2]
    palette = list(COLOURS.values())
    for box, label, whole in zip(corners, classes, full, strict=True):
        x0, y0, x1, y1 = np.rint(box * (wide - 1, high - 1, wide - 1, high - 1)).astype(int)
        colour = palette[int(label) % len(palette)]
        for start, end in (
            ((x0, y0), (x1, y0)),
            ((x1, y0), (x1, y1)),
            ((x1, y1), (x0, y1)),
            ((x0, y1), (x0, y0)),
        ):
            for a, b in [(start, end)] if whole else _dashes(start, end):
                cv2.line(drawn, a, b, colour, 2 if whole else 1)
    return drawn


def _dashes(
    start: tuple[int, int], end: tuple[int, int]
) -> list[tuple[tuple[int, int], tuple[int, int]]]:
    (x0, y0), (x1, y1) = start, end
    count = max(1, round(max(abs(x1 - x0), abs(y1 - y0)) / DASH_PX))
    x, y = (np.linspace(a, b, count + 1).astype(int).tolist() for a, b in ((x0, x1), (y0, y1)))
    points = list(zip(x, y, strict=True))
    return list(zip(points[:-1:2], points[1::2], strict=False))


def _at_size(picture: Array) -> Array:
    """With a longer side of `SIDE_PX`, so that lines are fine on small pictures too."""
    high, wide = picture.shape[:2]
    scale = SIDE_PX / max(high, wide)
    size = (max(1, round(wide * scale)), max(1, round(high * scale)))
    method = cv2.INTER_AREA if scale < 1 else cv2.INTER_LINEAR
    return np.asarray(cv2.resize(picture, size, interpolation=method), np.uint8)


def _count(number: int, noun: str) -> str:
    return f"{number} {noun}" + ("" if number == 1 else "s")


def _legend(classes: Sequence[str]) -> str:
    """Which colour is which class."""
    names = list(COLOURS)
    told = [f"{name} {names[i % len(names)]}" for i, name in enumerate(classes[: len(names)])]
    more = ", others in the same colours again" if len(classes) > len(names) else ""
    return f"{', '.join(told)}{more}."

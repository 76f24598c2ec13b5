"""COCO's average precision of detected boxes, by pycocotools."""

from __future__ import annotations

import contextlib
import io
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
from pycocotools.coco import COCO
from pycocotools.cocoeval import COCOeval

from hotstart.data.boxes import Boxes
from hotstart.downstream.predictions import BoxPredictions

Floats = npt.NDArray[np.float32]
UNIT_PX = 1_000
"""Shares become pixels of a square: pycocotools takes boxes below a pixel for none."""


@dataclass(frozen=True)
class Detections:
    """Boxes that a detector found in one picture, the surest first.

    boxes: float32 (n, 4) in shares of the picture; scores: float32 (n,); classes: int64 (n,)
    """

    boxes: Floats
    scores: Floats
    classes: npt.NDArray[np.int64]


@dataclass(frozen=True)
class Matches:
    """Which detections found an object, at each of T overlaps 0.5, 0.55, ..., 0.95.

    found, ignored: bool, one (n, T) for each picture, in the order of its detections; ignored ones
    count neither as right nor as wrong
    asked: int64 (N, K), objects of each class in each picture, ignored ones aside
    precision: float64 (T, 101, K), -1 for a class without objects
    """

    found: list[npt.NDArray[np.bool_]]
    ignored: list[npt.NDArray[np.bool_]]
    asked: npt.NDArray[np.int64]
    precision: npt.NDArray[np.float64]


def match(truth: Boxes, detections: Sequence[Detections], classes: int, most: int) -> Matches:
    """What pycocotools' `COCOeval` finds for boxes of any area.

    truth: of as many pictures as there are `detections`; most: detections of a picture that count,
    for each class

    The overlap of two boxes does not change where a picture is stretched, so shares of its sides
    serve as well as pixels. COCO's ignored objects are crowds, whose overlap counts the detected
    box's area alone; VOC's difficult ones are treated alike.
    """
    evaluator = _evaluator(truth, detections, classes, most)
    count = len(detections)
    found = [np.zeros((len(one.scores), 10), bool) for one in detections]
    ignored = [np.zeros((len(one.scores), 10), bool) for one in detections]
    asked = np.zeros((count, classes), np.int64)
    first = np.concatenate([[0], np.cumsum([len(one.scores) for one in detections])])
    areas = len(evaluator.params.areaRng)
    for k in range(classes):
        for i in range(count):
            one = evaluator.evalImgs[(k * areas) * count + i]
            if one is None:
                continue
            rows = np.array(one["dtIds"], np.int64) - 1 - first[i]
            found[i][rows] = np.asarray(one["dtMatches"] > 0).T
            ignored[i][rows] = np.asarray(one["dtIgnore"], bool).T
            asked[i, k] = int((~np.asarray(one["gtIgnore"], bool)).sum())
    return Matches(found, ignored, asked, evaluator.eval["precision"][:, :, :, 0, -1])


def _evaluator(truth: Boxes, detections: Sequence[Detections], classes: int, most: int) -> Any:
    images = [{"id": i + 1} for i in range(len(detections))]
    categories = [{"id": k + 1, "name": str(k)} for k in range(classes)]
    owners = np.repeat(np.arange(len(detections)), np.diff(truth.starts))
    objects = [
        {
            **_entry(row, int(owners[row]), truth.corners[row], int(truth.classes[row])),
            "iscrowd": int(truth.ignored[row]),
        }
        for row in range(len(owners))
    ]
    answers: list[dict[str, Any]] = []
    for i, one in enumerate(detections):
        for box, score, category in zip(one.boxes, one.scores, one.classes, strict=True):
            answers.append({**_entry(len(answers), i, box, int(category)), "score": float(score)})
    with contextlib.redirect_stdout(io.StringIO()):  # it tells its progress
        known, given = COCO(), COCO()
        known.dataset = {"images": images, "categories": categories, "annotations": objects}
        given.dataset = {"images": images, "categories": categories, "annotations": answers}
        known.createIndex()
        given.createIndex()
        evaluator = COCOeval(known, given, "bbox")
        evaluator.params.maxDets = [most]
        evaluator.params.areaRng = [[0, 1e10]]
        evaluator.params.areaRngLbl = ["all"]
        evaluator.evaluate()
        evaluator.accumulate()
    return evaluator


def _entry(number: int, picture: int, box: Floats, category: int) -> dict[str, Any]:
    x0, y0, x1, y1 = (UNIT_PX * float(end) for end in box)
    return {
        "id": number + 1,
        "image_id": picture + 1,
        "category_id": category + 1,
        "bbox": [x0, y0, x1 - x0, y1 - y0],
        "area": (x1 - x0) * (y1 - y0),
    }


def predictions_of(
    hashes: npt.NDArray[np.uint64], detections: Sequence[Detections], matches: Matches
) -> BoxPredictions:
    """Ragged detections as arrays of N rows, filled up with the class -1."""
    count = len(detections)
    longest = max((len(one.scores) for one in detections), default=0)
    boxes = np.zeros((count, longest, 4), np.float32)
    scores = np.zeros((count, longest), np.float32)
    classes = np.full((count, longest), -1, np.int64)
    found = np.zeros((count, longest, 10), bool)
    ignored = np.zeros((count, longest, 10), bool)
    for i, one in enumerate(detections):
        rows = slice(len(one.scores))
        boxes[i, rows], scores[i, rows], classes[i, rows] = one.boxes, one.scores, one.classes
        found[i, rows], ignored[i, rows] = matches.found[i], matches.ignored[i]
    return BoxPredictions(hashes, boxes, scores, classes, found, ignored, matches.asked)

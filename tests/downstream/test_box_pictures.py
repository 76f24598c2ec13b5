"""Truth beside answers: lines where the boxes are, in their class's colour, wrong ones broken."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from hotstart.data.boxes import BoxSet, open_boxes
from hotstart.downstream.average_precision import Detections, match, predictions_of
from hotstart.downstream.box_pictures import COLOURS, best_score, box_panel, draw_boxes
from hotstart.downstream.predictions import BoxPredictions
from tests.boxed import write_coco


@pytest.fixture(scope="module")
def squares(tmp_path_factory: pytest.TempPathFactory) -> BoxSet:
    root = tmp_path_factory.mktemp("boxes") / "squares"
    write_coco(root, {"train": 4, "val": 8})
    return open_boxes(root, size=64)


def answered(squares: BoxSet, items: np.ndarray, shift: float) -> BoxPredictions:
    """Every object found, moved by `shift` of the picture; and one box in the corner, less sure."""
    truth = squares.boxes.of(items)
    found = []
    for i in range(len(items)):
        own = truth.rows(i)
        count = len(truth.classes[own])
        corners = np.concatenate([truth.corners[own] + shift, [[0.0, 0.0, 0.05, 0.05]]])
        scores = np.array([0.9] * count + [0.2])
        classes = np.append(truth.classes[own], 0)
        found.append(Detections(corners.astype(np.float32), scores.astype(np.float32), classes))
    return predictions_of(squares.hashes[items], found, match(truth, found, 2, 100))


def test_what_is_right_and_what_is_wrong_can_be_told(squares: BoxSet) -> None:
    items = squares.indices("val")
    good, bad = answered(squares, items, 0.0), answered(squares, items, 0.45)
    assert best_score(good) == pytest.approx(0.9), "the corner box would only be wrong"
    assert best_score(bad) == 1.0, "nothing is right"
    panel = box_panel(squares, items, good, name="detect", title="Boxes")
    assert len(panel.pictures) == 3
    for told in panel.texts:
        for truth, answer in zip(told[::2], told[1::2], strict=True):
            assert answer == f"{truth.split()[0]} found, 0 wrong"
    for row in panel.pictures:
        for shown, drawn in zip(row[::2], row[1::2], strict=True):
            assert np.array_equal(shown, drawn), "right answers look like the truth"
    assert panel.caption.startswith("blue blue, red orange.")
    wrong = box_panel(squares, items, bad, name="detect", title="Boxes")
    assert all(text == "0 found, 0 wrong" for row in wrong.texts for text in row[1::2])


def test_lines_lie_on_the_edges(squares: BoxSet) -> None:
    grey = np.full((100, 200, 3), 128, np.uint8)
    box = np.array([[0.25, 0.2, 0.75, 0.8]], np.float32)
    full = draw_boxes(grey, box, np.array([1]), np.array([True]))
    broken = draw_boxes(grey, box, np.array([1]), np.array([False]))
    assert (grey == 128).all(), "the picture itself stays"
    colour = np.array(COLOURS["orange"])
    assert (full[20, 60:140] == colour).all()
    share = (broken[20, 52:148] == colour).all(1).mean()
    assert 0.3 < share < 0.8, "a broken line"
    assert (full[40:60, 80:120] == 128).all(), "nothing inside"


def test_a_picture_without_pictures(squares: BoxSet, tmp_path: Path) -> None:
    items = squares.indices("val")[:1]
    nothing = Detections(
        np.zeros((0, 4), np.float32), np.zeros(0, np.float32), np.zeros(0, np.int64)
    )
    truth = squares.boxes.of(items)
    answers = predictions_of(squares.hashes[items], [nothing], match(truth, [nothing], 2, 100))
    panel = box_panel(squares, items, answers, name="detect", title="Boxes")
    assert panel.columns == ("truth", "answer")
    assert panel.texts[0][1] == "0 found, 0 wrong"

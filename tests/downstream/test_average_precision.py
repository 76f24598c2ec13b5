"""Average precision: by hand on a small case, COCOeval's own on a larger one, any weights."""

from __future__ import annotations

import contextlib
import io

import numpy as np
import pytest
from pycocotools.coco import COCO
from pycocotools.cocoeval import COCOeval

from hotstart.data.boxes import Boxes
from hotstart.data.noted import Noted
from hotstart.downstream.average_precision import Detections, match, predictions_of
from hotstart.downstream.predictions import BoxPredictions

PX = 400


def detections(*found: tuple[tuple[float, float, float, float], float, int]) -> Detections:
    ordered = sorted(found, key=lambda one: -one[1])
    return Detections(
        np.array([box for box, _, _ in ordered], np.float32).reshape(-1, 4),
        np.array([score for _, score, _ in ordered], np.float32),
        np.array([label for _, _, label in ordered], np.int64),
    )


def judged(truth: Boxes, found: list[Detections], classes: int) -> BoxPredictions:
    hashes = np.arange(len(found), dtype=np.uint64)
    return predictions_of(hashes, found, match(truth, found, classes, 100))


def test_by_hand() -> None:
    """Two objects of one class. The surest answer is wrong, the next two find one each.

    At every overlap up to the boxes' own: precision 0, 1/2, 2/3 at recall 0, 1/2, 1; at or above
    each recall the best is 2/3. The second answer overlaps by 0.8, the third by 0.6.
    """
    truth = Boxes.gather(
        [[Noted(0, (0.0, 0.0, 0.5, 0.5), False), Noted(0, (0.5, 0.5, 1.0, 1.0), False)]]
    )
    wrong = ((0.0, 0.5, 0.4, 1.0), 0.9, 0)
    good = ((0.0, 0.0, 0.5, 0.4), 0.8, 0)
    fair = ((0.5, 0.5, 1.0, 0.8), 0.7, 0)
    judge = judged(truth, [detections(wrong, good, fair)], 1)
    both, one = 2 / 3, 0.5 * 51 / 101  # with one found, precision 1/2 up to a recall of 1/2
    assert judge.value("ap50") == pytest.approx(both)
    assert judge.value("ap75") == pytest.approx(one)
    # 0.5, 0.55 and 0.6 (which is not below) find both, 0.65 to 0.8 one, the rest none.
    assert judge.value("ap") == pytest.approx((3 * both + 4 * one) / 10, abs=1e-6)


def test_a_class_that_is_not_asked_and_a_crowd_do_not_count() -> None:
    box = (0.1, 0.1, 0.6, 0.6)
    truth = Boxes.gather([[Noted(0, box, False), Noted(0, (0.7, 0.7, 0.9, 0.9), True)], []])
    found = [
        detections((box, 0.9, 0), ((0.7, 0.7, 0.9, 0.9), 0.95, 0), (box, 0.5, 1)),
        detections(),
    ]
    judge = judged(truth, found, 2)
    assert judge.value("ap") == pytest.approx(1.0)
    each = judge.by_class(np.ones((1, 2), np.int64))[0]
    assert each[0] == pytest.approx(1.0)
    assert np.isnan(each[1])


def random_case(rng: np.random.Generator, pictures: int) -> tuple[Boxes, list[Detections]]:
    """Objects of three classes, some ignored; answers near some of them and anywhere."""
    truth, found = [], []
    for _ in range(pictures):
        corner = rng.uniform(0, 0.7, (int(rng.integers(0, 7)), 2))
        boxes = np.concatenate([corner, corner + rng.uniform(0.05, 0.3, corner.shape)], 1)
        labels = rng.integers(0, 3, len(boxes))
        truth.append(
            [
                Noted(int(label), tuple(box.tolist()), bool(rng.random() < 0.1))
                for box, label in zip(boxes, labels, strict=True)
            ]
        )
        near = np.clip(boxes + rng.normal(0, 0.02, boxes.shape), 0, 1)
        other = rng.uniform(0, 0.5, (5, 2))
        anywhere = np.concatenate([other, other + rng.uniform(0.05, 0.5, other.shape)], 1)
        answers = [
            (tuple(box), float(score), int(label))
            for box, score, label in zip(
                np.concatenate([near, near, anywhere]).tolist(),
                rng.random(2 * len(near) + 5),
                np.concatenate([labels, labels, rng.integers(0, 3, 5)]),
                strict=True,
            )
        ]
        found.append(detections(*answers))
    return Boxes.gather(truth), found


def reference(truth: Boxes, found: list[Detections]) -> tuple[float, float, float]:
    """COCO's own evaluation, as its documentation writes it, in pixels."""
    owners = np.repeat(np.arange(len(found)), np.diff(truth.starts))
    with contextlib.redirect_stdout(io.StringIO()):
        coco = COCO()
        coco.dataset = {
            "images": [{"id": i, "width": PX, "height": PX} for i in range(len(found))],
            "categories": [{"id": k} for k in range(3)],
            "annotations": [
                {
                    "id": row + 1,
                    "image_id": int(owners[row]),
                    "category_id": int(truth.classes[row]),
                    "bbox": [x0, y0, x1 - x0, y1 - y0],
                    "area": (x1 - x0) * (y1 - y0),
                    "iscrowd": int(truth.ignored[row]),
                }
                for row, (x0, y0, x1, y1) in enumerate((truth.corners * PX).tolist())
            ],
        }
        coco.createIndex()
        given = coco.loadRes(
            [
                {
                    "image_id": i,
                    "category_id": int(label),
                    "score": float(score),
                    "bbox": [x0, y0, x1 - x0, y1 - y0],
                }
                for i, one in enumerate(found)
                for (x0, y0, x1, y1), score, label in zip(
                    (one.boxes * PX).tolist(), one.scores, one.classes, strict=True
                )
            ]
        )
        evaluation = COCOeval(coco, given, "bbox")
        evaluation.evaluate()
        evaluation.accumulate()
        evaluation.summarize()
    return tuple(evaluation.stats[:3])


def test_equals_pycocotools(rng: np.random.Generator) -> None:
    truth, found = random_case(rng, 60)
    ap, ap50, ap75 = reference(truth, found)
    judge = judged(truth, found, 3)
    assert 0.1 < ap < ap50 < 0.9, "neither trivial nor empty"
    assert judge.value("ap") == pytest.approx(ap, abs=1e-9)
    assert judge.value("ap50") == pytest.approx(ap50, abs=1e-9)
    assert judge.value("ap75") == pytest.approx(ap75, abs=1e-9)


def test_pictures_taken_several_times(rng: np.random.Generator) -> None:
    """Counts mean what they say: the same as a data set in which pictures come again."""
    truth, found = random_case(rng, 12)
    counts = rng.integers(0, 4, 12)
    taken = np.repeat(np.arange(12), counts)
    longer = judged(truth.of(taken), [found[i] for i in taken], 3)
    judge = judged(truth, found, 3)
    for metric in judge.metrics:
        weighed = judge.values(metric, np.stack([counts, np.ones_like(counts)]))
        assert weighed[0] == pytest.approx(longer.value(metric), abs=1e-9)
        assert weighed[1] == judge.value(metric)


def test_order_of_pictures_changes_nothing(rng: np.random.Generator) -> None:
    truth, found = random_case(rng, 10)
    hashes = rng.permutation(10).astype(np.uint64)
    judge = predictions_of(hashes, found, match(truth, found, 3, 100))
    assert judge.by_hash().value("ap") == pytest.approx(judge.value("ap"), abs=1e-12)


def test_nothing_found_is_nothing(rng: np.random.Generator) -> None:
    truth, found = random_case(rng, 4)
    nobody = [detections() for _ in found]
    assert judged(truth, nobody, 3).value("ap") == 0

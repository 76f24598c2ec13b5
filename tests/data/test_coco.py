"""COCO's JSON: what is right is read, what is wrong is named, and nothing else is lost."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from pycocotools import mask as coco_mask

from hotstart.data.coco import read_coco
from hotstart.data.outlines import clip_box, decode_mask
from hotstart.errors import DataError

SQUARE = [10.0, 10.0, 30.0, 10.0, 30.0, 30.0, 10.0, 30.0]


def coco(**changes: Any) -> dict[str, Any]:
    """Two pictures of 100 x 80 px, two classes, three annotations."""
    return {
        "categories": [{"id": 7, "name": "dog"}, {"id": 3, "name": "cat"}],
        "images": [
            {"id": 1, "file_name": "a.png", "width": 100, "height": 80},
            {"id": 2, "file_name": "b.png", "width": 100, "height": 80},
        ],
        "annotations": [
            {"id": 1, "image_id": 1, "category_id": 7, "bbox": [10, 20, 30, 40]},
            {"id": 2, "image_id": 1, "category_id": 3, "bbox": [0, 0, 5, 5], "iscrowd": 1},
            {"id": 3, "image_id": 2, "category_id": 3, "bbox": [1.5, 2.5, 10, 10]},
        ],
        **changes,
    }


def written(folder: Path, content: Any) -> Path:
    path = folder / "train.json"
    path.write_text(content if isinstance(content, str) else json.dumps(content))
    return path


def with_annotation(**entry: Any) -> dict[str, Any]:
    content = coco()
    content["annotations"].append({"id": 9, "image_id": 1, "category_id": 7, **entry})
    return content


def test_boxes_and_classes(tmp_path: Path) -> None:
    found = read_coco(written(tmp_path, coco()), "box")
    assert found.classes == ("cat", "dog"), "in the order of their ids"
    assert [one.file_name for one in found.pictures] == ["a.png", "b.png"]
    first, second = found.pictures[0].annotations
    assert (first.category, first.box, first.crowd) == (1, (10, 20, 40, 60), False)
    assert (second.category, second.crowd) == (0, True)
    assert found.problems == ()
    assert found.clipped == 0


@pytest.mark.parametrize(
    ("entry", "reason"),
    [
        ({"bbox": [10, 20, -30, 40]}, "width -30"),
        ({"bbox": [10, 20, 30, 0]}, "height 0"),
        ({"bbox": [10, 20, 30]}, "not four numbers"),
        ({"bbox": "10 20 30 40"}, "not four numbers"),
        ({"bbox": [10, 20, float("nan"), 40]}, "not four numbers"),
        ({"bbox": [10, 20, float("inf"), 40]}, "not four numbers"),
        ({"bbox": [200, 20, 30, 40]}, "outside of its picture of 100 x 80"),
        ({}, "no bbox"),
        ({"bbox": [1, 1, 5, 5], "category_id": 99}, "category_id 99"),
        ({"bbox": [1, 1, 5, 5], "image_id": 99}, "image_id 99"),
        ({"bbox": [1, 1, 5, 5], "image_id": {"id": 1}}, "image_id"),
    ],
)
def test_one_line_for_each_that_is_wrong(
    tmp_path: Path, entry: dict[str, Any], reason: str
) -> None:
    found = read_coco(written(tmp_path, with_annotation(**entry)), "box")
    (problem,) = found.problems
    assert problem.path == "train.json: annotation 9"
    assert reason in problem.reason
    assert "\n" not in problem.reason
    assert [len(one.annotations) for one in found.pictures] == [2, 1], "the rest is there"


def test_boxes_beyond_the_picture_are_cut_and_counted(tmp_path: Path) -> None:
    found = read_coco(written(tmp_path, with_annotation(bbox=[90, -10, 30, 40])), "box")
    assert found.pictures[0].annotations[-1].box == (90, 0, 100, 30)
    assert found.clipped == 1
    # Half a pixel is rounding, not a finding.
    found = read_coco(written(tmp_path, with_annotation(bbox=[90, 10, 10.5, 40])), "box")
    assert found.pictures[0].annotations[-1].box == (90, 10, 100, 50)
    assert found.clipped == 0


def test_entries_that_are_no_objects(tmp_path: Path) -> None:
    content = coco()
    content["images"] += [None, {"id": 1, "file_name": "again.png"}, {"id": 5}]
    content["categories"] += ["bird", {"id": 7, "name": "again"}]
    content["annotations"] += [17]
    found = read_coco(written(tmp_path, content), "box")
    told = [": ".join(problem) for problem in found.problems]
    assert len(told) == 6
    assert "train.json: image 1: its id is that of 'a.png' too" in told
    assert "train.json: category 7: its id is that of 'dog' too" in told
    assert "train.json: annotation at place 3: is no object" in told
    assert found.classes == ("cat", "dog")


def test_a_file_cut_in_half(tmp_path: Path) -> None:
    text = json.dumps(coco())
    with pytest.raises(DataError, match=r"train.json is no whole JSON: .* cut short") as raised:
        read_coco(written(tmp_path, text[: len(text) // 2]), "box")
    assert "\n" not in str(raised.value)


@pytest.mark.parametrize(
    ("content", "reason"),
    [
        ([], "is no COCO file"),
        ({"images": []}, "is no COCO file"),
        (coco(annotations=[]), "nothing to be used"),
        (coco(images=[]), "nothing to be used.*image_id 1"),
        (coco(categories=None), "nothing to be used: 0 categories"),
        ("", "no whole JSON"),
    ],
)
def test_nothing_usable_is_one_error(tmp_path: Path, content: Any, reason: str) -> None:
    with pytest.raises(DataError, match=reason):
        read_coco(written(tmp_path, content), "box")


def test_a_missing_file(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="cannot be read"):
        read_coco(tmp_path / "gone.json", "box")


def test_polygons_and_run_lengths(tmp_path: Path) -> None:
    block = np.zeros((80, 100), np.uint8, order="F")
    block[40:60, 10:20] = 1
    packed = coco_mask.encode(block)
    packed["counts"] = packed["counts"].decode()
    plain = block.reshape(-1, order="F").astype(int)
    runs = np.diff(np.flatnonzero(np.diff(np.r_[-1, plain, -1]))).tolist()
    for segmentation, expected in (
        ([SQUARE], (10, 10, 30, 30)),
        (packed, (10, 40, 20, 60)),
        ({"size": [80, 100], "counts": runs}, (10, 40, 20, 60)),
    ):
        entry = with_annotation(segmentation=segmentation)
        found = read_coco(written(tmp_path, entry), "box")
        assert found.problems == ()
        last = found.pictures[0].annotations[-1]
        assert last.box == expected, "taken from the segmentation"
        assert last.segmentation is not None
        mask = decode_mask(last.segmentation, 80, 100)
        x0, y0, x1, y1 = expected
        assert mask.shape == (80, 100)
        assert mask[y0:y1, x0:x1].all()
        assert mask.sum() == (x1 - x0) * (y1 - y0)


@pytest.mark.parametrize(
    ("segmentation", "reason"),
    [
        ([], "no segmentation"),
        ([[1, 2, 3, 4]], "polygon of 4 numbers"),
        ([[1, 2, 3, 4, 5, 6, 7]], "polygon of 7 numbers"),
        ([[1, 2, None, 4, 5, 6]], "finite numbers"),
        ({"size": [80, 100], "counts": [8000, 1]}, "do not add up"),
        ({"size": [80, 100], "counts": "PXX4"}, "does not add up"),
        ({"size": [80, 100], "counts": "o" * 400}, "does not add up"),
        ({"size": [40, 50], "counts": [2000]}, "50 x 40 px, the picture has 100 x 80"),
        ({"counts": [8000]}, "needs its size"),
        ({"size": [80, 100]}, "needs its counts"),
    ],
)
def test_damaged_segmentations(tmp_path: Path, segmentation: Any, reason: str) -> None:
    entry = with_annotation(bbox=[1, 1, 5, 5], segmentation=segmentation)
    content = coco(annotations=[entry["annotations"][-1], *(_outlined(coco()))])
    found = read_coco(written(tmp_path, content), "segmentation")
    (problem,) = found.problems
    assert reason in problem.reason
    assert sum(len(one.annotations) for one in found.pictures) == 3
    # Where boxes are all that is needed, there is nothing to complain about.
    assert read_coco(written(tmp_path, content), "box").problems == ()


def _outlined(content: dict[str, Any]) -> list[dict[str, Any]]:
    return [{**entry, "segmentation": [SQUARE]} for entry in content["annotations"]]


def test_clip_box_of_a_picture_of_unknown_size() -> None:
    assert clip_box((-5, 0, 500, 10), None, None) == (-5, 0, 500, 10)
    assert isinstance(clip_box((0, 0, float("inf"), 1), None, None), str)

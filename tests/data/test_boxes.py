"""Pictures with boxes in three formats: the same truth."""

from __future__ import annotations

import json
import os
import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from hotstart.data.boxes import BoxSet, open_boxes
from hotstart.data.telling import found_words
from hotstart.errors import DataError
from tests.boxed import COLOURS, as_voc, as_yolo


def opened(folder: Path) -> BoxSet:
    return open_boxes(folder, size=64)


def truth_of(dataset: BoxSet) -> dict[str, tuple[str, list[tuple[str, list[float]]]]]:
    """File name -> split, and class and corners of each object."""
    told = {}
    for i in range(len(dataset)):
        rows = dataset.boxes.rows(i)
        objects = [
            (dataset.classes[label], np.round(box.astype(float), 4).tolist())
            for label, box in zip(
                dataset.boxes.classes[rows], dataset.boxes.corners[rows], strict=True
            )
        ]
        told[Path(dataset.path(i)).name] = (dataset.split_names[dataset.split[i]], objects)
    return told


def test_three_formats_tell_the_same(coco: tuple[Path, dict[str, Any]], tmp_path: Path) -> None:
    folder, content = coco
    first = opened(folder)
    expected = truth_of(first)
    assert first.classes == ("blue", "red")
    assert first.quarantine == ()
    assert len(expected) == 11
    image = content["val"]["images"][1]
    split, objects = expected[image["file_name"]]
    (known, *_) = [a for a in content["val"]["annotations"] if a["image_id"] == image["id"]]
    x, y, w, h = known["bbox"]
    assert split == "val"
    assert objects[0][0] == list(COLOURS)[known["category_id"] - 1]
    assert objects[0][1] == pytest.approx([x / 96, y / 72, (x + w) / 96, (y + h) / 72], abs=1e-4)
    for name, convert in (("voc", as_voc), ("yolo", as_yolo)):
        convert(tmp_path / name, content, folder)
        other = opened(tmp_path / name)
        assert truth_of(other) == expected, name
        assert other.quarantine == ()


def test_layouts_of_coco(coco: tuple[Path, dict[str, Any]], tmp_path: Path) -> None:
    folder, content = coco
    expected = truth_of(opened(folder))
    own, roboflow = tmp_path / "own", tmp_path / "roboflow"
    (own / "annotations").mkdir(parents=True)
    for split, ours, theirs in (
        ("train", "train2017", "train"),
        ("val", "val2017", "valid"),
        ("test", "test2017", "test"),
    ):
        (own / ours).mkdir()
        (roboflow / theirs).mkdir(parents=True)
        for image in content[split]["images"]:
            for target in (own / ours, roboflow / theirs):
                shutil.copy(folder / "images" / image["file_name"], target)
        text = json.dumps(content[split])
        (own / "annotations" / f"instances_{ours}.json").write_text(text)
        (own / "annotations" / f"captions_{ours}.json").write_text('{"images": []}')
        (roboflow / theirs / "_annotations.coco.json").write_text(text)
    assert truth_of(opened(own)) == expected
    assert truth_of(opened(roboflow)) == expected


def test_one_file_is_cut_into_splits(coco: tuple[Path, dict[str, Any]]) -> None:
    folder, _ = coco
    (folder / "train.json").rename(folder / "all.json")
    for name in ("val.json", "test.json"):
        (folder / name).unlink()
    dataset = opened(folder / "all.json")
    assert np.bincount(dataset.split, minlength=3).tolist() == [4, 1, 1]


def test_turned_and_very_long_pictures(tmp_path: Path) -> None:
    """EXIF turns a picture before its boxes are read; a long one is cut, and its boxes with it."""
    exif = Image.Exif()
    exif[0x0112] = 6
    turned = Image.new("RGB", (60, 40))
    turned.save(tmp_path / "turned.jpg", exif=exif)
    Image.new("RGB", (800, 50)).save(tmp_path / "long.png")
    (tmp_path / "all.json").write_text(
        json.dumps(
            {
                "categories": [{"id": 1, "name": "thing"}],
                "images": [
                    {"id": 1, "file_name": "turned.jpg"},
                    {"id": 2, "file_name": "long.png", "width": 800, "height": 50},
                ],
                "annotations": [
                    {"id": 1, "image_id": 1, "category_id": 1, "bbox": [0, 30, 20, 30]},
                    {"id": 2, "image_id": 2, "category_id": 1, "bbox": [400, 0, 50, 25]},
                    {"id": 3, "image_id": 2, "category_id": 1, "bbox": [10, 0, 50, 25]},
                ],
            }
        )
    )
    dataset = opened(tmp_path)
    told = truth_of(dataset)
    assert told["turned.jpg"][1] == [("thing", [0.0, 0.5, 0.5, 1.0])]
    # The middle 200 px, from 300 on, are kept.
    assert told["long.png"][1] == [("thing", [0.5, 0.0, 0.75, 0.5])]


def test_a_picture_in_two_splits_is_an_error(coco: tuple[Path, dict[str, Any]]) -> None:
    folder, _ = coco
    shutil.copy(folder / "images" / "train-000.png", folder / "images" / "val-001.png")
    with pytest.raises(DataError, match=r"1 pictures are in two splits.*--allow-leak"):
        opened(folder)
    allowed = open_boxes(folder, size=64, allow_leak=True)
    assert len(allowed) == 11
    assert allowed.notes == (
        "warning: 1 pictures are in two splits: the score counts what was learnt of them by heart",
    )


def test_what_was_found_is_told(coco: tuple[Path, dict[str, Any]]) -> None:
    folder, content = coco
    content["train"]["categories"].append({"id": 3, "name": "green"})
    content["train"]["annotations"][0]["bbox"] = [90, 60, 50, 50]
    content["train"]["annotations"][1]["bbox"] = [5, 5, -1, 5]
    (folder / "train.json").write_text(json.dumps(content["train"]))
    dataset = opened(folder)
    first, *others = found_words(dataset)
    assert "COCO boxes, 11 pictures (train 6, val 3, test 2), 3 classes: blue, red, green" in first
    assert first.endswith(" boxes; 96 x 72 px")
    assert others == [
        "1 boxes reached beyond their picture and were cut at its edge",
        "1 annotations or pictures were left out",
        "warning: no example in train of green: nobody can learn what is never shown",
        "left out: train.json: annotation 1: box of width -1 and height 5: both must be above 0",
    ]


def test_fingerprint_knows_the_boxes(coco: tuple[Path, dict[str, Any]]) -> None:
    folder, content = coco
    before = opened(folder)
    assert opened(folder).fingerprint == before.fingerprint
    content["train"]["annotations"][0]["bbox"][2] -= 1
    (folder / "train.json").write_text(json.dumps(content["train"]))
    assert opened(folder).fingerprint != before.fingerprint
    assert before.keys == {"image", "index", "group", "boxes"}
    assert before.describe()["boxes"] == sum(len(one["annotations"]) for one in content.values())


def test_real_blood_cells(real_data: Path, tmp_path: Path) -> None:
    """364 pictures of blood cells with 4,886 boxes, as their makers counted them."""
    import zipfile

    with zipfile.ZipFile(real_data / "detection.zip") as file:
        file.extractall(
            tmp_path, [n for n in file.namelist() if "/bccd/" in n or n.startswith("bccd")]
        )
    dataset = open_boxes(next(tmp_path.rglob("bccd")), size=64)
    assert np.bincount(dataset.split).tolist() == [205, 87, 72]
    assert dataset.classes == ("WBC", "RBC", "Platelets")
    assert len(dataset.boxes.classes) == 4886
    assert os.sep not in dataset.name[-4:]

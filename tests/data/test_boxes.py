"""Pictures with boxes in three formats: the same truth, and one line for each thing wrong."""

from __future__ import annotations

import json
import os
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from hotstart.data.boxes import BoxSet, open_boxes
from hotstart.data.telling import found_words
from hotstart.errors import DataError
from tests.boxed import COLOURS, as_voc, as_yolo, write_coco

COUNTS = {"train": 6, "val": 3, "test": 2}


@pytest.fixture
def coco(tmp_path: Path) -> tuple[Path, dict[str, Any]]:
    """A folder in COCO's format and the content of its files."""
    return tmp_path / "coco", write_coco(tmp_path / "coco", COUNTS)


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


def broken(change: Callable[[Path, dict[str, Any]], None], folder: Path) -> BoxSet:
    content = json.loads((folder / "train.json").read_text())
    change(folder, content)
    (folder / "train.json").write_text(json.dumps(content))
    return opened(folder)


def _missing(folder: Path, content: dict[str, Any]) -> None:
    (folder / "images" / content["images"][0]["file_name"]).unlink()


def _unreadable(folder: Path, content: dict[str, Any]) -> None:
    (folder / "images" / content["images"][0]["file_name"]).write_bytes(b"no picture")


def _another_shape(folder: Path, content: dict[str, Any]) -> None:
    content["images"][0]["width"] = 500


def _negative(folder: Path, content: dict[str, Any]) -> None:
    content["annotations"].append(
        {"image_id": 1, "category_id": 1, "bbox": [5, 5, -3, 4], "id": 99}
    )


def _unknown(folder: Path, content: dict[str, Any]) -> None:
    content["annotations"].append({"image_id": 1, "category_id": 7, "bbox": [5, 5, 3, 4], "id": 99})


@pytest.mark.parametrize(
    ("change", "pictures", "reason"),
    [
        (_missing, 10, "'train-000.png' is missing"),
        (_unreadable, 10, "not a picture"),
        (_another_shape, 10, "annotated as 500 x 72 px, it has 96 x 72"),
        (_negative, 11, "width -3"),
        (_unknown, 11, "category_id 7"),
    ],
)
def test_one_line_and_the_rest_goes_on(
    coco: tuple[Path, dict[str, Any]],
    change: Callable[[Path, dict[str, Any]], None],
    pictures: int,
    reason: str,
) -> None:
    dataset = broken(change, coco[0])
    (line,) = dataset.quarantine
    assert reason in line.reason
    assert len(dataset) == pictures
    assert any(note == "1 annotations or pictures were left out" for note in dataset.notes)


def test_a_json_cut_in_half(coco: tuple[Path, dict[str, Any]]) -> None:
    folder, _ = coco
    text = (folder / "test.json").read_text()
    (folder / "test.json").write_text(text[: len(text) // 2])
    dataset = opened(folder)
    (line,) = dataset.quarantine
    assert line.path == "test.json"
    assert "cut short" in line.reason
    assert len(dataset) == 9
    for name in ("train.json", "val.json"):
        (folder / name).write_text("{")
    with pytest.raises(DataError, match="no whole JSON"):
        opened(folder)


def test_voc_that_is_wrong(coco: tuple[Path, dict[str, Any]], tmp_path: Path) -> None:
    folder, content = coco
    root = tmp_path / "voc"
    as_voc(root, content, folder)
    files = sorted((root / "Annotations").glob("train-*.xml"))
    files[0].write_text("")
    files[1].write_text(files[1].read_text()[:80])
    text = files[2].read_text()
    files[2].write_text(text.replace("<object>", "<object><name> </name></object><object>", 1))
    files[3].write_text(text.replace(files[2].stem, "nowhere"))
    dataset = opened(root)
    told = {line.path: line.reason for line in dataset.quarantine}
    assert told.keys() == {"train-000.xml", "train-001.xml", "train-002.xml"}
    assert told["train-000.xml"] == "is empty"
    assert "no whole XML" in told["train-001.xml"]
    assert "without a name" in told["train-002.xml"]
    assert len(dataset) == 9, "a picture that its XML calls by an old name is found by the XML's"


def test_yolo_that_is_wrong(coco: tuple[Path, dict[str, Any]], tmp_path: Path) -> None:
    folder, content = coco
    root = tmp_path / "yolo"
    as_yolo(root, content, folder)
    file = root / "labels" / "train" / "train-000.txt"
    file.write_text(
        "0 0.5 0.5 0.2 0.2\n5 0.5 0.5 0.2 0.2\n0 0.5 0.5 -0.2 0.2\n0 0.5\nx y\n"
        "1 0.1 0.1 0.3 0.1 0.3 0.4\n0 0.95 0.5 0.2 0.2\n"
    )
    dataset = opened(root)
    told = [f"{line.path} {line.reason}" for line in dataset.quarantine]
    assert len(told) == 4
    assert "line 2 class 5: whole numbers from 0 to 1" in told[0]
    assert "width -0.2" in told[1]
    assert "has 1 numbers after its class" in told[2]
    assert "not made of numbers" in told[3]
    objects = truth_of(dataset)["train-000.png"][1]
    assert objects[1] == ("red", [0.1, 0.1, 0.3, 0.4]), "an outline"
    assert objects[2][1][2] == 1.0
    assert any("1 boxes reached beyond" in note for note in dataset.notes)


def test_nothing_usable_is_one_error(coco: tuple[Path, dict[str, Any]], tmp_path: Path) -> None:
    folder, _ = coco
    shutil.rmtree(folder / "images")
    (folder / "images").mkdir()
    Image.new("RGB", (9, 9)).save(folder / "images" / "other.png")
    with pytest.raises(DataError, match=r"no usable box.*is missing") as raised:
        opened(folder)
    assert "\n" not in str(raised.value)
    for name in ("train", "val", "test"):
        (folder / f"{name}.json").unlink()
    with pytest.raises(DataError, match="no annotations beside its 1 pictures"):
        opened(folder)
    with pytest.raises(DataError, match="no folder"):
        opened(tmp_path / "gone")


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
    assert len(open_boxes(folder, size=64, allow_leak=True)) == 11


def test_what_was_found_is_told(coco: tuple[Path, dict[str, Any]]) -> None:
    folder, content = coco
    content["train"]["categories"].append({"id": 3, "name": "green"})
    content["train"]["annotations"][0]["bbox"] = [90, 60, 50, 50]
    content["train"]["annotations"][1]["bbox"] = [5, 5, -1, 5]
    (folder / "train.json").write_text(json.dumps(content["train"]))
    dataset = opened(folder)
    first, *others = found_words(dataset)
    assert "COCO boxes, 11 pictures (train 6, val 3, test 2), 3 classes: blue, red, green" in first
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

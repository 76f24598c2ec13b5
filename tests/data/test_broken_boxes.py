"""Annotations with something wrong: one line for each thing, and work goes on with the rest."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from PIL import Image

from hotstart.data.boxes import BoxSet
from hotstart.errors import DataError
from tests.boxed import as_voc, as_yolo
from tests.data.test_boxes import opened, truth_of


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


def test_voc_lists_what_has_no_xml(coco: tuple[Path, dict[str, Any]], tmp_path: Path) -> None:
    folder, content = coco
    root = tmp_path / "voc"
    as_voc(root, content, folder)
    for name in ("train-001", "test-000"):
        (root / "Annotations" / f"{name}.xml").unlink()
    dataset = opened(root)
    assert [tuple(line) for line in dataset.quarantine] == [
        ("ImageSets/Main/test.txt: test-000", "has no XML"),
        ("ImageSets/Main/train.txt: train-001", "has no XML"),
    ]
    assert "2 annotations or pictures were left out" in dataset.notes
    assert len(dataset) == 9
    (root / "Annotations" / "test-001.xml").unlink()
    dataset = opened(root)
    assert [line.path for line in dataset.quarantine] == ["ImageSets/Main/train.txt: train-001"]
    # As in VOC 2012, whose test split is asked on a server alone.
    assert "ImageSets/Main/test.txt lists 2 pictures, none of them with XML" in dataset.notes


def test_yolo_labels_without_a_picture(coco: tuple[Path, dict[str, Any]], tmp_path: Path) -> None:
    folder, content = coco
    root = tmp_path / "yolo"
    as_yolo(root, content, folder)
    (root / "images" / "val" / "val-001.png").unlink()
    (root / "labels" / "classes.txt").write_text("blue\nred\n")
    (root / "images" / "train" / "readme.txt").write_text("Taken in May.\n")
    (root / "images" / "train" / "gone.txt").write_text("0 0.5 0.5 0.2 0.2\n")
    dataset = opened(root)
    assert [tuple(line) for line in dataset.quarantine] == [
        ("images/train/gone.txt", "its picture is missing"),
        ("labels/val/val-001.txt", "its picture is missing"),
    ]
    assert "2 annotations or pictures were left out" in dataset.notes
    assert len(dataset) == 10
    for picture in (root / "images").rglob("*.png"):
        picture.rename(root / picture.name.replace("-", ""))
    with pytest.raises(DataError, match=r"none of the 11 label files of .* has both a box and a"):
        opened(root)


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

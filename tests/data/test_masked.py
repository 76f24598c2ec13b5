"""Pictures with label maps: every layout, every complaint, and no leak."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from hotstart.data.masked import MaskedDataset, open_masked
from hotstart.errors import DataError
from tests.data.scenes import save, scene, write_coco, write_scenes

Open = Callable[..., MaskedDataset]


@pytest.fixture
def opened(tmp_path: Path) -> Open:
    def call(root: Path, **options: Any) -> MaskedDataset:
        return open_masked(root, cache_dir=tmp_path / "cache", **options)

    return call


def check(dataset: MaskedDataset) -> None:
    """Each picture has its own label map."""
    assert dataset.mask_classes[-2:] in (("1", "2"), ("disc", "square"), ("aeroplane", "bicycle"))
    for i in range(len(dataset)):
        picture, labels = scene(int(Path(dataset.path(i)).stem))
        batch = dataset.batch(np.array([i]), {"image", "mask"})
        assert np.array_equal(batch["image"][0].numpy(), picture)
        assert np.array_equal(batch["mask"].maps[0].numpy(), labels)


@pytest.mark.parametrize(
    ("train", "val", "ending"),
    [
        (("train/images", "train/masks"), ("val/images", "val/masks"), ""),
        (("images/train", "labels/train"), ("images/valid", "labels/valid"), "_mask"),
        (("train", "trainannot"), ("val", "valannot"), ""),
        (("train_images", "train_masks"), ("val_images", "val_masks"), "_L"),
    ],
)
def test_splits_side_by_side(
    tmp_path: Path, opened: Open, train: tuple[str, str], val: tuple[str, str], ending: str
) -> None:
    root = tmp_path / "data"
    for (pictures, masks), seeds in ((train, [1, 2, 3]), (val, [4, 5])):
        write_scenes(root, seeds, pictures=pictures, masks=masks, ending=ending)
    dataset = opened(root)
    assert [len(dataset.indices(split)) for split in ("train", "val", "test")] == [3, 2, 0]
    assert not dataset.quarantine
    check(dataset)


def test_without_splits_they_are_drawn(tmp_path: Path, opened: Open) -> None:
    dataset = opened(write_scenes(tmp_path / "data", range(20)))
    assert [len(dataset.indices(split)) for split in ("train", "val", "test")] == [12, 4, 4]
    check(dataset)
    told = dataset.describe()
    assert (told["pictures"], told["classes"], told["without_examples"]) == (20, 3, [])


def test_voc(tmp_path: Path, opened: Open) -> None:
    root = tmp_path / "VOCdevkit" / "VOC2012"
    lists = root / "ImageSets" / "Segmentation"
    lists.mkdir(parents=True)
    for seed in range(4):
        picture, labels = scene(seed)
        save(root / "JPEGImages" / f"{seed:03d}.png", picture)
        save(root / "SegmentationClass" / f"{seed:03d}.png", labels, palette=True)
    save(root / "JPEGImages" / "099.png", scene(99)[0])  # of classification alone
    (lists / "train.txt").write_text("000\n001\n077\n")
    (lists / "val.txt").write_text("002\n003\n")
    dataset = opened(tmp_path)
    assert [len(dataset.indices(split)) for split in ("train", "val")] == [2, 2]
    assert dataset.mask_classes[:3] == ("background", "aeroplane", "bicycle")
    assert len(dataset.mask_classes) == 21
    assert "person" in dataset.describe()["without_examples"]
    assert [problem.reason for problem in dataset.quarantine] == ["has no label map"]
    assert np.array_equal(dataset.label_map(0), scene(0)[1])


def test_coco_polygons_and_run_lengths(tmp_path: Path, opened: Open) -> None:
    write_coco(tmp_path, "train.json", [1, 2])
    content = write_coco(tmp_path, "instances_val.json", [3])
    (tmp_path / "train.json").rename(tmp_path / "instances_train.json")
    content["annotations"].append({"id": 50, "image_id": 3, "category_id": 77})
    content["images"].append({"id": 4, "file_name": "gone.png", "width": 9, "height": 9})
    (tmp_path / "instances_val.json").write_text(json.dumps(content))
    dataset = opened(tmp_path)
    assert dataset.mask_classes == ("background", "disc", "square")
    assert [len(dataset.indices(split)) for split in ("train", "val")] == [2, 1]
    assert {problem.reason for problem in dataset.quarantine} == {
        "category_id 77 is not among the categories",
        "picture not found below the data",
    }
    for i in range(3):
        _, labels = scene(int(Path(dataset.path(i)).stem))
        ours = dataset.label_map(i)
        # Where both lie, the smaller one is on top; a polygon's rim is COCO's.
        assert (ours == labels)[labels == 1].mean() > 0.9
        assert (ours == labels).mean() > 0.95


def test_a_json_cut_in_half_is_named(tmp_path: Path, opened: Open) -> None:
    for name, seeds in (("train", [1, 2]), ("val", [3]), ("test", [4])):
        write_coco(tmp_path, f"{name}.json", seeds)
    text = (tmp_path / "val.json").read_text()
    (tmp_path / "val.json").write_text(text[: len(text) // 2])
    (tmp_path / "test.json").write_text('{"images": [], "annotations": [], "categories": []}')
    dataset = opened(tmp_path)
    assert len(dataset) == 2
    first, second = dataset.quarantine
    assert first.path == "val.json"
    assert first.reason.startswith("is no whole JSON")
    assert first.reason.endswith("was it cut short?")
    assert second.path == "test.json"
    assert "has nothing to be used" in second.reason
    (tmp_path / "train.json").write_text(text[: len(text) // 2])
    (tmp_path / "test.json").unlink()
    with pytest.raises(DataError, match="is no whole JSON"):
        opened(tmp_path)


def test_what_is_wrong_is_named_and_the_rest_goes_on(tmp_path: Path, opened: Open) -> None:
    root = write_scenes(tmp_path / "data", range(1, 9))
    save(root / "masks" / "001.png", scene(1)[1][:-3])
    (root / "masks" / "002.png").write_bytes(b"nonsense")
    (root / "images" / "003.png").write_bytes((root / "images" / "003.png").read_bytes()[:90])
    (root / "images" / "004.png").unlink()
    (root / "masks" / "005.png").unlink()
    save(root / "masks" / "006.png", np.full((40, 48), 255, np.uint8))
    Image.fromarray(scene(7)[1]).save(root / "masks" / "007.jpg")
    (root / "masks" / "007.png").unlink()
    dataset = opened(root)
    assert len(dataset) == 1
    told = {Path(one.path).name: one.reason for one in dataset.quarantine}
    assert told == {
        "001.png": "its label map has 48 x 37 px, the picture 48 x 40",
        "002.png": "its label map is not a picture: its first bytes are those of no known format",
        "003.png": "truncated: the end of the PNG is missing",
        "004.png": "its picture is missing",
        "005.png": "has no label map",
        "006.png": "its label map has nothing but ignored pixels",
        "007.png": "its label map is a JPEG, which does not keep values: save it as PNG",
    }


def test_nothing_usable_is_one_error(tmp_path: Path, opened: Open) -> None:
    with pytest.raises(DataError, match="no picture with a label map; segmentation needs"):
        opened(tmp_path)
    root = write_scenes(tmp_path / "data", [1, 2])
    for seed in (1, 2):
        (root / "masks" / f"00{seed}.png").write_bytes(b"")
    with pytest.raises(DataError, match=r"none of its 2 pictures has a label map.*images/001.png"):
        opened(root)
    with pytest.raises(DataError, match="is no folder"):
        opened(root / "images" / "001.png")


def test_values_names_and_what_is_ignored(tmp_path: Path, opened: Open) -> None:
    root = write_scenes(tmp_path / "data", range(5))
    dataset = opened(root, ignore=[2])
    assert dataset.mask_classes == ("0", "1")
    labels = scene(int(Path(dataset.path(0)).stem))[1]
    assert np.array_equal(dataset.label_map(0), np.where(labels == 2, 255, labels))
    assert dataset.pixels.sum() == sum((scene(s)[1] != 2).sum() for s in range(5))
    plain = opened(root)
    assert dataset.fingerprint != plain.fingerprint
    named = opened(root, names=["wall", "disc", "square", "never"])
    assert named.mask_classes == ("wall", "disc", "square", "never")
    assert named.describe()["without_examples"] == ["never"]
    (root / "classes.txt").write_text("wall\ndisc\n")
    with pytest.raises(DataError, match="holds the value 2, which is none of the 2 classes"):
        opened(root)


def test_0_and_255_are_background_and_foreground(tmp_path: Path, opened: Open) -> None:
    root = tmp_path / "data"
    for seed in range(5):
        picture, labels = scene(seed)
        save(root / "images" / f"{seed}.png", picture)
        save(root / "masks" / f"{seed}.png", ((labels > 0) * 255).astype(np.uint8))
    dataset = opened(root)
    assert dataset.mask_classes == ("0", "255")
    assert set(np.unique(dataset.label_map(0))) == {0, 1}


def test_colours_are_classes(tmp_path: Path, opened: Open) -> None:
    root = tmp_path / "data"
    colours = np.array([[0, 0, 0], [255, 0, 0], [0, 0, 255]], np.uint8)
    for seed in range(5):
        picture, labels = scene(seed)
        save(root / "images" / f"{seed}.png", picture)
        save(root / "masks" / f"{seed}.png", colours[labels])
    dataset = opened(root)
    assert dataset.mask_classes == ("#000000", "#0000ff", "#ff0000")
    for i in range(5):
        labels = scene(int(Path(dataset.path(i)).stem))[1]
        assert np.array_equal(dataset.label_map(i), np.array([0, 2, 1])[labels])


def test_a_leak_is_an_error_unless_allowed(tmp_path: Path, opened: Open) -> None:
    root = tmp_path / "data"
    write_scenes(root, [1, 2], pictures="train/images", masks="train/masks")
    write_scenes(root, [3], pictures="val/images", masks="val/masks")
    for kind in ("images", "masks"):
        shutil.copy(root / "train" / kind / "001.png", root / "val" / kind / "copy.png")
    with pytest.raises(DataError, match=r"1 pictures are in two splits.*--allow-leak"):
        opened(root)
    allowed = opened(root, allow_leak=True)
    assert len(allowed) == 4
    assert allowed.notes == (
        "warning: 1 pictures are in two splits: the score counts what was learnt of them by heart",
    )


def test_a_picture_that_its_tag_turns_needs_an_upright_label_map(
    tmp_path: Path, opened: Open
) -> None:
    root = write_scenes(tmp_path / "data", range(1, 4))
    for name in ("001", "002"):
        picture, labels = scene(int(name))
        tag = Image.Exif()
        tag[0x0112] = 6  # the camera lay on its side: turn by a quarter
        lying = Image.fromarray(np.rot90(picture).copy())
        lying.save(root / "images" / f"{name}.jpg", exif=tag, quality=95)
        (root / "images" / f"{name}.png").unlink()
        save(root / "masks" / f"{name}.png", labels if name == "001" else np.rot90(labels).copy())
    dataset = opened(root)
    assert {Path(dataset.path(i)).stem for i in range(len(dataset))} == {"001", "003"}
    (problem,) = dataset.quarantine
    assert problem.reason == "its label map has 40 x 48 px, the picture 48 x 40"


def test_a_changed_label_map_changes_the_fingerprint(tmp_path: Path, opened: Open) -> None:
    root = write_scenes(tmp_path / "data", range(5))
    before = opened(root).fingerprint
    assert opened(root).fingerprint == before
    labels = scene(3)[1]
    labels[0, 0] = 1
    save(root / "masks" / "003.png", labels)
    assert opened(root).fingerprint != before

"""What DATA is taken for, and what is said when it is nothing."""

from __future__ import annotations

import os
from pathlib import Path

import numpy as np
import pytest

from hotstart.data import named, open_dataset
from hotstart.data.discover import discover
from hotstart.data.splits import SPLITS
from hotstart.data_names import DIGITS, NAMES, check_data
from hotstart.errors import DataError, UsageError
from tests.data.conftest import Make


def splits_of(found_split: object) -> list[str]:
    assert isinstance(found_split, np.ndarray)
    return [SPLITS[code] for code in found_split]


def test_pictures_at_any_depth_are_unlabelled(tmp_path: Path, picture: Make) -> None:
    for name in ("a.png", "x/b.JPG", "x/y/z/c.webp", ".hidden.png", ".git/d.png", "x/notes.txt"):
        if name.endswith("txt"):
            (tmp_path / name).write_text("no picture")
        else:
            picture(tmp_path / name)
    found = discover(tmp_path)
    paths = [found.source.path(i) for i in range(len(found.source))]
    assert paths == ["a.png", "x/b.JPG", "x/y/z/c.webp"]
    assert found.labels is None
    assert found.split is None
    assert found.kind == "unlabelled pictures"
    assert "1 files that are no pictures" in found.notes[0]


def test_class_folders(tmp_path: Path, picture: Make) -> None:
    for name in ("dog/1.png", "cat/2.png", "cat/1.png", "empty/readme.md"):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        if name.endswith("png"):
            picture(tmp_path / name)
    found = discover(tmp_path)
    assert found.classes == ("cat", "dog")
    assert found.labels is not None
    assert found.labels.tolist() == [0, 0, 1]
    assert found.split is None


def test_one_folder_is_no_classes(tmp_path: Path, picture: Make) -> None:
    picture(tmp_path / "holiday" / "1.png")
    assert discover(tmp_path).labels is None


def test_a_picture_outside_the_classes_makes_them_folders(tmp_path: Path, picture: Make) -> None:
    for name in ("cat/1.png", "dog/1.png", "stray.png"):
        picture(tmp_path / name)
    found = discover(tmp_path)
    assert found.labels is None
    assert "stray.png does not lie exactly one folder below" in found.notes[0]


@pytest.mark.parametrize(
    ("folders", "names"),
    [
        (("train", "test"), {"train", "test"}),
        (("train", "val"), {"train", "val"}),
        (("Train", "validation", "Test"), {"train", "val", "test"}),
        (("training", "valid"), {"train", "val"}),
    ],
)
def test_split_folders(
    tmp_path: Path, picture: Make, folders: tuple[str, ...], names: set[str]
) -> None:
    for folder in folders:
        for label in ("cat", "dog"):
            picture(tmp_path / folder / label / "1.png")
    found = discover(tmp_path)
    assert found.classes == ("cat", "dog")
    assert set(splits_of(found.split)) == names


def test_split_folders_without_classes(tmp_path: Path, picture: Make) -> None:
    for name in ("train/1.png", "train/deep/2.png", "test/3.png"):
        picture(tmp_path / name)
    found = discover(tmp_path)
    assert found.labels is None
    assert splits_of(found.split) == ["test", "train", "train"]


def test_pictures_beside_the_splits_are_unlabelled_train(tmp_path: Path, picture: Make) -> None:
    for name in ("train/cat/1.png", "train/dog/1.png", "test/cat/1.png", "unlabeled/1.png"):
        picture(tmp_path / name)
    found = discover(tmp_path)
    assert found.labels is not None
    assert found.labels.tolist() == [0, 0, 1, -1]
    assert splits_of(found.split) == ["test", "train", "train", "train"]


def test_links_are_followed_but_not_in_circles(tmp_path: Path, picture: Make) -> None:
    picture(tmp_path / "elsewhere" / "1.png")
    data = tmp_path / "data"
    picture(data / "cat" / "2.png")
    (data / "dog").symlink_to(tmp_path / "elsewhere")
    (data / "cat" / "back").symlink_to(data)
    (data / "cat" / "gone.png").symlink_to(data / "nowhere.png")
    found = discover(data)
    assert [found.source.path(i) for i in range(2)] == ["cat/2.png", "dog/1.png"]
    assert found.problems == (("cat/gone.png", "broken link"),)


def test_names_that_are_not_utf8(tmp_path: Path, picture: Make) -> None:
    picture(tmp_path / "ok.png")
    os.rename(tmp_path / "ok.png", os.path.join(os.fsencode(tmp_path), b"caf\xe9.png"))  # noqa: PTH104, PTH118
    (tmp_path / "bad\udce9.png").write_bytes(b"")
    dataset = open_dataset(tmp_path, size=16)
    assert dataset.path(0) == r"caf\xe9.png"
    dataset.write_quarantine(tmp_path / "quarantine.csv")
    assert r"bad\xe9.png,empty" in (tmp_path / "quarantine.csv").read_text(encoding="utf-8")


def test_groups_by_regular_expression(tmp_path: Path, picture: Make) -> None:
    for name in ("ann_1.png", "ann_2.png", "bob_1.png", "nobody.png", "someone.png"):
        picture(tmp_path / name)
    groups = discover(tmp_path, group=r"^([a-z]+)_").groups
    assert groups is not None
    assert groups[0] == groups[1]
    assert len(set(groups.tolist())) == 4
    whole = discover(tmp_path, group="^...").groups
    assert whole is not None
    assert len(set(whole.tolist())) == 4
    with pytest.raises(UsageError, match="matches none of 5 paths"):
        discover(tmp_path, group="zebra")
    with pytest.raises(UsageError, match="not a regular expression"):
        discover(tmp_path, group="(")


def test_errors_say_what_to_do(tmp_path: Path, picture: Make) -> None:
    empty = tmp_path / "empty"
    empty.mkdir()
    with pytest.raises(DataError, match=r"holds no pictures: it is empty.*\.jpg"):
        discover(empty)
    (empty / "a.txt").write_text("")
    with pytest.raises(DataError, match=r"none of its 1 files \(such as a.txt\)"):
        discover(empty)
    with pytest.raises(DataError, match=r"no file or folder .*DATA is a folder.*cifar10"):
        discover("cifr10")
    picture(tmp_path / "one.png")
    with pytest.raises(DataError, match="is a single file"):
        discover(tmp_path / "one.png")
    with pytest.raises(UsageError, match="label='kind' names a column of a table"):
        discover(tmp_path, label="kind")
    with pytest.raises(DataError):
        discover("x" * 5000)


def test_folder_of_unreadable_files_is_one_error(tmp_path: Path) -> None:
    (tmp_path / "a.png").write_bytes(b"")
    with pytest.raises(DataError, match=r"none of the 1 pictures .* a.png: empty"):
        open_dataset(tmp_path, size=32)


def test_every_name_that_is_told_is_one_that_is_known(tmp_path: Path) -> None:
    assert set(NAMES) == {DIGITS, *named._TORCHVISION}
    for name in (*NAMES, "CIFAR-10", "world:images?n=2", f"frames:{tmp_path}", tmp_path, None):
        check_data(name)
    with pytest.raises(DataError, match=r"no file or folder 'cifra10'.*nearest: cifar10"):
        check_data("cifra10")

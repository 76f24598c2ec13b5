"""The gallery: the same pictures for every task, runs answer, names stay names."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from hotstart import api
from hotstart.data import Dataset, open_dataset, pretraining_split
from hotstart.errors import DataError, UsageError
from hotstart.league.asked import asked_for
from hotstart.league.gallery import Gallery, look, pool_of
from hotstart.league.map import PER_ROW, SMALL_PX
from hotstart.pretext.panels import SHOWN
from hotstart.pretext.registry import TASKS
from tests.report.fake_runs import HOSTILE
from tests.report.test_report_page import Page

OF_PICTURES = [
    name
    for name, entry in TASKS.items()
    if entry.family != "control" and {"image", "index", "group"}.issuperset(entry.needs)
]
NAME = HOSTILE.replace("/", "\u2215")
"""A file may be called so."""
COUNT, SIZE = 60, 16


@pytest.fixture(scope="module")
def photos(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Pictures of one colour each, all with names that want to be markup."""
    folder = tmp_path_factory.mktemp("photos")
    for i in range(COUNT):
        picture = np.zeros((SIZE, SIZE, 3), np.uint8)
        picture[:] = (4 * i, 255 - 4 * i, 128)
        Image.fromarray(picture).save(folder / f"{NAME}{i}.png")
    return folder


@pytest.fixture(scope="module")
def runs(tmp_path_factory: pytest.TempPathFactory, photos: Path) -> Path:
    """A generative and a predictive run on these pictures."""
    folder = tmp_path_factory.mktemp("runs")
    for task in ("inpainting", "rotation"):
        api.pretrain(str(photos), task=task, steps=2, batch_size=16, size=SIZE, out=folder / task)
    return folder


@pytest.fixture(scope="module")
def pictures(photos: Path) -> Dataset:
    return open_dataset(photos, size=SIZE)


def looked(
    photos: Path, tasks: list[str], folders: list[Path], save: Path | None = None
) -> Gallery:
    import torch

    return look(
        asked_for(tasks, folders, makes=save is not None),
        lambda side, run: open_dataset(photos, size=side),
        size=None,
        seed=0,
        device=torch.device("cpu"),
        task_settings={},
        save=save,
    )


def test_every_task_is_there_untrained(photos: Path) -> None:
    found = looked(photos, ["all"], [])
    tasks = [name for name, entry in TASKS.items() if entry.family != "control"]
    assert [scene.task for scene in found.scenes] == OF_PICTURES
    assert [name for name, _ in found.left_out] == [n for n in tasks if n not in OF_PICTURES]
    assert not found.held_out
    for scene in found.scenes:
        assert scene.idea
        assert scene.panels
        assert not scene.neighbours
        for panel in scene.panels:
            told = " ".join(text for texts in panel.texts for text in texts)
            assert "said" not in told, "an untrained task has no answer"


@pytest.mark.slow
def test_a_run_on_videos_shows_its_frames_and_what_is_like_them(
    film_folder: Path, tmp_path: Path
) -> None:
    run = tmp_path / "order"
    api.pretrain(
        str(film_folder), task="order_verification", steps=1, batch_size=4, size=SIZE, out=run
    )
    (scene,) = looked(film_folder, ["order_verification"], [run]).scenes
    assert [panel.kind for panel in scene.panels] == ["prediction"]
    assert len(scene.neighbours) == 2


def test_a_run_answers_about_what_it_was_not_trained_on(
    photos: Path, runs: Path, pictures: Dataset
) -> None:
    found = looked(photos, ["all"], [runs])
    assert found.held_out
    held = pretraining_split(pictures)[1]
    assert {name for _, name in found.shown} <= {pictures.path(int(i)) for i in held}
    scenes = {scene.task: scene for scene in found.scenes}
    rotation = scenes["rotation"]
    assert rotation.run == f"{runs.name}/rotation"
    assert (rotation.step, rotation.total_steps) == (2, 2)
    assert len(rotation.scores) == 1
    assert all("said" in texts[1] for texts in rotation.panels[0].texts)
    before, after = rotation.neighbours
    assert before.title == "Nearest neighbours before training"
    first = found.shown[0][0]
    assert all((panel.pictures[0][0] == first).all() for panel in (before, after))
    assert scenes["simclr"].run == ""


def test_a_copy_elsewhere_is_no_second_picture(photos: Path, tmp_path: Path) -> None:
    for path in photos.iterdir():
        for copy in ("once", "again"):
            shutil.copy(path, tmp_path / f"{copy}-{path.name}")
    dataset = open_dataset(tmp_path, size=SIZE)
    assert len(dataset) == 2 * COUNT
    assert len(pool_of(dataset)) == COUNT


def test_nothing_of_a_test_split_is_looked_at(class_folder: Path) -> None:
    dataset = open_dataset(class_folder, size=SIZE)
    names = [dataset.path(int(i)) for i in pool_of(dataset)]
    assert len(names) == 160
    assert not any(name.startswith("test") for name in names)


def test_one_picture_is_enough_to_ask(photos: Path, tmp_path: Path) -> None:
    shutil.copy(next(photos.iterdir()), tmp_path / "one.png")
    found = looked(tmp_path, ["rotation", "simclr", "inpainting"], [])
    assert [len(scene.panels[0].pictures) for scene in found.scenes] == [1, 1, 1]


def test_what_does_not_suit_is_left_out_with_its_reason(photos: Path, runs: Path) -> None:
    found = looked(photos, ["rotation", "supervised"], [runs / "inpainting"])
    assert [scene.task for scene in found.scenes] == ["rotation"]
    ((who, why),) = found.left_out
    assert who == "supervised"
    assert "'label'" in why


def test_save_keeps_what_a_generative_task_makes(
    photos: Path, runs: Path, pictures: Dataset, tmp_path: Path
) -> None:
    save = tmp_path / "made"
    found = looked(photos, ["all"], [runs], save)
    held = pool_of(pictures, pictures.hashes[pretraining_split(pictures)[1]])
    assert found.saved == {f"{runs.name}/inpainting": len(held)}
    files = sorted(path for path in save.rglob("*") if path.is_file())
    assert len(files) == len(held)
    assert {path.parent for path in files} == {save / f"{runs.name}_inpainting"}
    assert all(path.name.count(".png") == 1 for path in files)
    for path, item in zip(files, held, strict=True):
        made = np.asarray(Image.open(path)).astype(int)
        original = pictures.pictures.get(np.array([item]))[0].numpy().astype(int)
        changed = np.abs(made - original).max(axis=2) > 2
        # A quarter of the picture is painted, and every picture lies under its own number.
        assert 0 < changed.mean() <= 0.26


def test_save_needs_a_run_that_makes_pictures(photos: Path, runs: Path, tmp_path: Path) -> None:
    for folders in ([], [runs / "rotation"]):
        with pytest.raises(UsageError, match="inpainting"):
            api.gallery(photos, runs=folders, out=tmp_path / "g.html", save=tmp_path / "made")
    assert list(tmp_path.iterdir()) == []


def test_wrong_names_are_told(photos: Path, tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="rotation"):
        api.gallery(photos, tasks=["rotatoin"], out=tmp_path / "g.html")
    with pytest.raises(UsageError, match="no setting"):
        api.gallery(photos, task_settings={"rotation": {"angle": 3}}, out=tmp_path / "g.html")
    for wrong in (tmp_path / "none", tmp_path):
        with pytest.raises(DataError):
            api.gallery(photos, runs=[wrong], out=tmp_path / "g.html")


def test_the_page_loads_nothing_and_names_stay_names(
    photos: Path, runs: Path, tmp_path: Path
) -> None:
    page = Page(api.gallery(photos, runs=[runs], out=tmp_path / "new" / "gallery.html"))
    assert page.words.count(" ".join(NAME.split())) >= SHOWN
    assert [a["id"] for a in page.all_of("section")] == [
        f"task-{i}" for i in range(len(OF_PICTURES))
    ]
    assert len(page.scripts) == 1
    assert "alert" not in page.scripts[0]
    assert all((a["src"] or "").startswith("data:image/png;base64,") for a in page.all_of("img"))
    assert all(a["alt"] is not None for a in page.all_of("img"))
    for _, attributes in page.tags:
        assert not any(name.startswith("on") for name in attributes)
    assert list((tmp_path / "new").iterdir()) == [tmp_path / "new" / "gallery.html"]


def test_a_run_leaves_its_map(runs: Path, pictures: Dataset) -> None:
    folder = runs / "rotation" / "panels"
    before, after = (
        json.loads((folder / f"{name}.json").read_text()) for name in ("map-before", "map")
    )
    held = pretraining_split(pictures)[1]
    assert before["name"] == after["name"]
    assert sorted(after["name"]) == sorted(pictures.path(int(i)) for i in held)
    assert (before["when"], after["when"]) == ("before training", "after training")
    assert (before["x"], before["y"]) != (after["x"], after["y"])
    assert after["label"] == [None] * len(held), "pretraining knows no labels"
    sprite = np.asarray(Image.open(folder / "map.png")).astype(int)
    at = {pictures.path(i): i for i in range(len(pictures))}
    for k, name in enumerate(after["name"]):
        top, left = k // PER_ROW * SMALL_PX, k % PER_ROW * SMALL_PX
        original = pictures.pictures.get(np.array([at[name]]))[0].numpy().astype(int)
        assert np.abs(sprite[top + 9, left + 9] - original[9, 9]).max() <= 2

"""`hotstart gallery`: what is on the page, and what it saves."""

from __future__ import annotations

import re
import shutil
from html import unescape
from pathlib import Path

import pytest

import hotstart
from hotstart import api
from hotstart.errors import UsageError

from ..report.browser import CHROMIUM, opened
from ..report.fake_runs import HOSTILE
from .test_commands import hotstart as command

HOSTILE_FILE = HOSTILE.replace("/", "\u2215") + ".png"


@pytest.fixture(scope="module")
def run(class_folder: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("learnt") / "inpainting"
    api.pretrain(str(class_folder), task="inpainting", steps=3, batch_size=32, size=32, out=folder)
    return folder


def words(page: Path) -> str:
    return " ".join(unescape(re.sub(r"<[^>]*>", " ", page.read_text(encoding="utf-8"))).split())


def test_every_task_shows_question_and_pseudo_label_without_a_run(
    class_folder: Path, tmp_path: Path
) -> None:
    page = tmp_path / "gallery.html"
    ended = command("gallery", str(class_folder), "--task", "all", "--size", "32", "-o", str(page))
    assert ended.returncode == 0, ended.stderr
    assert str(page) in ended.stdout
    text = page.read_text(encoding="utf-8")
    told = words(page)
    for name, entry in {entry["name"]: entry for entry in api.tasks()}.items():
        shown = re.search(rf'<h2 id="task-\d+-title">{name}</h2>', text) is not None
        of_pictures = {"image", "index", "group"}.issuperset(entry["needs"])
        assert shown == (entry["family"] != "control" and of_pictures), name
    assert re.search(r"\b(90|180|270)°", told), "rotation's pseudo-labels"
    assert "said" not in told, "an untrained network answers nothing"
    assert "Nearest neighbours after" not in told


def test_what_is_wrong_is_said(class_folder: Path, tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="rotation"):
        api.gallery(class_folder, tasks=["rotatoin"])
    ended = command("gallery", str(class_folder), "--task", "rotatoin")
    assert ended.returncode == 2
    assert "Traceback" not in ended.stderr


def test_the_same_pictures_give_the_same_page(class_folder: Path, tmp_path: Path) -> None:
    assert hotstart.gallery is api.gallery
    one, other = (
        api.gallery(class_folder, tasks=["simclr"], size=32, out=tmp_path / name)
        for name in ("one.html", "other.html")
    )
    assert one.read_bytes() == other.read_bytes()


def test_every_name_is_escaped(class_folder: Path, run: Path, tmp_path: Path) -> None:
    """Pictures and runs named by somebody hostile; what is saved stays in its folder."""
    data, learnt = tmp_path / HOSTILE.replace("/", "\u2215"), tmp_path / "runs"
    data.mkdir()
    for i, file in enumerate(sorted((class_folder / "train" / "warm").glob("*.png"))[:40]):
        shutil.copy(file, data / f"{i:03d}{HOSTILE_FILE}")
    shutil.copytree(run, learnt / HOSTILE.replace("/", "\u2215"))
    page = api.gallery(
        data,
        tasks=["inpainting"],
        runs=[learnt],
        out=tmp_path / "out" / "gallery.html",
        save=tmp_path / "out" / "made",
    )
    text = page.read_text(encoding="utf-8")
    assert "<script>alert" not in text
    assert "<img src=x" not in text
    assert "{{ 7*7 }}" in words(page)
    assert all(
        re.fullmatch(r"[\w.-]+", part)
        for path in (tmp_path / "out" / "made").rglob("*")
        for part in path.relative_to(tmp_path / "out").parts
    )
    if CHROMIUM is not None:
        _, said = opened(page, tmp_path / "profile")
        assert said == []

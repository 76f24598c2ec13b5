"""`hotstart gallery`: what is on the page, and what it saves."""

from __future__ import annotations

import re
import shutil
from html import unescape
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

import hotstart
from hotstart import api
from hotstart.errors import DataError, UsageError

from ..report.fake_runs import HOSTILE
from ..report.test_report_browser import CHROMIUM, answer, opened
from .test_commands import hotstart as command

HOSTILE_FILE = HOSTILE.replace("/", "\u2215") + ".png"


@pytest.fixture(scope="module")
def runs(class_folder: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("learnt")
    for task in ("rotation", "inpainting"):
        api.pretrain(
            str(class_folder), task=task, steps=3, batch_size=32, size=32, out=folder / task
        )
    return folder


@pytest.fixture(scope="module")
def learnt(class_folder: Path, runs: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The page of two runs; beside it `made/`, what `save` kept."""
    out = tmp_path_factory.mktemp("gallery")
    names = ("rotation", "inpainting")
    return api.gallery(
        class_folder, tasks=names, runs=[runs], out=out / "learnt.html", save=out / "made"
    )


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
        assert shown == (entry["family"] != "control"), name
    assert re.search(r"\b(90|180|270)°", told), "rotation's pseudo-labels"
    assert "said" not in told, "an untrained network answers nothing"
    assert "Nearest neighbours after" not in told


def test_a_run_answers_and_its_neighbours_are_shown_before_and_after(learnt: Path) -> None:
    told = words(learnt)
    assert re.search(r"\d+°: said \d+°", told)
    assert told.count("Nearest neighbours before training") == 2
    assert told.count("Nearest neighbours after training") == 2
    assert "held out from training" in told


def test_save_keeps_what_a_generative_task_makes(learnt: Path) -> None:
    """Held-out pictures, each whole but for its hole."""
    (folder,) = (learnt.parent / "made").iterdir()
    assert "inpainting" in folder.name
    files = sorted(folder.iterdir())
    assert len(files) >= 8
    assert len({file.name for file in files}) == len(files)
    made = np.stack([np.asarray(Image.open(file)) for file in files])
    assert made.shape[1:] == (32, 32, 3)
    assert made.std() > 10, "pictures, no constant"
    assert f"{len(files)} pictures that" in words(learnt)


def test_save_needs_a_run_that_makes_pictures(class_folder: Path, runs: Path) -> None:
    with pytest.raises(UsageError, match="inpainting"):
        api.gallery(class_folder, tasks=["rotation"], runs=[runs], save="never")
    assert not Path("never").exists()


def test_what_is_wrong_is_said(class_folder: Path, tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="rotation"):
        api.gallery(class_folder, tasks=["rotatoin"])
    with pytest.raises(DataError, match="holds no run"):
        api.gallery(class_folder, runs=[tmp_path])
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


@pytest.mark.skipif(CHROMIUM is None, reason="no Chromium")
def test_pointing_at_the_map_shows_the_picture_and_the_console_is_silent(
    learnt: Path, tmp_path: Path
) -> None:
    _, said = opened(learnt, tmp_path / "profile")
    assert said == []
    script = """
    const map = all("svg.map")[1], article = map.closest("[data-maps]");
    map.scrollIntoView();
    const { plots, names } = JSON.parse(article.dataset.maps);
    const box = map.getBoundingClientRect(), scale = box.width / 600;
    const card = one("[role=status]", article);
    const before = seen(card);
    map.dispatchEvent(new PointerEvent("pointermove", { pointerType: "mouse",
      clientX: box.left + plots[1].x[4] * scale, clientY: box.top + plots[1].y[4] * scale }));
    const thumbnail = card.firstElementChild;
    tell({ before, shown: seen(card), name: card.lastElementChild.textContent, expected: names[4],
      size: thumbnail.offsetWidth,
      picture: getComputedStyle(thumbnail).backgroundImage.slice(0, 26),
      outside: all("[src], [href]").map((it) => it.getAttribute("src") ?? it.getAttribute("href"))
        .filter((to) => !/^(data:|#)/.test(to)) });
    """
    told = answer(learnt, tmp_path, script)
    assert not told["before"]
    assert told["shown"]
    assert told["name"] == told["expected"]
    assert told["size"] >= 64
    assert told["picture"] == 'url("data:image/png;base64'
    assert told["outside"] == [], "nothing is loaded"


@pytest.mark.skipif(CHROMIUM is None, reason="no Chromium")
@pytest.mark.parametrize("width", [390, 1400])
def test_nothing_is_wider_than_the_window(learnt: Path, tmp_path: Path, width: int) -> None:
    outer = tmp_path / "outer.html"
    # A window is never narrower than 500 px; a frame may be.
    frame = f'<iframe src="inner.html" style="width:{width}px;height:900px;border:0"></iframe>'
    page = learnt.read_text(encoding="utf-8")
    page = re.sub(r'<meta http-equiv="Content-Security-Policy"[^>]*>', "", page)
    script = (
        "<script>const root = document.documentElement; parent.postMessage(["
        "root.clientWidth, root.scrollWidth], '*')</script></body>"
    )
    (tmp_path / "inner.html").write_text(page.replace("</body>", script), encoding="utf-8")
    outer.write_text(
        "<script>onmessage = ({ data }) => { document.title = 'told ' + JSON.stringify(data) }"
        f"</script>{frame}",
        encoding="utf-8",
    )
    dom, said = opened(outer, tmp_path / "profile", "--window-size=1500,1000")
    assert said == []
    found = re.search(r"<title>told \[(\d+),(\d+)\]</title>", dom)
    assert found is not None
    assert int(found[2]) <= int(found[1]) <= width


def test_every_name_is_escaped(class_folder: Path, runs: Path, tmp_path: Path) -> None:
    """Pictures and runs named by somebody hostile; what is saved stays in its folder."""
    data, learnt = tmp_path / HOSTILE.replace("/", "\u2215"), tmp_path / "runs"
    data.mkdir()
    for i, file in enumerate(sorted((class_folder / "train" / "warm").glob("*.png"))[:40]):
        shutil.copy(file, data / f"{i:03d}{HOSTILE_FILE}")
    shutil.copytree(runs / "inpainting", learnt / HOSTILE.replace("/", "\u2215"))
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

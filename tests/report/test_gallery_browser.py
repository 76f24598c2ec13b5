"""The gallery page in headless Chromium, light and dark, wide and narrow, with hostile words."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from hotstart.league.gallery import Gallery, Scene
from hotstart.league.map import Drawn
from hotstart.pretext.task import Panel, PanelKind
from hotstart.report.gallery import render, write_gallery

from .browser import (
    CHROMIUM,
    DARK,
    LIGHT,
    answer,
    asked,
    contrast,
    opened,
    rgb,
    told_by,
)
from .fake_maps import colour_of, sprite_of, told_map
from .fake_runs import HOSTILE, record
from .test_report_map import AIM, colour_in

pytestmark = pytest.mark.skipif(CHROMIUM is None, reason="no Chromium")


def panel(
    columns: int, kind: PanelKind, rows: int = 6, text: str = "180°: said 90° (43%)"
) -> Panel:
    """Noise, 32 px, with a long text under each but the first."""
    rng = np.random.default_rng(columns)
    return Panel(
        f"panel-{columns}",
        f"Which way is it turned? {HOSTILE}",
        "Pictures turned counter-clockwise by an angle that the network must name.",
        tuple(f"column {k} {HOSTILE[:20]}" for k in range(columns)),
        [list(rng.integers(0, 256, (columns, 32, 32, 3), dtype=np.uint8)) for _ in range(rows)],
        [["", *[text] * (columns - 1)] for _ in range(rows)],
        kind,
    )


@pytest.fixture(scope="module")
def page(tmp_path_factory: pytest.TempPathFactory) -> Path:
    drawn = Drawn(
        told_map(60, (), HOSTILE, before=True),
        told_map(60, (), HOSTILE),
        sprite_of(60),
    )
    views = [panel(2, "views"), panel(4, "prediction"), panel(8, "clusters", text="right")]
    neighbours = [panel(6, "neighbours", text="0.93") for _ in range(2)]
    score = record("simclr", 0, downstream="pretext", metric="positive_first", value=0.468)
    shown = [(picture, HOSTILE) for picture in panel(6, "views", 1).pictures[0]]
    found = Gallery(data=HOSTILE, total=1797, pool=287, held_out=True, shown=shown, quarantined=2)
    found.scenes = [
        Scene("rotation", "Which way?", panels=views),
        Scene("simclr", HOSTILE, HOSTILE, 300, 900, [score], views[:1], neighbours, drawn),
    ]
    found.left_out = [(HOSTILE, HOSTILE)]
    return write_gallery(found, tmp_path_factory.mktemp("gallery") / "gallery.html")


def test_nobodys_console_says_anything(page: Path, tmp_path: Path) -> None:
    """With the page's own policy in force."""
    for scheme in (LIGHT, DARK):
        assert opened(page, tmp_path / "profile", scheme)[1] == []


@pytest.mark.parametrize(("scheme", "paper"), [(LIGHT, (255, 255, 255)), (DARK, (20, 22, 26))])
def test_words_stand_out_from_the_paper(
    page: Path, tmp_path: Path, scheme: str, paper: tuple[int, int, int]
) -> None:
    script = """
    tell({ paper: getComputedStyle(document.body).backgroundColor,
      words: [...new Set(all("p, li, dd, dt, small, span, b, a, h1, h2, figcaption")
        .map((it) => getComputedStyle(it).color))] });
    """
    told = answer(page, tmp_path, script, scheme)
    assert rgb(told["paper"]) == paper
    assert len(told["words"]) > 2
    assert all(contrast(rgb(colour), paper) >= 4.5 for colour in told["words"])


@pytest.mark.parametrize("width", [390, 1400])
def test_nothing_is_clipped_and_pictures_can_be_seen(
    page: Path, tmp_path: Path, width: int
) -> None:
    script = """
    const root = document.documentElement;
    const inside = (it) => {
      const box = it.getBoundingClientRect();
      return box.left >= 0 && box.right <= root.clientWidth + 0.5;
    };
    const lines = (grid) => new Set(all(".cell", grid).map((it) => it.offsetTop)).size;
    parent.postMessage({
      page: root.scrollWidth - root.clientWidth,
      wide: all("p, h1, h2, h3, figure, span, small, img, svg").filter(seen)
        .filter((it) => !inside(it)).map((it) => it.outerHTML.slice(0, 200)),
      least: Math.min(...all("img").map((it) => it.getBoundingClientRect().width)),
      lines: all(".panel .grid").map(lines),
    }, "*");
    """
    inner = asked(page, tmp_path, script)
    outer = tmp_path / "outer.html"
    outer.write_text(
        "<script>onmessage = ({ data }) => {"
        " document.title = 'told ' + JSON.stringify(data) }</script>"
        f'<iframe src="{inner.name}" style="width:{width}px;height:900px;border:0"></iframe>',
        "utf-8",
    )
    told = told_by(opened(outer, tmp_path / "profile", "--window-size=1500,1000")[0])
    assert told["page"] <= 0
    assert told["wide"] == []
    assert told["least"] >= 36
    # Where there is room, what has few columns lies on its side.
    assert told["lines"][:3] == ([2, 4, 6] if width == 1400 else [6, 6, 6])


def test_a_mark_shows_its_picture_and_names_do_nothing(page: Path, tmp_path: Path) -> None:
    script = """
    point(1, 47);
    tell({ ...told(), scripts: all("script").length,
      images: all("img:not([src^='data:image/png'])").length, heads: one("h1").innerText });
    """
    found = answer(page, tmp_path, AIM + script)
    assert found["seen"]
    assert colour_in(found) == colour_of(47)
    assert "<script>alert(1)" in " ".join(found["text"])
    assert found["images"] == 0
    assert found["scripts"] == 2, "the page's own, and the one that asks"


def test_nothing_to_show_is_a_page_too() -> None:
    found = Gallery(data="digits:", total=1, pool=1, held_out=False, shown=[])
    assert "No task has anything to show on digits" in render(found)

"""Sheets of panels: texts keep to their cells, pictures keep their pixels."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import numpy.typing as npt
import pytest
from PIL import ImageFont

from hotstart.pretext.task import Panel
from hotstart.training.folder import safe_name, write_panel
from hotstart.training.sheet import CELL_PX, GAP_PX, MARGIN_PX, draw_sheet, fitted, wrap

Array = npt.NDArray[np.uint8]
LONG = "90°: said 180° (43%), 270° (31%), 0° (26%), and that for a good many pictures more"
UNBROKEN = "Grundstuecksverkehrsgenehmigungszustaendigkeitsuebertragungsverordnung" * 4


def noise(height: int, width: int) -> Array:
    rng = np.random.default_rng([height, width])
    return rng.integers(0, 200, (height, width, 3), dtype=np.uint8)


def panel_of(
    rows: Sequence[Sequence[Array]], texts: Sequence[Sequence[str]], columns: Sequence[str]
) -> Panel:
    return Panel("task", "Title", "Caption.", columns, rows, texts)


@pytest.mark.parametrize("text", [LONG, UNBROKEN, "short", "two\nlines", "x" * 100_000])
def test_texts_never_reach_their_neighbours(text: str) -> None:
    white = np.full((CELL_PX, CELL_PX, 3), 255, np.uint8)
    sheet = np.array(draw_sheet(panel_of([[white] * 3] * 2, [[text] * 3] * 2, [text] * 3)))
    inside = np.zeros(sheet.shape[1], bool)
    for column in range(3):
        left = MARGIN_PX + column * (CELL_PX + MARGIN_PX)
        inside[left : left + CELL_PX] = True
        assert (sheet[:, left : left + CELL_PX] < 128).any(), "there is a text"
    assert (sheet[:, ~inside] == 255).all()
    assert (sheet[-MARGIN_PX + GAP_PX :] == 255).all(), "nothing is cut off below"


def test_texts_never_reach_the_pictures() -> None:
    """Each row grows by as much as its texts need."""
    black = np.zeros((CELL_PX, CELL_PX, 3), np.uint8)
    alone = np.array(draw_sheet(panel_of([[black]] * 2, [[""]] * 2, [""])))
    told = np.array(draw_sheet(panel_of([[black]] * 2, [[LONG]] * 2, [LONG])))
    middle = slice(MARGIN_PX, MARGIN_PX + CELL_PX)
    for sheet in (alone, told):
        assert ((sheet[:, middle] == 0).all((1, 2))).sum() == 2 * CELL_PX
    assert len(told) > len(alone)


@pytest.mark.parametrize(
    ("side", "shown"), [(16, 128), (28, 112), (32, 128), (48, 96), (64, 128), (96, 96), (224, 128)]
)
def test_pictures_grow_by_whole_factors_alone(side: int, shown: int) -> None:
    picture = noise(side, side)
    image = fitted(picture)
    assert image.size == (shown, shown)
    if side <= CELL_PX:
        factor = shown // side
        assert np.array_equal(np.array(image), picture.repeat(factor, 0).repeat(factor, 1))


@pytest.mark.parametrize(("height", "width"), [(300, 60), (60, 300), (1, 1000), (20, 120)])
def test_long_pictures_keep_within_their_cell(height: int, width: int) -> None:
    image = fitted(noise(height, width))
    assert max(image.size) <= CELL_PX
    assert min(image.size) >= 1
    sheet = draw_sheet(panel_of([[noise(height, width)]] * 2, [["", ""]] * 2, ["", ""]))
    assert sheet.height <= 2 * (CELL_PX + MARGIN_PX) + MARGIN_PX


def test_rows_of_unequal_length_are_shown_whole() -> None:
    rows = [[noise(32, 32)] * 2, [noise(32, 32)] * 5]
    sheet = draw_sheet(panel_of(rows, [["cluster 0"], ["cluster 1"]], ("picture",)))
    assert sheet.width == MARGIN_PX + 5 * (CELL_PX + MARGIN_PX)


def test_nothing_is_lost_by_wrapping() -> None:
    font = ImageFont.load_default(13)
    for text in (LONG, UNBROKEN):
        lines = wrap(text, font, CELL_PX)
        assert all(font.getlength(line) <= CELL_PX for line in lines)
        assert "".join(lines).replace(" ", "") == text.replace(" ", "")
    assert wrap("", font, CELL_PX) == []


@pytest.mark.parametrize(
    ("name", "safe"),
    [
        ("rotation", "rotation"),
        ("../../etc/passwd", "_.._etc_passwd"),
        ("my.package:Task", "my.package_Task"),
        (".hidden", "hidden"),
        ("..", "_"),
        ("", "_"),
        ("a\0b\n<c>", "a_b__c_"),
        ("lone \ud800", "lone__"),
        ("漢" * 300, "漢" * 66),
    ],
)
def test_names_become_one_component_of_a_path(name: str, safe: str, tmp_path: Path) -> None:
    assert safe_name(name) == safe
    panel = Panel(name, "Title", "Caption.", ("",), [[noise(8, 8)]], [[""]])
    write_panel(tmp_path, "task", panel)
    assert {p.name for p in (tmp_path / "panels").iterdir()} == {f"{safe}.png", f"{safe}.json"}
    assert json.loads((tmp_path / "panels" / f"{safe}.json").read_text())["title"] == "Title"

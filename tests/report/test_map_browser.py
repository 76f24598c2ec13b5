"""The embedding map in headless Chromium: a mark that is pointed at shows its picture."""

from __future__ import annotations

from pathlib import Path

import pytest

from hotstart.report import write_report

from .fake_maps import colour, write_map
from .fake_runs import HOSTILE, write_run
from .test_report_browser import CHROMIUM, answer

pytestmark = pytest.mark.skipif(
    CHROMIUM is None, reason="no Chromium: install it with `apt-get install chromium`"
)

TOOLS = """
const article = one("[data-maps]");
const maps = all("svg.map", article);
const card = one("[role=status]", article);
const shown = () => seen(card) ? card.textContent : null;
const at = (map, [x, y]) => {
  const box = map.getBoundingClientRect(), scale = box.width / 600;
  return { clientX: box.left + x * scale, clientY: box.top + y * scale, bubbles: true };
};
const point = (map, place, kind = "pointermove", pointerType = "mouse") =>
  map.dispatchEvent(new PointerEvent(kind, { ...at(map, place), pointerType }));
const key = (map, name) => map.dispatchEvent(new KeyboardEvent("keydown", { key: name }));
const place = (i) => [14 + 57.2 * (i % 10), 14 + 57.2 * Math.floor(i / 10)];
"""


@pytest.fixture(scope="module")
def page(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("map")
    write_map(write_run(folder / "rotation-0", "rotation"))
    return write_report(folder)


def test_a_mark_shows_its_picture_when_it_is_pointed_at(page: Path, tmp_path: Path) -> None:
    # The thumbnail is read back from the page, through a canvas: its pixels are picture 37's own.
    script = """
    article.scrollIntoView();
    point(maps[1], place(37));
    const told = shown();
    const style = getComputedStyle(card.firstElementChild);
    const beside = place(59 - 37);
    const rings = maps.map((map) => one(".ring", map));
    const circles = rings.map((it) => [it.getAttribute("cx"), it.getAttribute("cy")].map(Number));
    const rung = rings.map((it) => getComputedStyle(it).visibility);
    const inside = card.getBoundingClientRect().right <= innerWidth;
    const sprite = new Image();
    sprite.onload = () => {
      const [x, y] = style.backgroundPosition.split(" ").map(parseFloat);
      const [wide, tall] = [style.width, style.height].map(parseFloat);
      const canvas = document.createElement("canvas");
      [canvas.width, canvas.height] = [wide, tall];
      const scale = parseFloat(style.backgroundSize) / sprite.width;
      const pen = canvas.getContext("2d", { willReadFrequently: true });
      pen.imageSmoothingEnabled = false;
      pen.drawImage(sprite, x, y, sprite.width * scale, sprite.height * scale);
      const pixels = [[1, 1], [wide - 2, tall - 2]].map(([a, b]) =>
        [...pen.getImageData(a, b, 1, 1).data].slice(0, 3));
      point(maps[1], [300, 596]);
      tell({ told, circles, rung, beside, inside, pixels, away: shown() });
    };
    sprite.src = style.backgroundImage.slice(5, -2);
    """
    told = answer(page, tmp_path, TOOLS + script)
    assert told["told"] == "dogp/37.png"
    assert told["pixels"] == [list(colour(37))] * 2
    assert told["circles"][1] == pytest.approx([14 + 57.2 * 7, 14 + 57.2 * 3], abs=0.1)
    assert told["circles"][0] == pytest.approx(told["beside"], abs=0.1), "the same in the other map"
    assert told["rung"] == ["visible", "visible"]
    assert told["inside"]
    assert told["away"] is None


def test_keys_and_taps_show_pictures_too(page: Path, tmp_path: Path) -> None:
    script = """
    key(maps[0], "ArrowRight");
    const first = shown();
    key(maps[0], "ArrowLeft");
    const before = shown();
    key(maps[0], "Escape");
    const none = shown();
    point(maps[0], place(3), "pointerdown", "touch");
    const tapped = shown();
    document.body.dispatchEvent(new PointerEvent("pointerdown", { bubbles: true }));
    tell({ first, before, none, tapped, left: shown() });
    """
    told = answer(page, tmp_path, TOOLS + script)
    assert told == {
        "first": "catp/0.png",
        "before": "dogp/59.png",
        "none": None,
        "tapped": "catp/56.png",
        "left": None,
    }


def test_a_class_alone_and_all_of_them_again(page: Path, tmp_path: Path) -> None:
    script = """
    const dog = all("button", article).find((it) => it.textContent.startsWith("dog"));
    const bright = () => all("path:not(.dim)", maps[1]).length;
    const first = bright();
    dog.click();
    const alone = [bright(), dog.getAttribute("aria-pressed")];
    point(maps[1], place(2));
    const cat = shown();
    key(maps[1], "ArrowRight");
    const next = shown();
    dog.click();
    tell({ first, alone, cat, next, last: bright() });
    """
    told = answer(page, tmp_path, TOOLS + script)
    assert told["first"] == told["last"] == 2
    assert told["alone"] == [1, "true"]
    assert told["cat"] is None
    assert told["next"] == "dogp/1.png"


def test_hostile_names_on_a_map_do_nothing(tmp_path: Path) -> None:
    run = write_run(tmp_path / "runs" / "a", "rotation")
    write_map(run, names=[HOSTILE], classes=[HOSTILE, "dog"])
    page = write_report(tmp_path / "runs")
    script = """
    key(maps[1], "ArrowRight");
    tell({ card: shown(), images: all("img:not([src^='data:image/png'])").length });
    """
    told = answer(page, tmp_path, TOOLS + script)
    assert told["card"].count("<script>alert(1)") == 2
    assert told["images"] == 0


@pytest.mark.parametrize("classes", [(), ("cat", "dog")])
def test_classes_are_spoken_of_where_there_are_some(
    tmp_path: Path, classes: tuple[str, ...]
) -> None:
    write_map(write_run(tmp_path / "runs", "rotation"), classes=classes)
    text = write_report(tmp_path / "runs").read_text(encoding="utf-8")
    assert ("never told the classes" in text) == bool(classes)
    assert "data-maps=" in text


@pytest.mark.parametrize(
    ("damage", "why"),
    [
        (lambda text: text.replace("0.1", "7.1", 1), "a place is 7.1"),
        (lambda text: text[:90], "could not be read"),
        (lambda text: text.replace('"per_row": 25', '"per_row": 24'), "does not hold 60"),
    ],
)
def test_a_damaged_map_costs_a_sentence(tmp_path: Path, damage: object, why: str) -> None:
    assert callable(damage)
    run = write_run(tmp_path / "runs" / "a", "rotation")
    write_map(run)
    file = run / "panels" / "map.json"
    file.write_text(damage(file.read_text(encoding="utf-8")), encoding="utf-8")
    text = write_report(tmp_path / "runs").read_text(encoding="utf-8")
    assert "data-maps=" not in text
    assert "the embedding map could not be read" in text
    assert why in text

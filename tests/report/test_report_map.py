"""The embedding map in the report: its data are checked, and a mark shows its picture."""

from __future__ import annotations

import base64
import io
import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from hotstart.report.page import write_report

from .browser import CHROMIUM, answer
from .fake_maps import colour_of, write_map
from .fake_runs import HOSTILE, write_run
from .test_report_page import Page

browser = pytest.mark.skipif(CHROMIUM is None, reason="no Chromium")

AIM = """
const area = one(".maps");
const plots = JSON.parse(area.dataset.maps).plots;
const maps = all("svg.map", area);
const card = one(".thumb", area);
// Point at picture i in map m, a few pixels beside its middle.
const point = (m, i, kind = "pointermove", pointerType = "mouse") => {
  maps[m].scrollIntoView({ behavior: "instant", block: "center" });
  const box = maps[m].getBoundingClientRect(), scale = box.width / 600;
  const clientX = box.left + plots[m].x[i] * scale + 3;
  const clientY = box.top + plots[m].y[i] * scale - 3;
  const under = document.elementFromPoint(clientX, clientY);
  under.dispatchEvent(new PointerEvent(kind, { clientX, clientY, pointerType, bubbles: true }));
};
// What a person sees in the card; of its thumbnail, how the sprite lies behind it.
const told = () => {
  const it = one("i", card), style = getComputedStyle(it);
  return {
    seen: seen(card) && it.getBoundingClientRect().width > 40,
    text: card.innerText.split("\\n"),
    side: it.getBoundingClientRect().width,
    sprite: style.backgroundImage, width: parseFloat(style.backgroundSize),
    at: style.backgroundPosition.split(" ").map(parseFloat),
  };
};
"""


def colour_in(told: dict[str, Any]) -> tuple[int, ...]:
    """Of the pixel in the middle of the thumbnail."""
    sprite = base64.b64decode(told["sprite"].partition("base64,")[2].rstrip('")'))
    with Image.open(io.BytesIO(sprite)) as image:
        scale = image.width / told["width"]
        left, top = ((told["side"] / 2 - shift) * scale for shift in told["at"])
        pixels = np.asarray(image.convert("RGB"))
        return tuple(pixels[int(top), int(left)].tolist())


@pytest.fixture
def run(tmp_path: Path) -> Path:
    folder = write_run(tmp_path / "runs", "simclr", steps=20, panels=0)
    write_map(folder)
    return folder


@browser
def test_a_mark_shows_its_picture(run: Path, tmp_path: Path) -> None:
    script = """
    {
      const found = { before: seen(card) };
      point(1, 47);
      found.after = told();
      const place = (ring) => ["cx", "cy"].map((name) => +ring.getAttribute(name));
      found.rings = all(".ring", area).map(place);
      found.places = plots.map(({ x, y }) => [x[47], y[47]]);
      point(0, 12);
      found.other = told();
      maps[0].dispatchEvent(new PointerEvent("pointerleave", { pointerType: "mouse" }));
      found.left = seen(card);
      point(0, 5, "pointerdown", "touch");
      found.tapped = told();
      one("h1").dispatchEvent(new PointerEvent("pointerdown", { bubbles: true }));
      found.gone = seen(card);
      maps[1].focus();
      for (const key of ["ArrowRight", "ArrowRight", "ArrowRight", "ArrowLeft"]) {
        maps[1].dispatchEvent(new KeyboardEvent("keydown", { key, bubbles: true }));
      }
      found.keyed = told();
      tell(found);
    }
    """
    found = answer(write_report(run), tmp_path, AIM + script)

    def shows(told: dict[str, Any], i: int) -> None:
        assert told["seen"]
        assert colour_in(told) == colour_of(i)
        assert told["text"] == [("cat", "dog")[i % 2], f"pic{i}"]

    assert not found["before"]
    shows(found["after"], 47)
    assert found["rings"] == found["places"], "the same picture is ringed in both maps"
    assert found["places"][0] != found["places"][1]
    shows(found["other"], 12)
    assert not found["left"]
    shows(found["tapped"], 5)
    assert not found["gone"]
    shows(found["keyed"], 1)


@browser
def test_one_class_alone(run: Path, tmp_path: Path) -> None:
    script = """
    const [cat, dog] = all("button.class", area);
    dog.click();
    const dim = all("path.dim", area).length;
    point(1, 20);  // a cat; no dog is within reach
    const cats = seen(card);
    point(1, 21);
    const dogs = seen(card);
    dog.click();
    point(1, 20);
    tell({ dim, cats, dogs, pressed: dog.getAttribute("aria-pressed"), after: seen(card),
      left: all("path.dim", area).length });
    """
    found = answer(write_report(run), tmp_path, AIM + script)
    expected = {"dim": 2, "cats": False, "dogs": True, "pressed": "false", "after": True, "left": 0}
    assert found == expected


def test_every_mark_and_class_is_there(run: Path) -> None:
    page = Page(write_report(run))
    groups = [a["d"] or "" for a in page.all_of("path") if str(a.get("class")).startswith("tone-c")]
    assert sum(marks.count("M") for marks in groups) == 2 * 60
    assert "cat 30 dog 30" in page.words
    assert "60 pictures of cifar10 (validation split), laid out by t-SNE" in page.words
    assert "Left out of this page" not in page.words


def test_names_on_a_map_are_escaped(run: Path) -> None:
    write_map(run, classes=(HOSTILE, "dog"), name=HOSTILE)
    page = Page(write_report(run))
    assert " ".join(HOSTILE.split()) in page.words
    told = [json.loads(a["data-maps"] or "") for a in page.all_of("div") if "data-maps" in a]
    assert told[0]["names"][3] == f"{HOSTILE}3"
    assert page.all_of("img") == []
    assert not any("alert" in script for script in page.scripts)


@pytest.mark.parametrize("classes", [(), ("cat", "dog")])
def test_classes_are_spoken_of_where_there_are_some(run: Path, classes: tuple[str, ...]) -> None:
    write_map(run, classes=classes)
    page = Page(write_report(run))
    assert ("never told the classes" in page.words) == bool(classes)
    assert any("data-maps" in attributes for attributes in page.all_of("div"))


@pytest.mark.parametrize(
    ("change", "told"),
    [
        ({"x": [0.5]}, "different lengths"),
        ({"y": [2.0] * 60}, "a place is 2.0"),
        ({"y": [float("nan")] * 60}, "a place is nan"),
        ({"label": [7] * 60}, "a label is 7, of 2 classes"),
        ({"per_row": 24}, "does not hold 60 pictures"),
        ({"cell_px": "32"}, "'cell_px' is missing or of the wrong kind"),
        ({"name": None}, "'name' is missing"),
    ],
)
def test_a_damaged_map_costs_a_note(run: Path, change: dict[str, Any], told: str) -> None:
    path = run / "panels" / "map.json"
    path.write_text(json.dumps({**json.loads(path.read_text()), **change}))
    words = Page(write_report(run)).words
    assert "the embedding map could not be read" in words
    assert told in words
    assert "No map was drawn" in words


def test_maps_of_other_pictures_are_not_shown_side_by_side(run: Path) -> None:
    path = run / "panels" / "map-before.json"
    values = json.loads(path.read_text())
    path.write_text(json.dumps({**values, "name": values["name"][::-1]}))
    page = Page(write_report(run))
    assert "Before training" not in page.words
    assert "in the map beside it" not in page.words
    assert "After training" in page.words

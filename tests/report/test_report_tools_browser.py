"""What a reader does with the page in headless Chromium: saves, rescales, finds the way."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from hotstart.report.page import write_report

from .browser import CHROMIUM, answer, asked, opened, told_by
from .fake_leagues import write_league

pytestmark = pytest.mark.skipif(
    CHROMIUM is None, reason="no Chromium: install it with `apt-get install chromium`"
)


@pytest.fixture(scope="module")
def page(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("league")
    return write_report(write_league(folder, 2, panels=0, steps=80))


def test_the_records_are_unpacked_and_saved(page: Path, tmp_path: Path) -> None:
    script = """
    let saved = null;
    URL.createObjectURL = (blob) => { saved = blob; return "blob:saved"; };
    HTMLAnchorElement.prototype.click = function () {
      saved.text().then((text) => tell({ file: this.download, href: this.href, text }));
    };
    const link = one("[data-unpacked]");
    link.dispatchEvent(new MouseEvent("click", { bubbles: true, cancelable: true }));
    """
    told = answer(page, tmp_path, script)
    assert (told["file"], told["href"]) == ("results.jsonl", "blob:saved")
    lines = told["text"].splitlines()
    on_disk = [
        json.loads(line)
        for path in sorted(page.parent.rglob("results.jsonl"))
        for line in path.read_text(encoding="utf-8").splitlines()
    ]
    assert [json.loads(line) for line in lines] == on_disk


def test_columns_are_sorted_by_key_alone(page: Path, tmp_path: Path) -> None:
    """Native buttons: what is focused and pressed sorts, also by what a task costs."""
    script = """
    const heads = all(".league [aria-sort]");
    const button = one("button", heads.at(-1));
    button.focus();
    const focused = document.activeElement === button;
    button.click();
    const first = () => one(".league tbody th[scope=row]").textContent.trim();
    const down = heads.at(-1).getAttribute("aria-sort");
    heads.at(-3).firstElementChild.click();
    tell({ focused, down, type: button.type, tab: button.tabIndex, first: first(),
      sorted: heads.map((it) => it.getAttribute("aria-sort")).filter((it) => it !== "none") });
    """
    told = answer(page, tmp_path, script)
    assert told["focused"]
    assert (told["type"], told["tab"]) == ("button", 0)
    assert told["down"] == "descending"
    assert told["sorted"] == ["descending"], "one column at a time"


CURVES = """
const loss = one("#training .plot");
const d = () => one(".path", loss).getAttribute("d");
const heights = () => d().slice(1).split("L").map((pair) => Number(pair.split(",")[1]));
const rough = (values) => values.slice(1).reduce((sum, y, i) => sum + Math.abs(y - values[i]), 0);
const pick = (what) => one(`.smoothing [${what}]`).click();
const names = () => all(".tick[text-anchor=end]", loss).map((it) => it.textContent)
  .filter((text) => text !== "chance");
const at = () => {
  loss.dispatchEvent(new KeyboardEvent("keydown", { key: "Escape" }));
  loss.dispatchEvent(new KeyboardEvent("keydown", { key: "ArrowRight" }));
  return all(".peek b").map((it) => Number(it.textContent));
};
"""


def test_curves_show_single_values_or_are_smoother_and_come_back(
    page: Path, tmp_path: Path
) -> None:
    script = """
    const shown = !one(".smoothing").hidden;
    const first = d();
    const mean = rough(heights());
    pick("value=single");
    const single = [rough(heights()), heights().join(" ") === one(".line", loss).dataset.single];
    pick("value=smoother");
    const smoother = rough(heights());
    pick("value=mean");
    tell({ shown, mean, single, smoother, same: d() === first });
    """
    told = answer(page, tmp_path, CURVES + script)
    assert told["shown"]
    assert told["single"][0] > 1.5 * told["mean"]
    assert told["single"][1]
    assert told["smoother"] < told["mean"]
    assert told["same"]


def test_a_logarithmic_scale_tells_the_same_values(page: Path, tmp_path: Path) -> None:
    script = """
    const before = { d: d(), at: at(), names: names() };
    pick("name=log");
    const ends = loss.dataset.ends.split(" ").map(Number);
    const grid = all(".grid", loss).map((it) => parseFloat(it.getAttribute("y1")));
    const rates = all("#training .plot").filter((it) =>
      it.closest("figure").querySelector("figcaption").textContent === "Learning rate");
    const log = { d: d(), at: at(), names: names(), said: one(".smoothing output").textContent,
      rate: rates.map((it) => it.classList.contains("log")) };
    pick("name=log");
    tell({ before, log, ends, grid, after: d() === before.d,
      silent: one(".smoothing output").textContent });
    """
    told = answer(page, tmp_path, CURVES + script)
    before, log = told["before"], told["log"]
    assert log["d"] != before["d"]
    assert len(log["at"]) == len(before["at"]) == 2
    assert log["at"] == pytest.approx(before["at"], rel=0.01)
    # Every tick stands where its number belongs between the ends.
    _, _, low, high = told["ends"]
    assert len(log["names"]) == len(told["grid"]) >= 3
    for name, y in zip(log["names"], told["grid"], strict=True):
        place = low * (high / low) ** (1 - y / 100)
        assert place == pytest.approx(float(name), rel=0.01)
    assert not any(log["rate"]), "a learning rate that begins at zero has no logarithm"
    assert log["said"] == "Curves that touch zero stay linear."
    assert told["after"]
    assert told["silent"] == ""


def test_the_list_of_sections_tells_where_the_reader_is(page: Path, tmp_path: Path) -> None:
    script = """
    document.documentElement.style.scrollBehavior = "auto";
    const look = (where) => {
      where();
      dispatchEvent(new Event("scroll"));
      return [one("nav [aria-current]")?.textContent ?? null, one(".back").hidden];
    };
    const to = (id) => look(() => one(`#${id} .here`).hash === `#${id}`
      && one(`#${id}`).scrollIntoView());
    tell([look(() => scrollTo(0, 0)), to("cost"), to("training"),
      look(() => scrollTo(0, 1e6)), look(() => scrollTo(0, 0))]);
    """
    told = answer(page, tmp_path, script, "--window-size=1400,700")
    assert told == [
        [None, True],
        ["Cost", False],
        ["Training", False],
        ["Settings", False],
        [None, True],
    ]


@pytest.mark.parametrize(("width", "beside"), [(1400, False), (1900, True)])
def test_wide_windows_keep_the_list_beside_the_text(
    page: Path, tmp_path: Path, width: int, beside: bool
) -> None:
    ask = """
    const [nav, text] = ["nav", "#cost h2"].map((it) => one(it).getBoundingClientRect());
    const fixed = getComputedStyle(one("nav")).position === "fixed";
    const ends = all("nav a").map((it) => it.getBoundingClientRect().right);
    const free = Math.max(...ends) < text.left;
    tell({ fixed, free, inside: nav.left >= 0 });
    """
    dom, said = opened(
        asked(page, tmp_path, ask), tmp_path / "profile", f"--window-size={width},900"
    )
    told = told_by(dom)
    assert said == []
    assert told == {"fixed": beside, "free": beside, "inside": True}

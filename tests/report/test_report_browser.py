"""The page in headless Chromium: clicked, pointed at, printed; and the console stays silent."""

from __future__ import annotations

import re
import subprocess
from pathlib import Path

import pytest

from hotstart.report.page import write_report

from .browser import CHROMIUM, DARK, LIGHT, QUIET, answer, asked, contrast, opened, rgb, told_by
from .fake_leagues import write_league, write_league_of_eight
from .fake_runs import HOSTILE, STRENGTH, write_run

pytestmark = pytest.mark.skipif(
    CHROMIUM is None, reason="no Chromium: install it with `apt-get install chromium`"
)


@pytest.fixture(scope="module")
def league(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_report(write_league_of_eight(tmp_path_factory.mktemp("league")))


def test_the_console_is_heard(tmp_path: Path) -> None:
    page = tmp_path / "loud.html"
    page.write_text("<script>console.error('heard'); nowhere()</script>", encoding="utf-8")
    _, said = opened(page, tmp_path / "profile")
    assert len(said) == 2


@pytest.mark.parametrize(("scheme", "paper"), [(DARK, (20, 22, 26)), (LIGHT, (255, 255, 255))])
def test_words_stand_out_from_the_paper(
    league: Path, tmp_path: Path, scheme: str, paper: tuple[int, int, int]
) -> None:
    script = """
    tell({
      paper: getComputedStyle(document.body).backgroundColor,
      words: [...new Set(all("p, td, th, li, dd, dt, small, summary, a, button, figcaption")
        .map((it) => getComputedStyle(it).color))],
      letters: [...new Set(all(".area text").map((it) => getComputedStyle(it).fill))],
    });
    """
    told = answer(league, tmp_path, script, scheme)
    assert rgb(told["paper"]) == paper
    for colour in told["words"] + told["letters"]:
        assert contrast(rgb(colour), paper) >= 4.5, colour


@pytest.mark.parametrize("width", [390, 1400])
def test_nothing_is_clipped_and_no_name_covers_another(
    league: Path, tmp_path: Path, width: int
) -> None:
    # A window is never narrower than 500 px; a frame may be.
    ask = """
    const root = document.documentElement;
    const inside = (it) => {
      const box = it.getBoundingClientRect();
      return box.left >= 0 && box.right <= root.clientWidth + 0.5;
    };
    const boxes = (plot) => all(".tag", plot).filter(seen).map((it) => it.getBoundingClientRect());
    const cover = (a, b) => a.left < b.right - 2 && b.left < a.right - 2
      && a.top < b.bottom - 4 && b.top < a.bottom - 4;
    parent.postMessage({
      page: root.scrollWidth - root.clientWidth,
      wide: all("p, h1, h2, h3, figure, .plot text, .who, .what").filter(seen)
        .filter((it) => !it.closest(".scroll") && !inside(it)).map((it) => it.outerHTML),
      covered: all(".plot").map(boxes).map((all) =>
        all.filter((one, i) => all.slice(0, i).some((other) => cover(one, other))).length),
    }, "*");
    """
    inner = asked(league, tmp_path, ask)
    outer = tmp_path / "outer.html"
    outer.write_text(
        "<script>onmessage = ({ data }) => {"
        " document.title = 'told ' + JSON.stringify(data) }</script>"
        f'<iframe src="{inner.name}" style="width:{width}px;height:900px;border:0"></iframe>',
        "utf-8",
    )
    dom, _ = opened(outer, tmp_path / "profile", "--window-size=1500,1000")
    told = told_by(dom)
    assert told["page"] <= 0
    assert told["wide"] == []
    assert len(told["covered"]) > 10
    assert not any(told["covered"])


def test_the_legend_takes_contenders_out_of_every_chart_and_back(
    league: Path, tmp_path: Path
) -> None:
    script = """
    const button = all(".legend .one").find((it) => it.textContent.trim() === "simclr");
    const shown = () => all(".compare .line").filter(seen).map((it) => it.dataset.name);
    const before = shown();
    button.click();
    const without = shown();
    const pressed = button.getAttribute("aria-pressed");
    button.click();
    tell({ before, without, pressed, after: shown() });
    """
    told = answer(league, tmp_path, script)
    assert told["before"].count("simclr") > 8
    assert "simclr" not in told["without"]
    assert told["without"] == [name for name in told["before"] if name != "simclr"]
    assert told["pressed"] == "false"
    assert told["after"] == told["before"]


def test_a_click_sorts_the_table_with_controls_apart(league: Path, tmp_path: Path) -> None:
    script = """
    const table = one(".league");
    const column = (i) => all("tr", table).filter((row) => row.cells[i]?.tagName === "TD")
      .map((row) => row.cells[i].dataset.key ?? null);
    const names = () => all("tbody th[scope=row]", table).map((it) => it.textContent.trim());
    const first = names();
    const head = all("[aria-sort]", table)[0];
    head.firstElementChild.click();
    const down = [column(1), head.getAttribute("aria-sort")];
    head.firstElementChild.click();
    const up = [column(1), head.getAttribute("aria-sort"), names()];
    one("[data-order]", table).click();
    tell({ first, down, up, last: names(), order: head.getAttribute("aria-sort") });
    """
    told = answer(league, tmp_path, script)
    values, order = told["down"]
    tasks = [float(value) for value in values[:8]]
    assert tasks == sorted(tasks, reverse=True)
    assert order == "descending"
    values, order, names = told["up"]
    assert [float(value) for value in values[:8]] == tasks[::-1]
    assert order == "ascending"
    assert values[-1] is None, "what was not measured comes last either way"
    assert all("random" not in name and "supervised" not in name for name in names[:8])
    assert told["last"] == told["first"] != names
    assert told["order"] == "none"


def test_pointing_at_a_chart_and_its_arrow_keys_tell_the_values(
    league: Path, tmp_path: Path
) -> None:
    script = """
    const plot = one("#labels .plot");
    plot.scrollIntoView();
    const area = one(".area", plot).getBoundingClientRect();
    const told = () => all(".peek p").map((it) => it.textContent);
    const at = { clientX: area.right - 5, clientY: area.top + 9, bubbles: true };
    plot.dispatchEvent(new PointerEvent("pointermove", at));
    const pointed = told();
    const key = (name) => plot.dispatchEvent(new KeyboardEvent("keydown", { key: name }));
    key("Escape");
    const none = told();
    key("ArrowRight");
    const first = told();
    key("ArrowRight");
    key("Escape");
    const cost = one("#cost .plot");
    cost.scrollIntoView();
    const mark = one(".line use", cost).getBoundingClientRect();
    const on = { clientX: mark.x + mark.width / 2, clientY: mark.y + mark.height / 2 };
    cost.dispatchEvent(new PointerEvent("pointermove", on));
    const loose = told();
    const curve = one("#training .plot");
    curve.dispatchEvent(new PointerEvent("pointermove", { clientX: 300, clientY: 0 }));
    tell({ pointed, none, first, loose, curve: told() });
    """
    told = answer(league, tmp_path, script)
    assert told["pointed"][0] == "share of the labels: 100\u202f%"
    assert told["pointed"][1].startswith("supervised6")
    assert len(told["pointed"]) == 11
    assert told["none"] == []
    assert told["first"][0] == "share of the labels: 1\u202f%"
    assert len(told["loose"]) == 2
    assert told["curve"][0].startswith("step: ")
    assert re.fullmatch(r"simclr/seed\d[\d.]+", told["curve"][1])


def test_many_tasks_share_colours_and_the_best_are_shown_first(tmp_path: Path) -> None:
    tasks = [*(task for task in STRENGTH if task != "supervised"), "mine:One", "mine:Two"]
    page = write_report(write_league(tmp_path / "runs", 1, tasks, steps=40, panels=0))
    script = """
    const drawn = () => all("#labels .plot:first-of-type .line:not(.aside, .off)").length;
    const pick = (which) => { one(`[data-pick=${which}]`).click(); return drawn(); };
    tell({ first: drawn(), all: pick("all"), none: pick("none"), best: pick("best") });
    """
    told = answer(page, tmp_path, script)
    assert told["none"] == 0
    assert told["first"] == told["best"] < told["all"]


def test_hostile_names_do_nothing(tmp_path: Path) -> None:
    write_run(tmp_path / "runs" / "a", HOSTILE, data=HOSTILE, quarantine=[(HOSTILE, HOSTILE)])
    write_run(tmp_path / "runs" / "b", "random", data=HOSTILE)
    page = write_report(tmp_path / "runs")
    dom, said = opened(page, tmp_path / "profile")
    assert said == []
    assert "<img src=x" not in dom
    script = """
    const plot = one("#labels .plot");
    plot.dispatchEvent(new KeyboardEvent("keydown", { key: "ArrowRight" }));
    tell({ peek: one(".peek").textContent, images: all("img:not([src^='data:image/png'])").length,
      scripts: all("script").length });
    """
    told = answer(page, tmp_path, script)
    assert "<script>alert(1)" in told["peek"]
    assert told["images"] == 0
    assert told["scripts"] == 7, "the page's six, and the one that asks"


def test_what_is_folded_is_printed_too(league: Path, tmp_path: Path) -> None:
    script = """
    const folded = () => all("details:not([open])").length;
    const before = folded();
    dispatchEvent(new Event("beforeprint"));
    const printed = folded();
    dispatchEvent(new Event("afterprint"));
    tell({ before, printed, after: folded() });
    """
    told = answer(league, tmp_path, script)
    assert told["before"] > 3
    assert told["printed"] == 0
    assert told["after"] == told["before"]


def test_it_prints(league: Path, tmp_path: Path) -> None:
    assert CHROMIUM is not None
    paper = tmp_path / "report.pdf"
    flags = [*QUIET, f"--user-data-dir={tmp_path / 'profile'}", f"--print-to-pdf={paper}"]
    subprocess.run([CHROMIUM, *flags, league.as_uri()], check=True, timeout=120)
    assert paper.read_bytes().startswith(b"%PDF")

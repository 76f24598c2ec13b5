"""The section on difficulty in headless Chromium: nothing clipped, every point readable."""

from __future__ import annotations

from pathlib import Path

import pytest

from hotstart.report.page import write_report

from .browser import CHROMIUM, DARK, LIGHT, answer, asked, contrast, opened, rgb, told_by
from .fake_sweeps import write_sweeps

pytestmark = pytest.mark.skipif(
    CHROMIUM is None, reason="no Chromium: install it with `apt-get install chromium`"
)


@pytest.fixture(scope="module")
def league(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_report(write_sweeps(tmp_path_factory.mktemp("sweeps")))


@pytest.mark.parametrize("width", [390, 1400])
def test_nothing_is_clipped_and_no_name_covers_another(
    league: Path, tmp_path: Path, width: int
) -> None:
    ask = """
    const root = document.documentElement;
    const part = one("#difficulty");
    const inside = (it) => {
      const box = it.getBoundingClientRect();
      return box.left >= 0 && box.right <= root.clientWidth + 0.5;
    };
    const cover = (a, b) => a.left < b.right - 2 && b.left < a.right - 2
      && a.top < b.bottom - 4 && b.top < a.bottom - 4;
    const boxes = (plot) => all(".tag, .tick, .title", plot).filter((it) => it.textContent)
      .map((it) => it.getBoundingClientRect());
    parent.postMessage({
      page: root.scrollWidth - root.clientWidth,
      wide: all("p, h2, h3, figure, .plot text", part).filter(seen)
        .filter((it) => !inside(it)).map((it) => it.outerHTML),
      covered: all(".plot", part).map(boxes).map((all) =>
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
    assert told_by(dom) == {"page": 0, "wide": [], "covered": [0, 0, 0, 0]}


def test_pointing_and_the_arrow_keys_tell_the_values(league: Path, tmp_path: Path) -> None:
    script = """
    const [own, gain, , dots] = all("#difficulty .plot");
    const told = () => all(".peek p").map((it) => it.textContent);
    const right = (plot) =>
      plot.dispatchEvent(new KeyboardEvent("keydown", { key: "ArrowRight" }));
    const steps = (plot) => all(".line use", plot).map(() => { right(plot); return told(); });
    const mark = all(".line use", gain)[2].getBoundingClientRect();
    const at = { clientX: mark.x + mark.width / 2, clientY: mark.y, bubbles: true };
    gain.dispatchEvent(new PointerEvent("pointermove", at));
    const pointed = told();
    tell({ own: steps(own).slice(0, 4), dots: steps(dots), pointed,
      links: all("nav a").map((it) => it.textContent) });
    """
    told = answer(league, tmp_path, script)
    assert [rows[0] for rows in told["own"]] == [
        f"permutations: {value}" for value in ("2", "10", "100", "1,000")
    ]
    assert told["own"][0][1:] == ["jigsaw97.0", "chance50.0"]
    assert told["own"][3][1:] == ["chance0.1", "jigsaw0.1"], "from the top, though they touch"
    assert [rows[0] for rows in told["dots"]] == ["guard: false", "guard: true"]
    assert told["pointed"][0] == "permutations: 100"
    assert len(told["pointed"]) == 2
    assert "Difficulty" in told["links"]


@pytest.mark.parametrize(("scheme", "paper"), [(DARK, (20, 22, 26)), (LIGHT, (255, 255, 255))])
def test_words_stand_out_from_the_paper(
    league: Path, tmp_path: Path, scheme: str, paper: tuple[int, int, int]
) -> None:
    script = """
    tell([...new Set(all("#difficulty p, #difficulty small, #difficulty h3")
      .map((it) => getComputedStyle(it).color)), ...new Set(all("#difficulty .area text")
      .map((it) => getComputedStyle(it).fill))]);
    """
    for colour in answer(league, tmp_path, script, scheme):
        assert contrast(rgb(colour), paper) >= 4.5, colour

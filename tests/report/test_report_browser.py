"""The page in headless Chromium: every chart is drawn, and the console stays silent."""

from __future__ import annotations

import re
import shutil
import subprocess
from pathlib import Path

import pytest

from hotstart.report import write_report

from .fake_runs import HOSTILE, write_league, write_run

CHROMIUM = next(
    (p for p in map(shutil.which, ("chromium", "chromium-browser", "google-chrome")) if p), None
)
pytestmark = pytest.mark.skipif(
    CHROMIUM is None, reason="no Chromium: install it with `apt-get install chromium`"
)
QUIET = (
    "--headless",
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
    "--enable-logging=stderr",
    "--v=0",
    "--virtual-time-budget=30000",
)


def opened(page: Path, profile: Path, *flags: str) -> tuple[str, list[str]]:
    """The page's DOM once its scripts have run, and what they said on the console."""
    assert CHROMIUM is not None
    command = [CHROMIUM, *QUIET, f"--user-data-dir={profile}", *flags, "--dump-dom", page.as_uri()]
    done = subprocess.run(command, capture_output=True, text=True, timeout=120, check=True)
    return done.stdout, [line for line in done.stderr.splitlines() if "CONSOLE" in line]


@pytest.fixture(scope="module")
def league(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_report(write_league(tmp_path_factory.mktemp("league"), seeds=2))


def test_the_console_is_heard(tmp_path: Path) -> None:
    page = tmp_path / "loud.html"
    page.write_text("<script>console.error('heard'); nowhere()</script>", encoding="utf-8")
    _, said = opened(page, tmp_path / "profile")
    assert len(said) == 2


SOFT = {"dark": "rgb(161, 168, 177)", "light": "rgb(91, 98, 107)", "print": "rgb(68, 74, 82)"}
"""`--soft` of style.css: the colour of words in charts."""


def body_of(dom: str) -> str:
    """What is seen: the page without its scripts."""
    return re.sub(r"<script.*?</script>", "", dom, flags=re.DOTALL)


def asked(page: Path, folder: Path, script: str) -> Path:
    """A copy of the page that runs `script` once its charts are drawn.

    The page's policy forbids scripts that it does not know, so the copy has no policy.
    """
    text = page.read_text(encoding="utf-8")
    text = re.sub(r'<meta http-equiv="Content-Security-Policy"[^>]*>', "", text)
    wait = (
        "const wait = setInterval(() => { if (document.documentElement.dataset.charts) {"
        f"clearInterval(wait); {script} }} }}, 100)"
    )
    copy = folder / "asked.html"
    copy.write_text(text.replace("</body>", f"<script>{wait}</script></body>"), encoding="utf-8")
    return copy


@pytest.mark.parametrize(("width", "scheme"), [(390, "dark"), (1400, "light")])
def test_all_charts_are_drawn_in_silence(
    league: Path, tmp_path: Path, scheme: str, width: int
) -> None:
    colour = f"--blink-settings=preferredColorScheme={int(scheme == 'light')}"
    dom, said = opened(league, tmp_path / "profile", colour, f"--window-size={width},900")
    assert said == []
    assert 'data-charts="drawn"' in dom
    seen = body_of(dom)
    charts = seen.count("data-chart=")
    assert charts > 10
    assert seen.count("svg-container") == charts
    assert SOFT[scheme] in seen
    assert not any(other in seen for name, other in SOFT.items() if name != scheme)


def test_a_phone_sees_the_whole_width(league: Path, tmp_path: Path) -> None:
    # A window is never narrower than 500 px; a frame may be.
    ask = (
        "const root = document.documentElement;"
        "parent.postMessage(root.scrollWidth + ' of ' + root.clientWidth, '*')"
    )
    inner = asked(league, tmp_path, ask)
    outer = tmp_path / "outer.html"
    outer.write_text(
        "<script>onmessage = (event) => { document.title = event.data }</script>"
        f'<iframe src="{inner.name}" style="width:390px;height:900px;border:0"></iframe>',
        "utf-8",
    )
    dom, _ = opened(outer, tmp_path / "profile")
    told = re.search(r"<title>(\d+) of (\d+)", dom)
    assert told is not None
    assert int(told[1]) <= int(told[2]) <= 390


def test_hostile_names_do_nothing(tmp_path: Path) -> None:
    write_run(tmp_path / "runs" / "a", HOSTILE, data=HOSTILE, quarantine=[(HOSTILE, HOSTILE)])
    write_run(tmp_path / "runs" / "b", "random", data=HOSTILE)
    dom, said = opened(write_report(tmp_path / "runs"), tmp_path / "profile")
    assert said == []
    assert 'data-charts="drawn"' in dom
    assert "<img src=x" not in dom
    assert not re.search(r"<img(?![^>]*src=\"data:image/png)", body_of(dom))


def test_prints_in_ink_on_paper(league: Path, tmp_path: Path) -> None:
    copy = asked(league, tmp_path, "dispatchEvent(new Event('beforeprint'))")
    dark = "--blink-settings=preferredColorScheme=0"
    dom, said = opened(copy, tmp_path / "profile", dark)
    assert said == []
    seen = body_of(dom)
    assert SOFT["print"] in seen
    assert SOFT["dark"] not in seen
    assert len(re.findall(r'class="main-svg"[^>]*width="310"', seen)) >= seen.count("data-chart=")
    assert "<details>" not in seen, "what is folded on the screen is printed too"

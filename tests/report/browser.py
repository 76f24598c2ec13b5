"""Headless Chromium: opens a page, asks a script about it, hears its console."""

from __future__ import annotations

import json
import re
import shutil
import subprocess
from html import unescape
from pathlib import Path
from typing import Any

CHROMIUM = next(
    (p for p in map(shutil.which, ("chromium", "chromium-browser", "google-chrome")) if p), None
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
    "--virtual-time-budget=5000",
)
DARK = "--blink-settings=preferredColorScheme=0"
LIGHT = "--blink-settings=preferredColorScheme=1"
TOOLS = """
const all = (what, where = document) => [...where.querySelectorAll(what)];
const one = (what, where = document) => where.querySelector(what);
const seen = (it) => it.checkVisibility() && it.getClientRects().length > 0;
const tell = (told) => { document.title = "told " + JSON.stringify(told); };
"""


def opened(page: Path, profile: Path, *flags: str) -> tuple[str, list[str]]:
    """The page's DOM once its scripts have run, and what they said on the console."""
    assert CHROMIUM is not None
    command = [CHROMIUM, *QUIET, f"--user-data-dir={profile}", *flags, "--dump-dom", page.as_uri()]
    done = subprocess.run(command, capture_output=True, text=True, timeout=120, check=True)
    return done.stdout, [line for line in done.stderr.splitlines() if "CONSOLE" in line]


def asked(page: Path, folder: Path, script: str) -> Path:
    """A copy of the page that runs `script` at its end.

    The page's policy forbids scripts that it does not know, so the copy has no policy.
    """
    text = page.read_text(encoding="utf-8")
    text = re.sub(r'<meta http-equiv="Content-Security-Policy"[^>]*>', "", text)
    copy = folder / "asked.html"
    ours = f"<script>{TOOLS}{script}</script></body>"
    copy.write_text(text.replace("</body>", ours), encoding="utf-8")
    return copy


def answer(page: Path, folder: Path, script: str, *flags: str) -> Any:
    """What `script` tells of the page; the console must stay silent."""
    dom, said = opened(asked(page, folder, script), folder / "profile", *flags)
    assert said == []
    return told_by(dom)


def told_by(dom: str) -> Any:
    found = re.search(r"<title>told (.*?)</title>", dom, re.DOTALL)
    assert found is not None
    return json.loads(unescape(found[1]))


def rgb(colour: str) -> tuple[int, ...]:
    return tuple(int(part) for part in re.findall(r"\d+", colour)[:3])


def contrast(one: tuple[int, ...], other: tuple[int, ...]) -> float:
    """Ratio of luminances (WCAG 2.2, section 1.4.3): 4.5 or more is readable."""

    def luminance(colour: tuple[int, ...]) -> float:
        shares = [part / 255 for part in colour]
        linear = [s / 12.92 if s <= 0.04045 else ((s + 0.055) / 1.055) ** 2.4 for s in shares]
        return 0.2126 * linear[0] + 0.7152 * linear[1] + 0.0722 * linear[2]

    low, high = sorted((luminance(one), luminance(other)))
    return (high + 0.05) / (low + 0.05)

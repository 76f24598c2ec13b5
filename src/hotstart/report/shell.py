"""What every page is made of: templates, styles and scripts in one file that loads nothing."""

from __future__ import annotations

import base64
import hashlib
from collections.abc import Sequence
from importlib.resources import files
from pathlib import Path

from jinja2 import Environment, PackageLoader, StrictUndefined
from markupsafe import Markup


def environment() -> Environment:
    """Templates of `templates/`: all that they show is escaped, a name they lack is an error."""
    made = Environment(
        loader=PackageLoader("hotstart.report"),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    made.filters["data_uri"] = data_uri
    made.filters["sound_uri"] = sound_uri
    return made


def assemble(name: str, kind: str, body: str, styles: Sequence[str], scripts: Sequence[str]) -> str:
    """A whole page. body: rendered HTML; styles, scripts: names of files in `templates/`."""
    texts = [_asset(script) for script in scripts]
    page: str = (
        environment()
        .get_template("page.html")
        .render(
            name=name,
            kind=kind,
            style=Markup("\n".join(_asset(style) for style in styles)),
            body=Markup(body),
            scripts=[Markup(text) for text in texts],
            script_hashes=[_hash(text) for text in texts],
        )
    )
    return page


def write_page(path: Path, text: str) -> Path:
    """Write `text` whole or not at all; returns `path`."""
    part = path.with_name(path.name + ".part")
    # A file name need not be Unicode; what cannot be written is shown as a question mark.
    part.write_bytes(text.encode("utf-8", errors="replace"))
    return part.replace(path)


def sound_uri(wav: bytes) -> str:
    """A WAV file within the page."""
    return "data:audio/wav;base64," + base64.b64encode(wav).decode("ascii")


def data_uri(png: bytes) -> str:
    """A PNG file as the address of a picture inside the page."""
    return "data:image/png;base64," + base64.b64encode(png).decode()


def _asset(name: str) -> str:
    return files("hotstart.report").joinpath("templates", name).read_text(encoding="utf-8")


def _hash(script: str) -> str:
    """What the page's content security policy knows a script by."""
    digest = hashlib.sha256(script.encode()).digest()
    return f"sha256-{base64.b64encode(digest).decode()}"

"""The pages tell of every task, and what they link to is there."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from hotstart.pretext.registry import TASKS

ROOT = Path(__file__).parents[1]
PAGES = [ROOT / "README.md", ROOT / "CONTRIBUTING.md", *(ROOT / "docs").rglob("*.md")]
IN_ONE_TABLE = {"random", "supervised"}
"""Controls that need no section of their own."""


@pytest.mark.parametrize("task", TASKS)
def test_every_task_is_in_the_readme_and_has_a_section(task: str) -> None:
    assert f"`{task}`" in (ROOT / "README.md").read_text(encoding="utf-8")
    sections = "\n".join(page.read_text("utf-8") for page in (ROOT / "docs" / "tasks").glob("*.md"))
    assert task in IN_ONE_TABLE or f"\n## `{task}`" in sections


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT)))
def test_what_a_page_links_to_is_there(page: Path) -> None:
    for target in re.findall(r"\]\(([^)\s]+)\)", page.read_text(encoding="utf-8")):
        if re.match(r"[a-z]+:", target):
            continue
        name, _, heading = target.partition("#")
        other = (page.parent / name).resolve() if name else page
        assert other.exists(), f"{page.name} links to {target}"
        if heading:
            heads = re.findall(r"^#+ (.+)$", other.read_text(encoding="utf-8"), re.MULTILINE)
            assert heading in {_anchor(head) for head in heads}, f"{page.name} links to {target}"


def _anchor(head: str) -> str:
    return re.sub(r"[^\w\- ]", "", head.lower()).replace(" ", "-")

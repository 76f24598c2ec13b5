"""Data flows down the list of rooms: a file imports only from rooms above its own."""

from __future__ import annotations

import ast
from pathlib import Path

import hotstart

ROOT = Path(hotstart.__file__).parent
ROOMS = ["data", "world", "augment", "encoders", "pretext", "training", "downstream", "league"]
ROOMS += ["report", "export"]
FOR_ALL = {"errors", "config", "data_names", "__init__"}


def imports(path: Path) -> set[str]:
    """Rooms (or top-level files) of hotstart that a file imports."""
    found = set()
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        names = []
        if isinstance(node, ast.ImportFrom) and node.module:
            names = [node.module]
        elif isinstance(node, ast.Import):
            names = [alias.name for alias in node.names]
        found |= {n.split(".")[1] if "." in n else "__init__" for n in names if "hotstart" in n}
    return found


def test_a_file_imports_only_from_rooms_above() -> None:
    files = [path for room in ROOMS for path in (ROOT / room).rglob("*.py")]
    assert len(files) > 40
    for path in files:
        own = ROOMS.index(path.relative_to(ROOT).parts[0])
        wrong = imports(path) - FOR_ALL - set(ROOMS[: own + 1])
        assert not wrong, f"{path} imports {wrong}"


def test_the_loop_knows_no_task_and_downstream_no_pretext() -> None:
    for path in (ROOT / "downstream").glob("*.py"):
        assert "pretext" not in imports(path), path
    from hotstart.pretext.registry import TASKS

    loop = (ROOT / "training" / "loop.py").read_text(encoding="utf-8")
    assert not [name for name in TASKS if f'"{name}"' in loop]


def test_no_file_is_over_300_lines() -> None:
    long = [p for p in ROOT.rglob("*.py") if len(p.read_text(encoding="utf-8").splitlines()) > 300]
    assert not long

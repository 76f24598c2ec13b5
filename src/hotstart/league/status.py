"""How far a task is proven, from results shipped with the package."""

from __future__ import annotations

import json
from functools import cache
from importlib.resources import files


@cache
def _shipped() -> dict[str, dict[str, object]]:
    path = files("hotstart.league").joinpath("status.json")
    found: dict[str, dict[str, object]] = json.loads(path.read_text(encoding="utf-8"))
    return found


def status(task: str) -> str:
    """`verified`, `runs` or `experimental`; what each means stands in docs/evidence.md."""
    return str(_shipped().get(task, {}).get("status", "experimental"))

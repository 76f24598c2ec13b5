"""Finds pretext tasks and controls by name, and several at once; readable without torch."""

from __future__ import annotations

from collections.abc import Mapping
from functools import cache
from importlib import import_module
from typing import TYPE_CHECKING, Any

from hotstart.config import nearest
from hotstart.errors import UsageError
from hotstart.pretext.entries import TASKS, Entry, Family

if TYPE_CHECKING:
    from hotstart.pretext.task import PretextTask

JOIN = "+"
"""Between the names of tasks that are trained at once."""
COMPOSITE = "hotstart.pretext.composite:compose"


def parts(name: str) -> tuple[str, ...]:
    """The tasks that are trained at once: `rotation+jigsaw` -> both; of one task itself alone."""
    return tuple(name.split(JOIN))


def own_settings(name: str, tables: Mapping[str, Mapping[str, Any]]) -> dict[str, Any]:
    """The values for the settings of task `name`, of tables with one for each task.

    Several tasks at once have one nested table for each.
    """
    if JOIN not in name:
        return dict(tables.get(name, {}))
    return {part: dict(tables[part]) for part in parts(name) if part in tables}


def find(name: str) -> Entry:
    """The entry of `name`; of several tasks at once, `rotation+jigsaw`, one made of theirs.

    A third party's `package.module:Class` is accepted too. Raises UsageError for a name that is
    unknown, and for tasks that cannot be combined, as far as the list tells.
    """
    if JOIN in name:
        return _combined(name)
    if name in TASKS:
        return TASKS[name]
    if ":" in name:
        return Entry(name, "context", "third party", (), "third party")
    raise UsageError(f"--task {name!r} is unknown; {nearest(name, TASKS)}, or package.module:Class")


def _combined(name: str) -> Entry:
    own = parts(name)
    doubles = sorted({part for part in own if own.count(part) > 1})
    if doubles:
        raise UsageError(f"--task {name!r} names {', '.join(doubles)} more than once: name it once")
    entries = {part: find(part) for part in own}
    controls = [part for part, entry in entries.items() if entry.family == "control"]
    if controls:
        raise UsageError(
            f"--task {name!r}: {', '.join(controls)} is a control, which stands alone; combine "
            "pretext tasks"
        )
    everyone = entries.values()
    families = {entry.family for entry in everyone}
    return Entry(
        COMPOSITE,
        families.pop() if len(families) == 1 else "several",
        " and ".join(dict.fromkeys(entry.kind for entry in everyone)),
        tuple(dict.fromkeys(key for entry in everyone for key in entry.needs)),
        "; ".join(dict.fromkeys(entry.paper for entry in everyone)),
    )


@cache
def task_class(name: str) -> type[PretextTask]:
    """The class behind `name`; imports torch. Several tasks at once have one made for them."""
    module, _, attribute = find(name).path.partition(":")
    try:
        found = getattr(import_module(module), attribute)
    except (ImportError, AttributeError) as error:
        raise UsageError(f"--task {name!r} cannot be loaded: {error}") from None
    if JOIN in name:
        return found({part: task_class(part) for part in parts(name)})  # type: ignore[no-any-return]
    return found  # type: ignore[no-any-return]


__all__ = ["JOIN", "TASKS", "Entry", "Family", "find", "own_settings", "parts", "task_class"]

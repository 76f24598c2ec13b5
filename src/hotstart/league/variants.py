"""Variants of a task in a league: one of its settings changed, all others as the league has them.

Readable without torch. A variant is told by `setting=value`, the value as JSON or plain text; the
task as the league has it, its plain contender, by None.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from typing import Any

SETTINGS = "settings"
"""Where the detail of a `pretext` record holds all settings of its task."""


def write_variant(setting: str, value: Any) -> str:
    """`permutations=10`, `view.crop_scale=[0.2, 1.0]`, `position=centre`."""
    return f"{setting}={value if isinstance(value, str) else json.dumps(value)}"


def read_variant(variant: str) -> tuple[str, Any]:
    """Setting and value of `setting=value`."""
    setting, _, text = variant.partition("=")
    return setting, read_value(text)


def read_value(text: str) -> Any:
    """A value as the command line has it: JSON, or else text."""
    try:
        return json.loads(text)
    except json.JSONDecodeError:
        return text


def full_name(task: str, variant: str | None) -> str:
    """A contender for people: `jigsaw`, or `jigsaw, permutations=10`."""
    return task if variant is None else f"{task}, {variant}"


def changed(own: Mapping[str, Any], setting: str, value: Any) -> dict[str, Any]:
    """A copy of a task's settings in which `setting`, perhaps a nested one, has this value."""
    key, _, below = setting.partition(".")
    if not below:
        return {**own, key: value}
    inner = own.get(key)
    return {**own, key: changed(inner if isinstance(inner, Mapping) else {}, below, value)}


def value_in(own: Any, setting: str) -> Any:
    """What `setting` is in a task's settings; None where they do not tell."""
    for key in setting.split("."):
        own = own.get(key) if isinstance(own, Mapping) else None
    return own


def ordered(values: Iterable[Any]) -> bool:
    """Whether these values are numbers of 0 or more, which have places on an axis."""
    return all(
        isinstance(value, int | float) and not isinstance(value, bool) and value >= 0
        for value in values
    )


def in_order(values: Iterable[Any]) -> list[Any]:
    """Numbers by size, all others by what they are written as; equal ones once."""
    told = {write_variant("", value): value for value in values}
    if ordered(told.values()):
        return sorted(told.values())
    return [told[text] for text in sorted(told)]

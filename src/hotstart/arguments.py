"""From the words of a command line to values, checked before any work begins."""

from __future__ import annotations

import json
from typing import Any

from hotstart.errors import UsageError


def parse_set(changes: list[str]) -> dict[str, dict[str, Any]]:
    """`["rotation.all_four=true"]` -> `{"rotation": {"all_four": True}}`; values are JSON or text.

    `rotation.view.flip=0` reaches into a nested setting; `package.module:Class.name=value` works.
    """
    tables: dict[str, dict[str, Any]] = {}
    for change in changes:
        name, equals, text = change.partition("=")
        module, colon, rest = name.rpartition(":")
        task, *keys = rest.split(".")
        if not equals or not task or not keys or not all(keys):
            raise UsageError(f"--set {change!r}: write task.name=value")
        try:
            value = json.loads(text)
        except json.JSONDecodeError:
            value = text
        table = tables.setdefault(module + colon + task, {})
        for key in keys[:-1]:
            table = table.setdefault(key, {})
        table[keys[-1]] = value
    return tables


def parse_labels(text: str) -> list[float]:
    """`"1%,10%,1.0"` -> `[0.01, 0.1, 1.0]`."""
    shares = []
    for part in text.split(","):
        try:
            share = float(part.rstrip("% ")) / (100 if part.strip().endswith("%") else 1)
        except ValueError:
            share = -1.0
        if not 0 < share <= 1:
            raise UsageError(f"--labels {part!r}: a share above 0 and up to 100 %, as 1%,10%,100%")
        shares.append(share)
    return shares


def parse_protocols(text: str) -> list[Any]:
    """`"knn,linear"` -> `["knn", "linear"]`, checked."""
    allowed = ("knn", "linear", "finetune", "scratch")
    names = [name.strip() for name in text.split(",")]
    for name in names:
        if name not in allowed:
            raise UsageError(f"--protocol {name!r}: valid are {', '.join(allowed)}")
    return names


def parse_seeds(text: str) -> list[int]:
    """`"3"` -> `[0, 1, 2]`, so many seeds; `"3,5"` or `"3,"` -> those."""
    parts = [part.strip() for part in text.split(",") if part.strip()]
    if not parts or not all(part.isdecimal() for part in parts):
        raise UsageError(f"--seeds {text!r}: a number of seeds, as 3, or a list, as 0,1,2")
    numbers = [int(part) for part in parts]
    if "," in text:
        return numbers
    if numbers[0] < 1:
        raise UsageError("--seeds 0: at least one seed is needed")
    return list(range(numbers[0]))


def parse_names(text: str) -> list[str]:
    """`"rotation,simclr"` -> `["rotation", "simclr"]`."""
    return [name.strip() for name in text.split(",") if name.strip()]

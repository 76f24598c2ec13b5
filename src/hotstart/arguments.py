"""From the words of a command line to values, checked before any work begins."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from hotstart.errors import UsageError
from hotstart.league.variants import read_value

COLOUR = 1 << 24
"""Colours of label maps are values from here on, as `data.label_maps` has it."""


def parse_set(changes: list[str]) -> dict[str, dict[str, Any]]:
    """`["rotation.all_four=true"]` -> `{"rotation": {"all_four": True}}`; values are JSON or text.

    `rotation.view.flip=0` reaches into a nested setting; `package.module:Class.name=value` works.
    """
    tables: dict[str, dict[str, Any]] = {}
    for change in changes:
        task, keys, text = _setting(change, "--set", "task.name=value")
        table = tables.setdefault(task, {})
        for key in keys[:-1]:
            table = table.setdefault(key, {})
        table[keys[-1]] = read_value(text)
    return tables


def parse_sweep(sweeps: list[str]) -> dict[str, dict[str, list[Any]]]:
    """`["jigsaw.permutations=2,10"]` -> `{"jigsaw": {"permutations": [2, 10]}}`.

    Names and values are those of `--set`; a comma inside brackets or quotes belongs to its value:
    `simclr.view.crop_scale=[0.2,1.0],[0.5,1.0]`. A nested name stays in one piece.
    """
    tables: dict[str, dict[str, list[Any]]] = {}
    for sweep in sweeps:
        task, keys, text = _setting(sweep, "--sweep", "task.name=value,value,...")
        parts = [part.strip() for part in _between_commas(text)]
        if not all(parts):
            raise UsageError(
                f"--sweep {sweep!r}: a value is missing; write task.name=value,value,..."
            )
        values = tables.setdefault(task, {}).setdefault(".".join(keys), [])
        values += map(read_value, parts)
    return tables


def _setting(change: str, option: str, form: str) -> tuple[str, list[str], str]:
    """`my.package:Task.view.flip=0` -> `("my.package:Task", ["view", "flip"], "0")`."""
    name, equals, text = change.partition("=")
    module, colon, rest = name.rpartition(":")
    task, *keys = rest.split(".")
    if not equals or not task or not keys or not all(keys):
        raise UsageError(f"{option} {change!r}: write {form}")
    return module + colon + task, keys, text


def _between_commas(text: str) -> list[str]:
    """Its parts; commas inside brackets, braces or double quotes do not part."""
    parts, depth, quoted = [""], 0, False
    for letter in text:
        quoted ^= letter == '"'
        depth += 0 if quoted else (letter in "[{") - (letter in "]}")
        if letter == "," and depth <= 0 and not quoted:
            parts.append("")
        else:
            parts[-1] += letter
    return parts


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


def parse_ignored(text: str | None) -> list[int]:
    """`"11,255"` -> `[11, 255]`; a colour, `#ff0000`, is a value too."""
    values = []
    for part in parse_names(text or ""):
        digits = part.removeprefix("#")
        try:
            values.append(int(part) if digits == part else COLOUR + int(digits, 16))
        except ValueError:
            raise UsageError(
                f"--ignore-index {part!r}: whole numbers, as 11,255, or colours, as #ff0000"
            ) from None
    return values


def parse_class_names(text: str | None) -> list[str]:
    """`"sky,road"`, or a file with a name in each line -> `["sky", "road"]`."""
    if text is None:
        return []
    try:
        lines = Path(text).read_text(encoding="utf-8").splitlines()
    except (OSError, UnicodeDecodeError):
        return parse_names(text)
    return [line.strip() for line in lines if line.strip()]


def parse_names(text: str) -> list[str]:
    """`"rotation,simclr"` -> `["rotation", "simclr"]`."""
    return [name.strip() for name in text.split(",") if name.strip()]

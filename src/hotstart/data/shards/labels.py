"""What the small files of a sample say of it: label and group, from `cls`, `json` or `txt`."""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import Any

CLS, JSON, TXT = range(3)
"""Where a label is from; the first that any sample has counts, for all of them."""
LABEL_FIELD = "label"
MOST_BYTES = 2**20
"""Of a file that is read; what is larger says nothing."""
LONGEST_CLASS = 64
"""Bytes of a `txt` that may be the name of a class; a longer one is a caption."""


@dataclass(frozen=True)
class Asked:
    """What is read of the samples.

    label: an ending of their files, or a field of their `json`; None: `cls`, else the field
    `label`, else `txt`. group: a field of their `json`
    """

    label: str | None = None
    group: str | None = None

    def wants(self, ending: str) -> bool:
        """Whether a file with this ending has to be read."""
        last = ending.rpartition(".")[2]
        return ending == self.label or last == "json" or (self.label is None and _plain(ending))

    def label_of(self, ending: str, data: bytes) -> tuple[int, str | None]:
        """Where a label is from, and the label itself, None where there is none.

        Raises `ValueError` for a `json` that cannot be read.
        """
        if ending == self.label or (self.label is None and _plain(ending)):
            return TXT if ending == "txt" else CLS, _text(data)
        return JSON, _field(data, self.label or LABEL_FIELD)

    def group_of(self, ending: str, data: bytes) -> str | None:
        """The group, None where there is none. Raises `ValueError`."""
        if self.group is None or ending.rpartition(".")[2] != "json":
            return None
        return _field(data, self.group)


def fields(data: bytes) -> list[str]:
    """Names of the fields of a `json` that hold a label or group."""
    try:
        found = json.loads(data)
    except ValueError:
        return []
    if not isinstance(found, dict):
        return []
    return [name for name, value in found.items() if _plain_value(value) is not None]


def _plain(ending: str) -> bool:
    return ending == "txt" or ending.rpartition(".")[2] == "cls"


def _text(data: bytes) -> str | None:
    return data.decode("utf-8", "backslashreplace").strip() or None


def _field(data: bytes, name: str) -> str | None:
    # Most files need not be parsed to know that a field is not in them.
    written = json.dumps(name).encode()
    if name.isascii() and written not in data and data.rstrip()[-1:] == b"}":
        return None
    found = json.loads(data)
    return _plain_value(found.get(name)) if isinstance(found, dict) else None


def _plain_value(value: Any) -> str | None:
    if not isinstance(value, str | int | float) or value != value:
        return None
    return str(value).strip() or None

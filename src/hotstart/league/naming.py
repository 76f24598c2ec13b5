"""What data sets are called where several are told of."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import PurePath


def told_apart(typed: Iterable[str]) -> dict[str, str]:
    """For each data set, as it was typed, the shortest end of its path that no other one has.

    `/data/a/cells` and `/data/b/cells` are `a/cells` and `b/cells`, `/data/camvid` is `camvid`.
    """
    parts = {name: PurePath(name).parts for name in typed}

    def short(name: str) -> str:
        own = parts[name]
        for length in range(1, len(own)):
            end = own[-length:]
            if not any(other[-length:] == end for one, other in parts.items() if one != name):
                return str(PurePath(*end))
        return name

    return {name: short(name) for name in parts}

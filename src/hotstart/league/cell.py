"""One cell of a league: a function of `hotstart` and its arguments, run in a process of its own.

`python -m hotstart.league.cell` reads a cell as one line of JSON from standard input and answers on
standard output with one JSON object a line: `{"told": [...]}` as the work goes on, and at last
`{"done": value}` or `{"failed": sentence}`. When standard input closes, its parent is gone and the
process ends. What libraries print goes to standard error.
"""

from __future__ import annotations

import json
import os
import sys
import threading
import time
import traceback
from dataclasses import dataclass
from typing import Any, TextIO

import hotstart
from hotstart.errors import HotstartError

TOLD_EVERY_SECONDS = 0.2
ABANDONED = 70


@dataclass(frozen=True)
class Cell:
    """Plain data, so that it can be run here or anywhere."""

    name: str
    """Unique in a league, and safe as a file name."""
    title: str
    """For people."""
    function: str
    """`pretrain`, `evaluate`, `calibrate`: a public name of `hotstart`."""
    arguments: dict[str, Any]
    """Keyword arguments that JSON can carry."""
    after: str | None = None
    """The cell that must be finished first."""


class Channel:
    """The way back to the parent."""

    def __init__(self, file: TextIO) -> None:
        self._file = file
        self._last = 0.0

    def say(self, message: dict[str, Any]) -> None:
        try:
            self._file.write(json.dumps(message, default=lambda _: None) + "\n")
            self._file.flush()
        except BrokenPipeError:
            os._exit(ABANDONED)

    def tell(self, *told: Any) -> None:
        """A listener for every function: an event of a run's log, or (what, done, total).

        Of what comes often, only some is passed on.
        """
        frequent = (
            told[0].get("kind") in ("step", "health") if len(told) == 1 else told[1] < told[2]
        )
        if not frequent or time.monotonic() - self._last > TOLD_EVERY_SECONDS:
            self._last = time.monotonic() if frequent else self._last
            self.say({"told": list(told)})


def run(function: str, arguments: dict[str, Any], channel: Channel) -> None:
    """Call the function and say how it ended."""
    try:
        value = getattr(hotstart, function)(
            **arguments, listener=channel.tell, caching=channel.tell
        )
    except HotstartError as error:
        channel.say({"failed": str(error)})
    except Exception as error:
        traceback.print_exc()
        told = f"unexpected {type(error).__name__}: {error}"
        channel.say({"failed": told, "unexpected": True})
    else:
        channel.say({"done": value if isinstance(value, int) else None})


def _end_with_the_parent() -> None:
    while os.read(0, 4096):
        pass
    os._exit(ABANDONED)


def main() -> None:
    """Entry point of the process."""
    channel = Channel(os.fdopen(os.dup(1), "w", encoding="utf-8"))
    os.dup2(2, 1)
    line = b""
    while not line.endswith(b"\n"):
        part = os.read(0, 1 << 16)
        if not part:
            sys.exit(ABANDONED)
        line += part
    threading.Thread(target=_end_with_the_parent, daemon=True).start()
    cell = json.loads(line)
    run(cell["function"], cell["arguments"], channel)


if __name__ == "__main__":
    main()

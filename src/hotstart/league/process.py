"""The process of a cell, `python -m hotstart.league.cell`, and what it says."""

from __future__ import annotations

import contextlib
import json
import os
import signal
import subprocess
import sys
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from hotstart.league.cell import Cell

THREADS = ("OMP_NUM_THREADS", "MKL_NUM_THREADS")


@dataclass(frozen=True)
class Told:
    """Something that a running cell says: one event of a log, or (what, done, total)."""

    cell: str
    told: list[Any]


@dataclass(frozen=True)
class Ended:
    """A cell is over. problem: None, or what went wrong in one sentence."""

    cell: str
    value: int | None
    problem: str | None


class CellProcess:
    """A cell at work in a process, which ends when the one that began it does, however it ends.

    log: file for what the cell prints; removed where it stays empty
    threads: how many its libraries may use; None: what they take by themselves
    keep: file descriptors that it holds open (a lock that must last as long as it)
    folder: where its relative paths begin; None: where those of this process do
    environment: variables beside those of this process
    """

    def __init__(
        self,
        cell: Cell,
        log: Path,
        *,
        threads: int | None = None,
        keep: Sequence[int] = (),
        folder: Path | None = None,
        environment: Mapping[str, str] | None = None,
    ) -> None:
        self._cell, self._log = cell, log
        of_threads = {} if threads is None else {name: str(threads) for name in THREADS}
        log.parent.mkdir(parents=True, exist_ok=True)
        with log.open("w", encoding="utf-8") as errors:
            self._process = subprocess.Popen(
                [sys.executable, "-m", "hotstart.league.cell"],
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=errors,
                text=True,
                encoding="utf-8",
                env={**os.environ, **(environment or {}), **of_threads},
                cwd=folder,
                pass_fds=tuple(keep),
                # Ctrl-C is for the league, which ends its cells itself.
                start_new_session=True,
            )

    def heard(self) -> Iterator[Told | Ended]:
        """What the process says until it ends; `Ended` is the last."""
        process = self._process
        assert process.stdin is not None
        assert process.stdout is not None
        last: dict[str, Any] = {}
        with process.stdout as answers:
            # Its standard input stays open as long as this process lives.
            try:
                order = {"function": self._cell.function, "arguments": self._cell.arguments}
                process.stdin.write(json.dumps(order) + "\n")
                process.stdin.flush()
                for line in answers:
                    last = json.loads(line)
                    if "told" in last:
                        yield Told(self._cell.name, last["told"])
            except (OSError, ValueError):  # it died while it was spoken to, or mid-word
                last = {}
            code = process.wait()
            with contextlib.suppress(OSError):
                process.stdin.close()
        yield Ended(self._cell.name, last.get("done"), _problem(last, code, self._log))

    def kill(self) -> None:
        """End it, if it has not ended."""
        self._process.kill()


def _problem(last: dict[str, Any], code: int, log: Path) -> str | None:
    """What the last answer and the exit code say went wrong; what was printed stays to be read."""
    printed = log.exists() and log.stat().st_size > 0
    if log.exists() and not printed:
        log.unlink()
    if "done" in last:
        return None
    if "failed" in last and not last.get("unexpected"):
        return str(last["failed"])
    if "failed" in last:
        told = str(last["failed"])
    elif code < 0:
        told = f"its process was killed by signal {-code}"
        told += ", perhaps for want of memory" if -code == signal.SIGKILL else ""
    else:
        told = f"its process ended with code {code}"
    return told + (f" (more in {log})" if printed else "")

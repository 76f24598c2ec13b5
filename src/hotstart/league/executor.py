"""Where cells run. The league asks for an `Executor`; this machine's processes are one."""

from __future__ import annotations

import contextlib
import json
import os
import queue
import signal
import subprocess
import sys
import threading
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

from hotstart.data.workers import cores
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


class Executor(Protocol):
    """Runs cells, each in a process of its own; it knows nothing of what they depend on."""

    workers: int
    """Cells that may run at once."""

    def start(self, cell: Cell) -> None:
        """Begin; returns at once."""

    def wait(self) -> Told | Ended:
        """The next thing that any of the running cells says."""

    def stop(self) -> None:
        """End whatever still runs. Every cell can be run again."""


class LocalExecutor:
    """Processes of this machine; they end when this process does, however it ends.

    workers: cells at once; the processor's cores are divided among them
    logs: folder for what cells print; a file that stays empty is removed
    keep: file descriptors that the processes hold open (a lock that must last as long as they)
    """

    def __init__(self, logs: Path, workers: int = 1, keep: Sequence[int] = ()) -> None:
        self.workers = workers
        self._logs = logs
        self._keep = tuple(keep)
        self._heard: queue.Queue[Told | Ended] = queue.Queue()
        self._running: dict[str, tuple[subprocess.Popen[str], threading.Thread]] = {}

    def start(self, cell: Cell) -> None:
        """Begin a process for `cell`."""
        self._logs.mkdir(parents=True, exist_ok=True)
        log = self._logs / f"{cell.name}.log"
        with log.open("w", encoding="utf-8") as errors:
            process = subprocess.Popen(
                [sys.executable, "-m", "hotstart.league.cell"],
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=errors,
                text=True,
                encoding="utf-8",
                env=self._environment(),
                pass_fds=self._keep,
                # Ctrl-C is for the league, which ends its cells itself.
                start_new_session=True,
            )
        listener = threading.Thread(target=self._listen, args=(cell, process, log), daemon=True)
        self._running[cell.name] = (process, listener)
        listener.start()

    def wait(self) -> Told | Ended:
        """The next thing that any of the running cells says."""
        heard = self._heard.get()
        if isinstance(heard, Ended):
            _, listener = self._running.pop(heard.cell)
            listener.join()
        return heard

    def stop(self) -> None:
        """Kill whatever still runs."""
        for process, _ in self._running.values():
            process.kill()
        for _, listener in self._running.values():
            listener.join()
        self._running.clear()

    def _environment(self) -> dict[str, str]:
        if self.workers == 1:
            return dict(os.environ)
        share = max(cores() // self.workers, 1)
        return {**os.environ, **{name: str(share) for name in THREADS}}

    def _listen(self, cell: Cell, process: subprocess.Popen[str], log: Path) -> None:
        """Pass on what the process says until it ends."""
        assert process.stdin is not None
        assert process.stdout is not None
        last: dict[str, Any] = {}
        with process.stdout as answers:
            # Its standard input stays open as long as this process lives.
            try:
                order = {"function": cell.function, "arguments": cell.arguments}
                process.stdin.write(json.dumps(order) + "\n")
                process.stdin.flush()
                for line in answers:
                    last = json.loads(line)
                    if "told" in last:
                        self._heard.put(Told(cell.name, last["told"]))
            except (OSError, ValueError):  # it died while it was spoken to, or mid-word
                last = {}
            code = process.wait()
            with contextlib.suppress(OSError):
                process.stdin.close()
        self._heard.put(Ended(cell.name, last.get("done"), _problem(last, code, log)))


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

"""Where cells run. The league asks for an `Executor`; this machine's processes are one."""

from __future__ import annotations

import importlib
import os
import queue
import threading
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, Protocol, TextIO

from hotstart.errors import UsageError
from hotstart.league.cell import Cell
from hotstart.league.process import CellProcess, Ended, Told

__all__ = ["Ended", "Executor", "LocalExecutor", "Told", "check_executor", "open_executor"]


CLIENT = ("//", "ray://")
"""How an address of Ray's client protocol begins, after `ray:` and by itself."""


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
        self._running: dict[str, tuple[CellProcess, threading.Thread]] = {}

    def start(self, cell: Cell) -> None:
        """Begin a process for `cell`."""
        log = self._logs / f"{cell.name}.log"
        process = CellProcess(cell, log, threads=self._threads(), keep=self._keep)
        listener = threading.Thread(target=self._listen, args=(process,), daemon=True)
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

    def _threads(self) -> int | None:
        if self.workers == 1:
            return None
        from hotstart.data.workers import cores

        return max(cores() // self.workers, 1)

    def _listen(self, process: CellProcess) -> None:
        for heard in process.heard():
            self._heard.put(heard)


def check_executor(name: str) -> None:
    """Raise UsageError unless `name` is `local`, `ray` or `ray:ADDRESS`, and can be had."""
    kind, _, address = name.partition(":")
    if name != "local" and kind != "ray":
        raise UsageError(
            f"--executor {name!r}: valid are local (processes of this machine), ray (a cluster), "
            "ray:HOST:PORT (that one)"
        )
    if kind == "ray" and (address or os.environ.get("RAY_ADDRESS", "")).startswith(CLIENT):
        raise UsageError(
            f"--executor {name}: Ray's client protocol, ray://, is not spoken here; give the "
            "command on a machine of the cluster, with --executor ray"
        )
    if kind == "ray":
        try:
            importlib.import_module("ray")
        except ImportError:
            raise UsageError(
                f"--executor {name}: Ray is not installed; `pip install 'hotstart[ray]'` installs "
                "it, and --executor local needs none"
            ) from None


def open_executor(
    name: str,
    logs: Path,
    workers: int | None,
    lock: TextIO,
    accelerator: str,
    listener: Callable[[dict[str, Any]], None],
) -> Executor:
    """The executor called `name`, of `workers` cells at once; None: one, or what a cluster takes.

    logs: folder for what cells print
    lock: the league's lock, which cells share as long as they run
    accelerator: as in `--accelerator`; what a cell asks a cluster for
    listener: told, with a `sentence` of kind `cluster`, what a cluster has
    Raises UsageError as `check_executor`, and where there is no such cluster.
    """
    check_executor(name)
    if name == "local":
        return LocalExecutor(logs, workers or 1, keep=(lock.fileno(),))
    from hotstart.league.ray_executor import RayExecutor

    address = name.partition(":")[2] or None
    executor = RayExecutor(logs, Path(lock.name), address, workers, accelerator)
    listener({"kind": "cluster", "sentence": executor.told})
    return executor

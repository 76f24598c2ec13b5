"""Cells on the nodes of a Ray cluster, each a Ray task with the same process as elsewhere."""

from __future__ import annotations

import contextlib
import fcntl
import os
import queue
import socket
import threading
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TextIO

import ray

from hotstart.errors import TrainingError
from hotstart.league.cell import Cell
from hotstart.league.process import CellProcess, Ended, Told
from hotstart.league.ray_cluster import connect, count, divide, gpus_of_cell, nodes_of_cluster, room

OF_PATHS = ("PYTHONPATH", "HOTSTART_TORCHVISION")
"""Variables that say where things are: nodes, which share the files, are told them."""
LOOK_SECONDS = 60.0
"""How often to ask, where nothing is heard, whether the cluster can still run a cell."""
STOP_SECONDS = 10.0
"""How long to wait for cells that were told to end."""


@dataclass(frozen=True)
class Place:
    """What a node has to know beside the cell."""

    logs: Path
    lock: Path
    """The league's lock, absolute; who sees another file there does not see the league."""
    mark: str
    """What is written in it."""
    here: Path
    """Where relative paths begin."""
    threads: int
    environment: dict[str, str]


class RayExecutor:
    """Tasks of a Ray cluster; it, its nodes and this machine see the same folder.

    logs, lock: of the league's folder; `lock` tells by what is written in it which league it is
    address: `HOST:PORT` of the cluster; None: that of `RAY_ADDRESS`, else one that runs on this
        machine, else one begun here for as long as the executor lives
    workers: cells at once, which share the cluster's CPUs; None: one for each CPU, or GPU
    accelerator: `cuda`: one GPU a cell; `auto`: the same where the cluster has any; else none
    Raises UsageError where no cluster answers, or it has nothing of what a cell needs.
    """

    def __init__(
        self,
        logs: Path,
        lock: Path,
        address: str | None = None,
        workers: int | None = None,
        accelerator: str = "auto",
    ) -> None:
        self._heard: queue.Queue[Told | Ended] = queue.Queue()
        self._running: dict[str, tuple[Any, threading.Thread]] = {}
        self._ours = contextlib.ExitStack()
        try:
            begun = connect(self._ours, address)
            nodes = nodes_of_cluster()
            self._gpus = gpus_of_cell(nodes, accelerator)
            self.workers, self._cpus = divide(nodes, workers, self._gpus)
        except BaseException:
            self._ours.close()
            raise
        self._place = Place(
            logs=logs.absolute(),
            lock=lock.absolute(),
            mark=lock.read_text(encoding="utf-8"),
            here=Path.cwd(),
            threads=self._cpus,
            environment={name: os.environ[name] for name in OF_PATHS if name in os.environ},
        )
        self.told = (
            f"Ray{', begun on this machine' if begun else ''}: {count(len(nodes), 'node')}, "
            f"{count(self.workers, 'cell')} at once of {count(self._cpus, 'CPU')}"
            + (" and a GPU" if self._gpus else "")
        )
        """One sentence for people."""

    def start(self, cell: Cell) -> None:
        """Hand `cell` to Ray, which runs it as soon as a node has room."""
        task = ray.remote(
            num_cpus=self._cpus,
            num_gpus=self._gpus,
            num_returns="streaming",
            max_retries=0,
            scheduling_strategy="SPREAD",
        )(run_on_node)
        stream = task.remote(cell, self._place)
        listener = threading.Thread(target=self._listen, args=(cell.name, stream), daemon=True)
        self._running[cell.name] = (stream, listener)
        listener.start()

    def wait(self) -> Told | Ended:
        """The next thing that any of the running cells says.

        Raises TrainingError where the cluster shrank so much that no node can run a cell.
        """
        while True:
            try:
                heard = self._heard.get(timeout=LOOK_SECONDS)
            except queue.Empty:
                if not room(nodes_of_cluster(), self._cpus, self._gpus):
                    raise TrainingError(
                        f"no node of the cluster has {count(self._cpus, 'CPU')}"
                        f"{' and a GPU' if self._gpus else ''} for a cell any more; give the same "
                        "command again, and what is left is divided among what is there"
                    ) from None
                continue
            if isinstance(heard, Ended):
                _, listener = self._running.pop(heard.cell)
                listener.join()
            return heard

    def stop(self) -> None:
        """End whatever still runs, and the Ray that was begun here."""
        for stream, _ in self._running.values():
            ray.cancel(stream, force=True)
        for _, listener in self._running.values():
            listener.join(timeout=STOP_SECONDS)
        self._running.clear()
        self._ours.close()

    def _listen(self, name: str, stream: Any) -> None:
        ended = Ended(name, None, "its Ray task ended without a word")
        try:
            for reference in stream:
                heard = ray.get(reference)
                if isinstance(heard, Ended):
                    ended = heard
                else:
                    self._heard.put(heard)
        except Exception as error:
            ended = Ended(name, None, lost(error))
        self._heard.put(ended)


def run_on_node(cell: Cell, place: Place) -> Iterator[Told | Ended]:
    """What a node does for a cell: its process, heard until it ends. `Ended` is the last.

    The process ends when the Ray worker does, and shares the league's lock until then.
    """
    lock = _enter(place)
    if lock is None:
        problem = (
            f"the node {socket.gethostname()} does not see the league: {place.lock.parent} and "
            f"{place.here} must be on a file system that all nodes share, under the same paths"
        )
        yield Ended(cell.name, None, problem)
        return
    with lock:
        fcntl.flock(lock, fcntl.LOCK_SH | fcntl.LOCK_NB)
        process = CellProcess(
            cell,
            place.logs / f"{cell.name}.log",
            threads=place.threads,
            keep=(lock.fileno(),),
            folder=place.here,
            environment=place.environment,
        )
        try:
            yield from process.heard()
        finally:
            process.kill()


def _enter(place: Place) -> TextIO | None:
    """The lock of the very league that is meant; None where it is not to be seen from here."""
    try:
        lock = place.lock.open(encoding="utf-8")
        if place.here.is_dir() and lock.read() == place.mark:
            return lock
        lock.close()
    except OSError:
        pass
    return None


def lost(error: Exception) -> str:
    """What Ray says of a task that did not end by itself, in one sentence."""
    if isinstance(error, ray.exceptions.OutOfMemoryError):
        return "Ray ended it, since its node ran out of memory; fewer --workers need less"
    if isinstance(error, ray.exceptions.RayTaskError):
        told = str(error).strip().splitlines() or [""]
        return f"its node could not begin it ({told[-1].strip()}): is Hotstart installed there too?"
    return f"its node or its Ray worker was lost ({type(error).__name__})"

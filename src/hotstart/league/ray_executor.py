"""Cells on the nodes of a Ray cluster, each a Ray task with the same process as elsewhere."""

from __future__ import annotations

import contextlib
import fcntl
import os
import queue
import socket
import sys
import threading
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TextIO

import ray

from hotstart.errors import TrainingError, UsageError
from hotstart.league.cell import Cell
from hotstart.league.process import CellProcess, Ended, Told

OBJECT_STORE_BYTES = 100 * 2**20
"""Of a Ray that is begun here: what cells say is small."""
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
            begun = _connect(self._ours, address)
            nodes = _nodes()
            self._gpus = _gpus(nodes, accelerator)
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
            f"Ray{', begun on this machine' if begun else ''}: {_count(len(nodes), 'node')}, "
            f"{_count(self.workers, 'cell')} at once of {_count(self._cpus, 'CPU')}"
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
                if not _room(_nodes(), self._cpus, self._gpus):
                    raise TrainingError(
                        f"no node of the cluster has {_count(self._cpus, 'CPU')}"
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


def divide(nodes: Sequence[tuple[int, int]], workers: int | None, gpus: int) -> tuple[int, int]:
    """Cells at once, and how many CPUs each gets.

    nodes: (CPUs, GPUs) of each; workers: cells at once that are asked for, or None: as many as
    there is room for with one CPU each; gpus: those of a cell, 0 or 1.
    As many CPUs as let so many cells find room at once; one where they cannot, and some wait.
    Raises UsageError where there is no room for any.
    """
    most = _room(nodes, 1, gpus)
    if not most:
        raise UsageError(
            f"--executor ray: no node of the cluster has a CPU{' and a GPU' if gpus else ''} for a "
            "cell; `ray status` tells what there is"
        )
    workers = workers or most
    enough = (k for k in range(1, max(nodes)[0] + 1) if _room(nodes, k, gpus) >= workers)
    return workers, max(enough, default=1)


def _room(nodes: Sequence[tuple[int, int]], cpus: int, gpus: int) -> int:
    """Cells that find room at once."""
    return sum(min(c // cpus, g) if gpus else c // cpus for c, g in nodes)


def _connect(ours: contextlib.ExitStack, address: str | None) -> bool:
    """Be at a cluster; whether it was begun here. What has to be undone is put into `ours`."""
    if ray.is_initialized():
        return False
    os.environ.setdefault("RAY_USAGE_STATS_ENABLED", "0")
    # Ray prints what it has to say of workers that died; standard output is for results.
    ours.enter_context(contextlib.redirect_stdout(sys.stderr))
    quiet: dict[str, Any] = {"log_to_driver": False, "logging_level": "ERROR"}
    named = address or os.environ.get("RAY_ADDRESS")
    ours.callback(ray.shutdown)
    try:
        if named != "local":
            try:
                ray.init(named or "auto", **quiet)
            except ConnectionError:
                if named:
                    raise
            else:
                return False
        ray.init("local", include_dashboard=False, object_store_memory=OBJECT_STORE_BYTES, **quiet)
        return True
    except (ConnectionError, ValueError, RuntimeError, ray.exceptions.RayError) as error:
        told = (str(error).strip().splitlines() or [type(error).__name__])[0]
        raise UsageError(
            f"--executor ray: no Ray cluster answers{f' at {named}' if named else ''} ({told}); "
            "`ray start --head` begins one and says its address"
        ) from None


def _nodes() -> list[tuple[int, int]]:
    """CPUs and GPUs of each node."""
    found = (node["Resources"] for node in ray.nodes() if node["Alive"])
    return [(int(one.get("CPU", 0)), int(one.get("GPU", 0))) for one in found]


def _gpus(nodes: Sequence[tuple[int, int]], accelerator: str) -> int:
    """GPUs of a cell."""
    there = any(gpus for _, gpus in nodes)
    if accelerator == "cuda" and not there:
        raise UsageError(
            "--accelerator cuda: no node of the Ray cluster has a GPU; `ray start --num-gpus N` "
            "tells Ray of those that it does not find itself; else give --accelerator cpu"
        )
    return int(there and accelerator in ("auto", "cuda"))


def lost(error: Exception) -> str:
    """What Ray says of a task that did not end by itself, in one sentence."""
    if isinstance(error, ray.exceptions.OutOfMemoryError):
        return "Ray ended it, since its node ran out of memory; fewer --workers need less"
    if isinstance(error, ray.exceptions.RayTaskError):
        told = str(error).strip().splitlines() or [""]
        return f"its node could not begin it: {told[-1].strip()}"
    return f"its node or its Ray worker was lost ({type(error).__name__})"


def _count(number: int, what: str) -> str:
    return f"{number} {what}{'' if number == 1 else 's'}"

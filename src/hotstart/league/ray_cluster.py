"""The Ray cluster that a league is at: found or begun, and what it has room for."""

from __future__ import annotations

import contextlib
import os
import signal
import socket
import sys
import threading
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import ray

from hotstart.errors import UsageError

OBJECT_STORE_BYTES = 100 * 2**20
"""Of a Ray that is begun here: what cells say is small."""
OF_OURS = {"RAY_USAGE_STATS_ENABLED": "0", "RAY_worker_niceness": "0"}
"""How it is begun: it tells nobody, and cells are as urgent as those without Ray."""
CONNECT_SECONDS = 10.0


def divide(nodes: Sequence[tuple[int, int]], workers: int | None, gpus: int) -> tuple[int, int]:
    """Cells at once, and how many CPUs each gets.

    nodes: (CPUs, GPUs) of each; workers: cells at once that are asked for, or None: as many as
    there is room for with one CPU each; gpus: those of a cell, 0 or 1.
    As many CPUs as let so many cells find room at once; one where they cannot, and some wait.
    Raises UsageError where there is no room for any.
    """
    most = room(nodes, 1, gpus)
    if not most:
        raise UsageError(
            f"--executor ray: no node of the cluster has a CPU{' and a GPU' if gpus else ''} for a "
            "cell; `ray status` tells what there is"
        )
    workers = workers or most
    enough = (k for k in range(1, max(nodes)[0] + 1) if room(nodes, k, gpus) >= workers)
    return workers, max(enough, default=1)


def room(nodes: Sequence[tuple[int, int]], cpus: int, gpus: int) -> int:
    """Cells that find room at once."""
    return sum(min(c // cpus, g) if gpus else c // cpus for c, g in nodes)


def connect(ours: contextlib.ExitStack, address: str | None) -> bool:
    """Be at a cluster; whether it was begun here. What has to be undone is put into `ours`."""
    if ray.is_initialized():
        return False
    for name, value in OF_OURS.items():
        os.environ.setdefault(name, value)
    # Ray prints what it has to say of workers that died; standard output is for results.
    ours.enter_context(contextlib.redirect_stdout(sys.stderr))
    quiet: dict[str, Any] = {"log_to_driver": False, "logging_level": "ERROR"}
    named = address or os.environ.get("RAY_ADDRESS") or "auto"
    there = _running() if named == "auto" else named
    begin = named == "local" or there is None
    ours.callback(ray.shutdown)
    before = signal.getsignal(signal.SIGTERM)
    try:
        if begin:
            quiet |= {"include_dashboard": False, "object_store_memory": OBJECT_STORE_BYTES}
            ray.init("local", **quiet)
        elif _answers(there):
            ray.init(there, **quiet)
        else:
            raise ConnectionError("nothing listens there")
    except (ConnectionError, ValueError, RuntimeError, ray.exceptions.RayError) as error:
        told = (str(error).strip().splitlines() or [type(error).__name__])[0]
        raise UsageError(
            f"--executor ray: no Ray cluster answers at {there or 'this machine'} ({told}); "
            "`ray start --head` begins one and says its address, HOST:PORT"
        ) from None
    if threading.current_thread() is threading.main_thread():
        # Ray's own handler aborts the process, before what runs was ended.
        signal.signal(signal.SIGTERM, _terminated)
        ours.callback(signal.signal, signal.SIGTERM, before)
    return begin


def _terminated(number: int, frame: object) -> None:
    sys.exit(128 + number)


def _running() -> str | None:
    """The cluster that `ray start` began or joined on this machine, if it still answers."""
    try:
        file = Path(os.environ.get("RAY_TMPDIR", "/tmp")) / "ray" / "ray_current_cluster"
        address = file.read_text(encoding="utf-8").strip()
    except OSError:
        return None
    return address if _answers(address) else None


def _answers(address: str | None) -> bool:
    """Whether anything listens at `HOST:PORT`; Ray itself would try for minutes."""
    host, _, port = (address or "").rpartition(":")
    try:
        socket.create_connection((host, int(port)), timeout=CONNECT_SECONDS).close()
    except (OSError, ValueError, OverflowError):
        return False
    return True


def nodes_of_cluster() -> list[tuple[int, int]]:
    """CPUs and GPUs of each node."""
    found = (node["Resources"] for node in ray.nodes() if node["Alive"])
    return [(int(one.get("CPU", 0)), int(one.get("GPU", 0))) for one in found]


def gpus_of_cell(nodes: Sequence[tuple[int, int]], accelerator: str) -> int:
    """GPUs of a cell."""
    there = any(gpus for _, gpus in nodes)
    if accelerator == "cuda" and not there:
        raise UsageError(
            "--accelerator cuda: no node of the Ray cluster has a GPU; `ray start --num-gpus N` "
            "tells Ray of those that it does not find itself; else give --accelerator cpu"
        )
    return int(there and accelerator in ("auto", "cuda"))


def count(number: int, what: str) -> str:
    return f"{number} {what}{'' if number == 1 else 's'}"

"""Processes that work on numbered jobs, hand back results in order, and outlive nobody."""

from __future__ import annotations

import multiprocessing
import os
import threading
from collections import deque
from collections.abc import Callable, Generator, Iterable
from concurrent.futures import Future, ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from multiprocessing.connection import wait
from typing import TypeVar

from hotstart.errors import DataError

J = TypeVar("J")
T = TypeVar("T")

AHEAD = 4
"""Results a process that may wait to be taken."""


def in_order(work: Callable[[J], T], jobs: Iterable[J], processes: int) -> Generator[T]:
    """work(job) of each job, in order. `work` and jobs are pickled; one process means this one.

    Each process begins anew (no fork of threads and engines), works on one core, and ends when this
    one does, be it killed. Ending the iteration early drops what is not begun.

    Raises what `work` raises, and `DataError` when a process was killed.
    """
    if processes == 1:
        yield from map(work, jobs)
        return
    context = multiprocessing.get_context("spawn")
    pool = ProcessPoolExecutor(processes, mp_context=context, initializer=_begin)
    waiting: deque[Future[T]] = deque()
    try:
        for job in jobs:
            waiting.append(pool.submit(work, job))
            if len(waiting) >= AHEAD * processes:
                yield waiting.popleft().result()
        while waiting:
            yield waiting.popleft().result()
    except BrokenProcessPool:
        raise DataError(
            "a process that rendered was killed, perhaps for want of memory; the same command "
            "goes on where it stopped"
        ) from None
    finally:
        pool.shutdown(wait=True, cancel_futures=True)


def _begin() -> None:
    """In a new process."""
    os.environ["OMP_NUM_THREADS"] = "1"
    parent = multiprocessing.parent_process()
    assert parent is not None
    threading.Thread(target=_end_with, args=(parent.sentinel,), daemon=True).start()


def _end_with(sentinel: int) -> None:
    wait([sentinel])
    os._exit(1)

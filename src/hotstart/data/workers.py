"""Work spread over all cores, its results in order."""

from __future__ import annotations

import os
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from typing import TypeVar

J = TypeVar("J")
T = TypeVar("T")


def cores() -> int:
    """Processors this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def in_order(work: Callable[[J], T], jobs: Iterable[J], ahead: int = 3) -> Iterator[T]:
    """work(job) of each job in order, by threads, at most `ahead` results a core in memory."""
    waiting: deque[Future[T]] = deque()
    workers = cores()
    with ThreadPoolExecutor(workers, thread_name_prefix="hotstart-cache") as threads:
        try:
            for job in jobs:
                waiting.append(threads.submit(work, job))
                if len(waiting) >= ahead * workers:
                    yield waiting.popleft().result()
            while waiting:
                yield waiting.popleft().result()
        finally:
            threads.shutdown(wait=True, cancel_futures=True)

"""Batches in a given order; what must be read or decoded, a thread fetches ahead."""

from __future__ import annotations

import contextlib
import queue
import threading
from collections.abc import Collection, Iterator, Mapping
from types import TracebackType

import numpy as np
import numpy.typing as npt
from torch import Tensor

from hotstart.data.dataset import Dataset
from hotstart.data.draws import Draws
from hotstart.data.sample import Batch, Spec

DEPTH = 2
"""Batches fetched ahead."""


class Loader:
    """Iterates over the batches of `order`, int64 positions in `dataset`.

    Each global batch is `batch_size` positions; of these the process `rank` of `world` gets one
    slice, so that the slices of all ranks, one behind the other, are the batch. `start_batch`
    skips batches without reading them. With `drop_last`, a last batch that is not full is left
    out. With a `seed`, where in each video its window lies is drawn for every row of every step
    (batch 0 is step `first_step`), the same whichever process asks; `places` (N,), in 0..1, say it
    for each position of `order`; without either, windows lie in the middle. An error while fetching
    is raised where the batch was asked for. Closing, or ending the iteration early, stops the
    thread.
    """

    def __init__(
        self,
        dataset: Dataset,
        keys: Collection[str] | Mapping[str, Spec],
        order: npt.NDArray[np.int64],
        batch_size: int,
        *,
        rank: int = 0,
        world: int = 1,
        start_batch: int = 0,
        drop_last: bool = True,
        seed: int | None = None,
        first_step: int = 0,
        places: Tensor | None = None,
    ) -> None:
        dataset.require(keys)
        if batch_size < world:
            raise ValueError(f"batch_size must be at least world ({world}), got {batch_size}")
        self.dataset = dataset
        self.keys = dict(keys) if isinstance(keys, Mapping) else frozenset(keys)
        self.order = np.asarray(order, dtype=np.int64)
        self.batch_size = batch_size
        self.rank = rank
        self.world = world
        self.start_batch = start_batch
        self.drop_last = drop_last
        self.seed = seed
        self.first_step = first_step
        self.places = places
        self._running: _Prefetch | None = None

    def __len__(self) -> int:
        """Batches still to come in one iteration."""
        full, rest = divmod(len(self.order), self.batch_size)
        return max(0, full + (not self.drop_last and rest > 0) - self.start_batch)

    def rows(self, number: int) -> npt.NDArray[np.int64]:
        """Positions of this rank's slice of global batch `number`."""
        batch = self.order[number * self.batch_size : (number + 1) * self.batch_size]
        return batch[slice(*self._share(len(batch)))]

    def fetch(self, number: int) -> Batch:
        """This rank's samples of global batch `number`."""
        rows = self.rows(number)
        if self.places is not None:
            places = self.places[number * self.batch_size : (number + 1) * self.batch_size]
            return self.dataset.batch(rows, self.keys, places[slice(*self._share(len(places)))])
        if self.seed is None:
            return self.dataset.batch(rows, self.keys)
        total = min(self.batch_size, len(self.order) - number * self.batch_size)
        start, stop = self._share(total)
        step = self.first_step + number
        rng = Draws(self.seed, step, total=total, start=start, stop=stop, names=("window",))
        return self.dataset.batch(rows, self.keys, rng.uniform())

    def _share(self, rows: int) -> tuple[int, int]:
        return rows * self.rank // self.world, rows * (self.rank + 1) // self.world

    def __iter__(self) -> Iterator[Batch]:
        """What is at hand is copied when it is asked for.

        That takes less time than two threads take to hand the interpreter to each other.
        """
        self.close()
        if self.dataset.at_hand(self.keys):
            yield from map(self.fetch, range(self.start_batch, self.start_batch + len(self)))
            return
        running = self._running = _Prefetch(self)
        try:
            yield from running
        finally:
            running.close()

    def close(self) -> None:
        """Stop the thread of an iteration that is under way."""
        if self._running is not None:
            self._running.close()
            self._running = None

    def __enter__(self) -> Loader:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close()


class _Prefetch:
    """One thread that keeps `DEPTH` batches ready."""

    def __init__(self, loader: Loader) -> None:
        self.loader = loader
        self.ready: queue.Queue[Batch | BaseException | None] = queue.Queue(DEPTH)
        self.stopped = threading.Event()
        self.thread = threading.Thread(target=self._fetch, name="hotstart-loader", daemon=True)
        self.thread.start()

    def __iter__(self) -> Iterator[Batch]:
        while not self.stopped.is_set():
            item = self.ready.get()
            if item is None:
                return
            if isinstance(item, BaseException):
                raise item
            yield item

    def close(self) -> None:
        self.stopped.set()
        while self.thread.is_alive():
            try:  # the thread may be waiting for room
                self.ready.get_nowait()
            except queue.Empty:
                self.thread.join(0.01)
        with contextlib.suppress(queue.Full):
            self.ready.put_nowait(None)  # wakes whoever waits for a batch that never comes

    def _fetch(self) -> None:
        loader = self.loader
        try:
            for number in range(loader.start_batch, loader.start_batch + len(loader)):
                if self.stopped.is_set():
                    return
                self.ready.put(loader.fetch(number))
        except BaseException as error:  # handed to the consumer, whatever it is
            self.ready.put(error)
        else:
            self.ready.put(None)

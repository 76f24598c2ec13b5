"""Randomness as an argument: draws keyed by seed, step and position in the global batch."""

from __future__ import annotations

import zlib
from typing import Any

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor


class Draws:
    """Random draws for the rows `start:stop` of a global batch of `total` rows.

    Every call draws for the whole global batch and hands back this process's rows, so N processes
    that share a batch see exactly the numbers that one process would. Two objects made with the
    same `seed`, `step` and names give the same numbers in the same order.
    """

    def __init__(
        self,
        seed: int,
        step: int,
        *,
        total: int,
        start: int = 0,
        stop: int | None = None,
        names: tuple[str, ...] = (),
    ) -> None:
        self.seed = seed
        self.step = step
        self.total = total
        self.start = start
        self.stop = total if stop is None else stop
        self.names = names
        key = np.random.SeedSequence([seed, step, *(zlib.crc32(name.encode()) for name in names)])
        self.generator = np.random.Generator(np.random.Philox(key))

    def __len__(self) -> int:
        """Rows of this process."""
        return self.stop - self.start

    def named(self, name: str) -> Draws:
        """An independent stream for the same rows, e.g. one for each view or each task."""
        return Draws(
            self.seed,
            self.step,
            total=self.total,
            start=self.start,
            stop=self.stop,
            names=(*self.names, name),
        )

    def batch(self, number: int, rows: int) -> Draws:
        """An independent stream for a batch of `rows` rows, all of them this process's."""
        return Draws(self.seed, self.step, total=rows, names=(*self.names, f"batch {number}"))

    def uniform(self, low: float = 0.0, high: float = 1.0, *shape: int) -> Tensor:
        """Float32 (rows, *shape), uniform in [low, high)."""
        values = self.generator.random((self.total, *shape), dtype=np.float32)
        return self._rows(values) * (high - low) + low

    def normal(self, *shape: int) -> Tensor:
        """Float32 (rows, *shape), standard normal."""
        return self._rows(self.generator.standard_normal((self.total, *shape), dtype=np.float32))

    def integers(self, low: int, high: int, *shape: int) -> Tensor:
        """Int64 (rows, *shape), uniform in low .. high - 1."""
        return self._rows(self.generator.integers(low, high, (self.total, *shape)))

    def permutations(self, n: int) -> Tensor:
        """Int64 (rows, n), each row a permutation of 0 .. n - 1."""
        order = self.generator.permuted(np.tile(np.arange(n), (self.total, 1)), axis=1)
        return self._rows(order)

    def _rows(self, values: npt.NDArray[Any]) -> Tensor:
        return torch.from_numpy(values[self.start : self.stop])

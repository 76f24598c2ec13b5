"""The training loop beside the bare step: images/s of one over images/s of the other.

    python benchmarks/step.py [DATA] [--tasks simclr,rotation] [--sizes 32,96] [--json]

The bare step is forward, backward and optimiser of the same task on one fixed batch of views: the
floor under any loop. Both run in one process, A B A B; ratios are of total times, so that nothing
the loop does now and then is left out. `bare_ms` and `loop_ms` say where the time of a step goes
(medians; `rest`: batch, log, Fabric). `resnet10t` with timm's stem; `masked_autoencoder` trains
the ViT that it takes by itself. Without DATA: generated pictures of the size asked, in JPEG files,
through the usual cache.
"""

from __future__ import annotations

import itertools
import json
import os
import statistics
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from types import SimpleNamespace
from typing import Any, Literal

import torch

from common import Row, machine, parser_of, write_jpegs
from hotstart.config import PretrainSettings
from hotstart.data import open_dataset, pretraining_split
from hotstart.data.draws import Draws
from hotstart.league.pretraining import default_encoder
from hotstart.pretext.task import Progress
from hotstart.training.loop import Material
from hotstart.training.optimisers import build_optimiser
from hotstart.training.train import build_task, trains
from loops import loop_of

TASKS = "simclr,rotation,jigsaw,byol,masked_autoencoder"
TOTAL_STEPS = 10_000
PICTURES = 3_000
WARM_UP = 2
LEAST_SECONDS = 15.0
"""Of bare steps. Fifteen steps of 80 ms are a second: one hiccup would be a tenth of it."""
PIXELS_AT_ONCE = 256 * 32 * 32
"""Rows of a batch follow from it: 256 of 32 px, 28 of 96 px."""


class Clock:
    """Times whole steps, and within them calls of methods: name=(object, method)."""

    def __init__(self, **watched: tuple[Any, str]) -> None:
        self.steps: list[float] = []
        self.spent: dict[str, list[float]] = {name: [] for name in watched}
        self.running = False
        for name, (owner, method) in watched.items():
            setattr(owner, method, self._timed(name, getattr(owner, method)))

    def _timed(self, name: str, call: Callable[..., Any]) -> Callable[..., Any]:
        def timed(*given: Any, **named: Any) -> Any:
            began = time.perf_counter()
            result = call(*given, **named)
            if self.running:
                self.spent[name].append(time.perf_counter() - began)
            return result

        return timed

    @contextmanager
    def step(self) -> Iterator[None]:
        """One step, whose parts count."""
        self.running, began = True, time.perf_counter()
        yield
        self.steps.append(time.perf_counter() - began)
        self.running = False

    def total(self) -> float:
        """Seconds of all steps but the first `WARM_UP`."""
        return sum(self.steps[WARM_UP:])

    def parts(self) -> dict[str, float]:
        """Medians in milliseconds, and what of the median step no part explains."""
        found = {
            name: 1e3 * statistics.median(spent[WARM_UP:]) for name, spent in self.spent.items()
        }
        found["rest"] = 1e3 * statistics.median(self.steps[WARM_UP:]) - sum(found.values())
        return {name: round(value, 1) for name, value in found.items()}


def measure(
    task_name: str,
    data: str,
    size: int,
    encoder: str,
    batch: int,
    rounds: int,
    stem: Literal["timm", "small"] = "timm",
) -> Row:
    """Seconds a step, bare and in the loop, and their ratio. rounds: how many of each, at least."""
    settings = PretrainSettings(
        data=data, task=task_name, encoder=encoder, size=size, stem=stem, batch_size=batch
    )
    dataset = open_dataset(data, size=size)
    material = Material(dataset, *pretraining_split(dataset))
    with tempfile.TemporaryDirectory() as folder:
        loop, _ = loop_of(settings, material, TOTAL_STEPS, Path(folder))
        bare = build_task(settings, material, TOTAL_STEPS)
        (player,) = bare.players().values()
        optimiser = build_optimiser(player.parameters, player.optimiser, batch)
        first = dataset.batch(material.train[:batch], bare.needs)
        views = bare.views(first, Draws(0, 0, total=batch))
        bare.train()
        (inner,) = loop.optimisers.values()
        in_loop = Clock(
            views=(loop.task, "views"),
            forward=(loop.task, "forward"),
            backward=(loop.fabric, "backward"),
            optimiser=(inner, "step"),
        )
        plain = SimpleNamespace(backward=torch.autograd.backward)
        alone = Clock(
            forward=(bare, "forward"),
            backward=(plain, "backward"),
            optimiser=(optimiser, "step"),
        )
        steps = loop.run()
        for number in itertools.count():
            if number >= rounds + WARM_UP and alone.total() >= LEAST_SECONDS:
                break
            with in_loop.step():
                next(steps)
            with alone.step():
                result = bare(views, Progress(number, TOTAL_STEPS), "task")
                optimiser.zero_grad(set_to_none=True)
                plain.backward(result.loss)
                optimiser.step()
        steps.close()
    counted = len(alone.steps) - WARM_UP
    return {
        "benchmark": "step",
        "task": task_name,
        "encoder": encoder,
        "size": size,
        "batch": batch,
        "bare_images_per_second": round(batch * counted / alone.total(), 1),
        "loop_images_per_second": round(batch * counted / in_loop.total(), 1),
        "median_step_seconds": round(statistics.median(alone.steps[WARM_UP:]), 4),
        "ratio": round(alone.total() / in_loop.total(), 3),
        "bare_ms": alone.parts(),
        "loop_ms": in_loop.parts(),
    }


def main() -> None:
    """Print the table."""
    parser = parser_of(__doc__)
    parser.add_argument("data", nargs="?", help="pictures; generated ones by default")
    parser.add_argument("--tasks", default=TASKS)
    parser.add_argument("--sizes", default="32,96")
    parser.add_argument("--encoder", default="resnet10t")
    parser.add_argument("--batch", type=int, help="rows; as many pixels at every size by default")
    parser.add_argument("--rounds", type=int, default=15)
    options = parser.parse_args()
    rows: list[Row] = []
    if not options.json:
        print(machine("torch", "timm"))
    with tempfile.TemporaryDirectory() as scratch:
        os.environ.setdefault("XDG_CACHE_HOME", scratch)
        for size in map(int, options.sizes.split(",")):
            data = options.data or str(
                write_jpegs(Path(scratch) / f"pictures{size}", PICTURES, size, size)
            )
            batch = options.batch or PIXELS_AT_ONCE // size**2
            for task in options.tasks.split(","):
                fits = trains(task, options.encoder)
                encoder = options.encoder if fits else default_encoder(task)
                rows.append(measure(task, data, size, encoder, batch, options.rounds))
                if not options.json:
                    told = {k: v for k, v in rows[-1].items() if k != "benchmark"}
                    print("  ".join(f"{key} {value}" for key, value in told.items()), flush=True)
    if options.json:
        print(json.dumps(rows, indent=1))


if __name__ == "__main__":
    main()

"""The training loop beside the bare step: images/s of one over images/s of the other.

    python benchmarks/step.py [DATA] [--tasks simclr,rotation] [--sizes 32,96] [--json]

The bare step is forward, backward and optimiser of the same task on one fixed batch of views: the
floor under any loop. Both run in one process, A B A B; ratios are of total times, so that nothing
the loop does now and then is left out. `resnet10t` with timm's stem; `masked_autoencoder` trains
the ViT that it takes by itself. Without DATA: generated pictures of the size asked, in JPEG files,
through the usual cache.
"""

from __future__ import annotations

import json
import os
import statistics
import tempfile
import time
from pathlib import Path
from typing import Literal

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
PIXELS_AT_ONCE = 256 * 32 * 32
"""Rows of a batch follow from it: 256 of 32 px, 28 of 96 px."""


def measure(
    task_name: str,
    data: str,
    size: int,
    encoder: str,
    batch: int,
    rounds: int,
    stem: Literal["timm", "small"] = "timm",
) -> Row:
    """Seconds a step, bare and in the loop, and their ratio."""
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
        steps = loop.run()
        in_loop, alone = [], []
        for number in range(rounds + WARM_UP):
            began = time.perf_counter()
            next(steps)
            middle = time.perf_counter()
            result = bare(views, Progress(number, TOTAL_STEPS), "task")
            optimiser.zero_grad(set_to_none=True)
            result.loss.backward()
            optimiser.step()
            ended = time.perf_counter()
            if number >= WARM_UP:
                in_loop.append(middle - began)
                alone.append(ended - middle)
        steps.close()
    return {
        "benchmark": "step",
        "task": task_name,
        "encoder": encoder,
        "size": size,
        "batch": batch,
        "bare_images_per_second": round(batch * rounds / sum(alone), 1),
        "loop_images_per_second": round(batch * rounds / sum(in_loop), 1),
        "median_step_seconds": round(statistics.median(alone), 4),
        "ratio": round(sum(alone) / sum(in_loop), 3),
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

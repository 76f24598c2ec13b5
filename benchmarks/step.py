"""The training loop beside the bare step: images/s of one over images/s of the other.

The bare step is forward, backward and optimiser of the same task on one fixed batch of views: the
floor under any loop. Both run in one process, A B A B; ratios are of total times, so that nothing
the loop does now and then is left out.

    python benchmarks/step.py [DATA] [--tasks simclr,rotation] [--json]

Without DATA: generated pictures of the size asked, in JPEG files, through the usual cache.
"""

from __future__ import annotations

import argparse
import json
import os
import statistics
import tempfile
import time
from pathlib import Path
from typing import Literal

import numpy as np
import torch
from PIL import Image

from hotstart.config import PretrainSettings
from hotstart.data import open_dataset, pretraining_split
from hotstart.data.draws import Draws
from hotstart.pretext.task import Progress
from hotstart.training.log import Log
from hotstart.training.loop import Loop, Material, Plan
from hotstart.training.optimisers import build_optimiser
from hotstart.training.train import build_task, make_fabric

TOTAL_STEPS = 10_000


def generate(folder: Path, size: int, count: int) -> Path:
    """JPEG pictures of smooth noise."""
    rng = np.random.default_rng(0)
    for i in range(count):
        coarse = rng.integers(0, 256, (8, 8, 3), dtype=np.uint8)
        picture = Image.fromarray(coarse).resize((size, size), Image.Resampling.BICUBIC)
        picture.save(folder / f"{i:05d}.jpg", quality=90)
    return folder


def measure(
    task_name: str,
    data: str,
    size: int,
    encoder: str,
    batch: int,
    rounds: int,
    stem: Literal["timm", "small"] = "timm",
) -> dict[str, object]:
    """Seconds a step, bare and in the loop, and their ratio."""
    settings = PretrainSettings(
        data=data, task=task_name, encoder=encoder, size=size, stem=stem, batch_size=batch
    )
    dataset = open_dataset(data, size=size)
    material = Material(dataset, *pretraining_split(dataset))
    fabric = make_fabric(settings)
    with tempfile.TemporaryDirectory() as folder:
        plan = Plan(0, batch, TOTAL_STEPS, 60.0, Path(folder) / "checkpoint")
        loop = Loop(
            build_task(settings, material, TOTAL_STEPS), material, plan, fabric, Log(Path(folder))
        )
        bare = build_task(settings, material, TOTAL_STEPS)
        (player,) = bare.players().values()
        optimiser = build_optimiser(player.parameters, player.optimiser, batch)
        first = dataset.batch(material.train[:batch], bare.needs)
        views = bare.views(first, Draws(0, 0, total=batch))
        bare.train()
        steps = loop.run()
        in_loop, alone = [], []
        for number in range(rounds + 2):
            began = time.perf_counter()
            next(steps)
            middle = time.perf_counter()
            result = bare(views, Progress(number, TOTAL_STEPS), "task")
            optimiser.zero_grad(set_to_none=True)
            result.loss.backward()
            optimiser.step()
            ended = time.perf_counter()
            if number >= 2:
                in_loop.append(middle - began)
                alone.append(ended - middle)
        steps.close()
    return {
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
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("data", nargs="?", help="pictures; generated ones by default")
    parser.add_argument("--tasks", default="simclr,rotation")
    parser.add_argument("--sizes", default="32")
    parser.add_argument("--encoder", default="resnet10t")
    parser.add_argument("--batch", type=int, default=256)
    parser.add_argument("--rounds", type=int, default=15)
    parser.add_argument("--json", action="store_true")
    options = parser.parse_args()
    rows = []
    with tempfile.TemporaryDirectory() as scratch:
        os.environ.setdefault("XDG_CACHE_HOME", scratch)
        for size in map(int, options.sizes.split(",")):
            data = options.data
            if data is None:
                folder = Path(scratch) / f"pictures{size}"
                folder.mkdir()
                data = str(generate(folder, size, 3000))
            for task in options.tasks.split(","):
                row = measure(task, data, size, options.encoder, options.batch, options.rounds)
                rows.append(row)
                if not options.json:
                    print("  ".join(f"{key} {value}" for key, value in row.items()), flush=True)
    if options.json:
        print(json.dumps({"threads": torch.get_num_threads(), "rows": rows}, indent=1))


if __name__ == "__main__":
    main()

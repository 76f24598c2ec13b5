"""Seconds of training until the features are worth something: SimCLR here and by lightly's recipe.

    python benchmarks/time_to_accuracy.py DATA [--accuracy 0.4] [--seeds 0,1,2] [--json]

Both train `resnet10t` with timm's stem on the same pictures of 32 px with all cores, each as its
documentation says: Hotstart `--task simclr` with its own defaults and a budget of `--plan` minutes;
lightly its SimCLR example (SGD at 0.06, batches of 256, `NTXentLoss` at 0.5, 512-dimensional head,
one loading process a core), for `--minutes`. Every `--every` seconds of training the weights are
kept, and the clock stops meanwhile. Told is the first moment at which the k-NN accuracy (20
neighbours, `--bank` labelled pictures) on up to 10,000 pictures of the validation split is reached,
found by halving (None: not reached), and the accuracy at the start and the end.

DATA: pictures with labels, CIFAR-10 for the numbers in the documentation. lightly's views and loss
are its own; its pictures are decoded from the files, as `LightlyDataset` does.
"""

from __future__ import annotations

import copy
import json
import math
import os
import tempfile
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import timm
import torch
from lightly.loss import NTXentLoss
from lightly.models.modules import SimCLRProjectionHead
from lightly.transforms.simclr_transform import SimCLRTransform
from PIL import Image
from torch import Tensor, nn
from torch.utils.data import DataLoader, Dataset

from common import Row, machine, parser_of
from hotstart.config import PretrainSettings
from hotstart.data import Dataset as Pictures
from hotstart.data import open_dataset, pretraining_split
from hotstart.downstream.knn import knn_predict
from hotstart.downstream.reading import Stills
from hotstart.encoders.encoder import IMAGENET_MEAN, IMAGENET_STD
from hotstart.pretext.registry import task_class
from hotstart.training.loop import Material
from hotstart.training.train import fix_steps, make_fabric
from loops import loop_of
from targets import sooner

ENCODER, SIZE, QUERIES = "resnet10t", 32, 10_000
BATCH, LEARNING_RATE, HIDDEN, PROJECTED = 256, 0.06, 512, 128
Embed = Callable[[Tensor], Tensor]


@dataclass
class Clock:
    """Counts the seconds of training and keeps the weights now and then."""

    every: float
    most: float
    seconds: float = 0.0
    kept: list[tuple[float, dict[str, Tensor]]] = field(default_factory=list)

    def run(self, steps: Iterator[object], module: nn.Module) -> None:
        """Train until `most` seconds or the end of `steps`."""
        self.keep(module)
        while self.seconds < self.most:
            began = time.perf_counter()
            if next(steps, self) is self:
                break
            self.seconds += time.perf_counter() - began
            if self.seconds - self.kept[-1][0] >= self.every:
                self.keep(module)
        self.keep(module)

    def keep(self, module: nn.Module) -> None:
        self.kept.append((self.seconds, copy.deepcopy(module.state_dict())))


class Files(Dataset[tuple[Tensor, Tensor]]):
    """Pairs of views of picture files, made by lightly's transform."""

    def __init__(self, paths: list[Path]) -> None:
        self.paths, self.views = paths, SimCLRTransform(input_size=SIZE)

    def __len__(self) -> int:
        return len(self.paths)

    def __getitem__(self, number: int) -> tuple[Tensor, Tensor]:
        with Image.open(self.paths[number]) as picture:
            views: Any = self.views(picture.convert("RGB"))
        return views[0], views[1]


def lightlys(paths: list[Path], seed: int, clock: Clock) -> tuple[nn.Module, Embed]:
    torch.manual_seed(seed)
    backbone = timm.create_model(ENCODER, num_classes=0)
    head = SimCLRProjectionHead(backbone.num_features, HIDDEN, PROJECTED)
    both = nn.ModuleList([backbone, head])
    optimiser = torch.optim.SGD(both.parameters(), lr=LEARNING_RATE)
    criterion = NTXentLoss()
    loader = DataLoader(
        Files(paths), BATCH, shuffle=True, drop_last=True, num_workers=os.cpu_count() or 1
    )

    def steps() -> Iterator[float]:
        while True:
            for first, second in loader:
                loss = criterion(head(backbone(first)), head(backbone(second)))
                loss.backward()
                optimiser.step()
                optimiser.zero_grad()
                yield float(loss.detach())

    clock.run(steps(), backbone)
    mean, deviation = (torch.tensor(v).view(1, 3, 1, 1) for v in (IMAGENET_MEAN, IMAGENET_STD))
    return backbone, lambda images: backbone((images - mean) / deviation)


def hotstarts(
    data: str, pictures: Pictures, seed: int, minutes: float, clock: Clock
) -> tuple[nn.Module, Embed]:
    settings = PretrainSettings(
        data=data, task="simclr", encoder=ENCODER, size=SIZE, stem="timm", seed=seed,
        minutes=minutes, batch_size=task_class("simclr").batch_size,
    )  # fmt: skip
    material = Material(pictures, *pretraining_split(pictures))
    steps = fix_steps(settings, material, make_fabric(settings)).steps
    assert steps is not None
    with tempfile.TemporaryDirectory() as folder:
        loop, task = loop_of(settings, material, steps, Path(folder))
        clock.run(loop.run(), task.encoder)
    return task.encoder, task.encoder


@dataclass(frozen=True)
class Exam:
    """k-NN accuracy of an encoder on the validation split."""

    pictures: Pictures
    bank: npt.NDArray[np.int64]
    asked: npt.NDArray[np.int64]

    @torch.inference_mode()
    def accuracy(self, module: nn.Module, embed: Embed) -> float:
        module.eval()
        features = []
        for items in (self.bank, self.asked):
            views = Stills().views(self.pictures, items, SIZE, torch.device("cpu"))
            features.append(torch.cat([embed(images) for images in views]))
        labels = torch.from_numpy(self.pictures.labels)
        told = knn_predict(features[0], labels[self.bank], features[1], len(self.pictures.classes))
        return float((told == labels[self.asked]).double().mean())

    def first(self, clock: Clock, module: nn.Module, embed: Embed, wanted: float) -> Row:
        """Seconds at which `wanted` is reached, by halving; infinite where it is not."""

        def at(moment: int) -> float:
            module.load_state_dict(clock.kept[moment][1])
            return self.accuracy(module, embed)

        low, high = 0, len(clock.kept) - 1
        start, end = at(low), at(high)
        while end >= wanted and high - low > 1:
            middle = (low + high) // 2
            low, high = (low, middle) if at(middle) >= wanted else (middle, high)
        reached = clock.kept[high][0] if end >= wanted else math.inf
        return {
            "seconds": round(reached, 1) if math.isfinite(reached) else None,
            "trained_seconds": round(clock.seconds, 1),
            "start": round(start, 4),
            "end": round(end, 4),
        }


def main() -> None:
    parser = parser_of(__doc__)
    parser.add_argument("data", help="pictures with labels")
    parser.add_argument("--accuracy", type=float, default=0.4)
    parser.add_argument("--minutes", type=float, default=4.0, help="of lightly's recipe, at most")
    parser.add_argument("--plan", type=float, default=1.0, help="minutes that Hotstart is given")
    parser.add_argument("--seeds", default="0,1,2")
    parser.add_argument("--every", type=float, default=5.0)
    parser.add_argument("--bank", type=int, default=10_000)
    options = parser.parse_args()
    pictures = open_dataset(options.data, size=SIZE)
    rng = np.random.default_rng(0)
    train, queries = (rng.permutation(pictures.indices(split)) for split in ("train", "val"))
    exam = Exam(pictures, train[: options.bank], queries[:QUERIES])
    folder = Path(options.data)
    paths = [folder / pictures.path(int(number)) for number in pretraining_split(pictures)[0]]
    rows: list[Row] = []
    for seed in map(int, options.seeds.split(",")):
        ours = Clock(options.every, math.inf)
        theirs = Clock(options.every, 60 * options.minutes)
        for name, clock, trained in (
            ("hotstart", ours, hotstarts(options.data, pictures, seed, options.plan, ours)),
            ("lightly", theirs, lightlys(paths, seed, theirs)),
        ):
            row = {"benchmark": "time_to_accuracy", "contender": name, "seed": seed}
            rows.append(row | exam.first(clock, *trained, options.accuracy))
            if not options.json:
                print("  ".join(f"{k} {v}" for k, v in rows[-1].items()), flush=True)
    if options.json:
        print(json.dumps(rows, indent=1))
        return
    print(machine("torch", "timm", "lightly"))
    told = sooner(rows)
    if told is None:
        print(f"{options.accuracy}: not reached in {options.plan} minutes")
        return
    times, at_least = told
    print(f"{options.accuracy}: {'more than ' if at_least else ''}{times:.1f} times sooner")


if __name__ == "__main__":
    main()

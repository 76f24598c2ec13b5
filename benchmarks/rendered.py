"""What `rendered` is worth on real pictures, with and without adaptation: the evidence.

    python benchmarks/rendered.py WORLD REAL OUT [--segment LABEL_MAPS] [--steps 600]
        [--seeds 0,1,2] [--size 32]

as in `python benchmarks/rendered.py 'world:images?n=3000' imagenette128/ runs/rendered`. For each
seed, without and with the adversary: the pretext metrics on held-out renderings beside the
mean's, a linear probe on REAL (validation split) beside `random`, the same on LABEL_MAPS
(`segment`) if given, and how well a fresh classifier tells renderings from REAL (validation
splits) by the features, and by those of the random weights that the run began with. A JSON object
for each run, in OUT/rendered.jsonl too. Finished runs are not trained again.
"""

from __future__ import annotations

import argparse
import json
from collections.abc import Sequence
from pathlib import Path

import torch

from hotstart import api
from hotstart.augment import centre_view
from hotstart.data import open_dataset
from hotstart.encoders import Encoder, build_encoder, load_encoder
from hotstart.pretext.free_labels.domain import domain_accuracy

PICTURES, ROWS = 400, 50


@torch.no_grad()
def features(encoder: Encoder, data: str, size: int) -> torch.Tensor:
    """(N, D) of the validation split, at most `PICTURES` of it."""
    dataset = open_dataset(data, size=size)
    items = dataset.indices("val")[:PICTURES]
    starts = range(0, len(items), ROWS)
    batches = (dataset.batch(items[start : start + ROWS], ("image",)) for start in starts)
    return torch.cat([encoder(centre_view(batch["image"], size)) for batch in batches])


def told_apart(encoder: Encoder, world: str, real: str, size: int) -> float:
    """Accuracy of a fresh classifier on pictures that it was not fitted on."""
    encoder.eval()
    made, photographs = (features(encoder, data, size) for data in (world, real))
    return round(domain_accuracy(made, photographs), 4)


def judged(run: Path, on: str, data: str, ignored: Sequence[int] = ()) -> dict[str, float]:
    """What the frozen features of a run, and random ones, are worth to a linear answer."""
    records = api.evaluate(
        run,
        data=data,
        on=on,
        protocols=("linear",),
        labels=(1.0,),
        controls=True,
        stages=False,
        ignore_index=ignored,
    )
    return {record.task: round(record.value, 4) for record in records}


def main() -> None:
    """Train what is missing and print what each run is worth."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").split("\n")[0])
    parser.add_argument("world", help="renderings, such as world:images?n=3000")
    parser.add_argument("real", help="labelled photographs")
    parser.add_argument("out", type=Path)
    parser.add_argument("--segment", help="photographs with label maps")
    parser.add_argument("--ignore-index", type=int, nargs="*", default=[])
    parser.add_argument("--steps", type=int, default=600)
    parser.add_argument("--seeds", default="0,1,2")
    parser.add_argument("--size", type=int, default=32, help="px")
    asked = parser.parse_args()
    for seed in map(int, asked.seeds.split(",")):
        for adapt in ("none", "adversarial"):
            run = asked.out / f"{adapt}-{seed}"
            if not (run / "encoder.safetensors").exists():
                api.pretrain(
                    asked.world,
                    task="rendered",
                    task_settings={"rendered": {"adapt": adapt}},
                    steps=asked.steps,
                    seed=seed,
                    size=asked.size,
                    real=asked.real,
                    out=run,
                )
            pretext = api.evaluate(run, data=asked.world, on="pretext")
            encoder = load_encoder(run / "encoder.safetensors")
            told = {
                "seed": seed,
                "adapt": adapt,
                "steps": asked.steps,
                "size": asked.size,
                "linear_top1": judged(run, "classify", asked.real),
                "domain_accuracy": told_apart(encoder, asked.world, asked.real, asked.size),
                "domain_accuracy_random": told_apart(
                    build_encoder(encoder.spec, seed), asked.world, asked.real, asked.size
                ),
                "pretext": {r.metric: (round(r.value, 4), r.chance) for r in pretext},
            }
            if asked.segment:
                told["linear_miou"] = judged(run, "segment", asked.segment, asked.ignore_index)
            print(json.dumps(told), flush=True)
            with (asked.out / "rendered.jsonl").open("a") as file:
                print(json.dumps(told), file=file)


if __name__ == "__main__":
    main()

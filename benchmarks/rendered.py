"""What `rendered` is worth on real pictures, with and without adaptation: the evidence.

`python benchmarks/rendered.py WORLD REAL OUT [steps] [seeds]`, as in
`python benchmarks/rendered.py 'world:images?n=3000' imagenette128/ runs/rendered 1500 0,1,2`.
For each seed, without and with the adversary: the pretext metrics on held-out renderings beside the
mean's, a linear probe on REAL (validation split) beside `random`, and how well a fresh classifier
tells renderings from REAL by the features. Finished runs are not run again.
"""

from __future__ import annotations

import json
import sys
from pathlib import Path

import torch

from hotstart import api
from hotstart.augment import centre_view
from hotstart.data import open_dataset
from hotstart.encoders import Encoder, load_encoder
from hotstart.pretext.free_labels.domain import domain_accuracy

SIZE, PICTURES, ROWS = 64, 400, 50


@torch.no_grad()
def features(encoder: Encoder, data: str) -> torch.Tensor:
    """(N, D) of the validation split, at most `PICTURES` of it."""
    dataset = open_dataset(data, size=SIZE)
    items = dataset.indices("val")[:PICTURES]
    starts = range(0, len(items), ROWS)
    batches = (dataset.batch(items[start : start + ROWS], ("image",)) for start in starts)
    return torch.cat([encoder(centre_view(batch["image"], SIZE)) for batch in batches])


def main() -> None:
    world, real, out = sys.argv[1], sys.argv[2], Path(sys.argv[3])
    steps = int(sys.argv[4]) if len(sys.argv) > 4 else 1500
    seeds = [int(seed) for seed in (sys.argv[5] if len(sys.argv) > 5 else "0,1,2").split(",")]
    for seed in seeds:
        for adapt in ("none", "adversarial"):
            run = out / f"{adapt}-{seed}"
            if not (run / "encoder.safetensors").exists():
                api.pretrain(
                    world,
                    task="rendered",
                    task_settings={"rendered": {"adapt": adapt}},
                    steps=steps,
                    seed=seed,
                    size=SIZE,
                    real=real,
                    out=run,
                )
            records = api.evaluate(
                run, data=real, protocols=("linear",), labels=(1.0,), controls=True, stages=False
            )
            told = {record.task: round(record.value, 4) for record in records}
            own = {
                r.metric: (r.value, r.chance) for r in api.evaluate(run, data=world, on="pretext")
            }
            encoder = load_encoder(run / "encoder.safetensors").eval()
            told_apart = domain_accuracy(features(encoder, world), features(encoder, real))
            print(
                json.dumps(
                    {
                        "seed": seed,
                        "adapt": adapt,
                        "linear_top1": told,
                        "domain_accuracy": round(told_apart, 4),
                        "pretext": own,
                    }
                ),
                flush=True,
            )


if __name__ == "__main__":
    main()

"""Frozen evaluation beside what it cannot be faster than, and beside its peers.

    python benchmarks/evaluate.py [DATA] [--rounds N] [--scale X] [--json]

Three comparisons, contenders taking turns (A B A B ...), `--rounds` times; medians of wall time.

- extraction: features of every picture (from the warm cache) over the bare forward pass of the same
  encoder, `resnet10t` with timm's stem, on one fixed batch.
- knn: 50,000 labelled and 10,000 asked features of 512 numbers; over the matrix product with top-k,
  scikit-learn's and lightly's k-NN (as many neighbours, same votes).
- probe at 1 %, 10 % and 100 % of 50,000 labels, 256 features: our whole sweep, folds and last fit
  included, over ONE fit of scikit-learn at the penalty we chose, and the accuracy of both.

Pictures and features are generated; with DATA, labelled pictures, they are its own: features of the
encoder at random, training and validation split. `--scale 0.1` takes a tenth of the generated
items, to try it out.
"""

from __future__ import annotations

import json
import tempfile
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
import torch.nn.functional as F
from lightly.utils.benchmarking.knn import knn_predict as lightly_knn
from sklearn.linear_model import LogisticRegression
from sklearn.neighbors import KNeighborsClassifier
from torch import Tensor

from common import Row, machine, medians, parser_of, take_turns, write_jpegs
from hotstart.data import Dataset, open_dataset
from hotstart.downstream.features import Standardiser, extract
from hotstart.downstream.knn import NEIGHBOURS, TEMPERATURE, knn_predict
from hotstart.downstream.linear import fit_linear_probe
from hotstart.downstream.reading import PICTURES_AT_ONCE, Stills
from hotstart.downstream.subsets import inner_folds, label_subset
from hotstart.encoders import Encoder, EncoderSpec, build_encoder

CPU = torch.device("cpu")
PICTURES, SIZE, CLASSES = 5_000, 32, 10
PRODUCT_ROWS = 500


@dataclass(frozen=True)
class Labelled:
    """Features to learn from and to be asked; float32 (N, D) and int64 (N,)."""

    train: Tensor
    labels: Tensor
    asked: Tensor
    truth: Tensor
    classes: int


def generate_features(train: int, asked: int, dim: int) -> Labelled:
    """Correlated, rectified features of overlapping classes, much like a network's."""
    generator = torch.Generator().manual_seed(0)
    labels = torch.randint(0, CLASSES, (train + asked,), generator=generator)
    falling = torch.arange(1, dim + 1).pow(-0.7)[:, None]
    mix = torch.randn(dim, dim, generator=generator) * falling
    centres = 0.15 * torch.randn(CLASSES, dim, generator=generator)
    features = torch.randn(train + asked, dim, generator=generator) + centres[labels]
    features = torch.relu(features @ mix)
    return Labelled(features[:train], labels[:train], features[train:], labels[train:], CLASSES)


def own_features(encoder: Encoder, dataset: Dataset) -> Labelled:
    """Features of DATA's training and validation pictures."""
    parts = [dataset.indices(split) for split in ("train", "val")]
    train, asked = (extract(encoder, dataset, p, device=CPU, stages=False).last for p in parts)
    labels, truth = (torch.from_numpy(dataset.labels[part]) for part in parts)
    return Labelled(train, labels, asked, truth, len(dataset.classes))


def compared(benchmark: str, case: str, seconds: dict[str, float], **extra: object) -> list[Row]:
    ours = seconds["hotstart"]
    return [
        {
            "benchmark": benchmark,
            "case": case,
            "contender": name,
            "seconds": round(spent, 4),
            "hotstart_over_contender": round(ours / spent, 3),
            **extra,
        }
        for name, spent in seconds.items()
    ]


def extraction(encoder: Encoder, dataset: Dataset, rounds: int) -> list[Row]:
    items = np.arange(len(dataset))
    items = items[: len(items) // PICTURES_AT_ONCE * PICTURES_AT_ONCE]
    images = next(iter(Stills().views(dataset, items, encoder.spec.size, CPU)))
    batches = len(items) // PICTURES_AT_ONCE

    def forward() -> None:
        encoder.eval()
        with torch.inference_mode():
            for _ in range(batches):
                encoder(images)

    def ours() -> None:
        extract(encoder, dataset, items, device=CPU, stages=False)

    forward()
    seconds = medians(take_turns({"hotstart": ours, "bare forward": forward}, rounds))
    speed = round(len(items) / seconds["hotstart"])
    return compared("extraction", f"{len(items)} pictures", seconds, pictures_per_second=speed)


def nearest_neighbours(data: Labelled, rounds: int) -> list[Row]:
    train, asked = (F.normalize(features, dim=1) for features in (data.train, data.asked))
    starts = range(0, len(asked), PRODUCT_ROWS)

    def product() -> None:
        for start in starts:
            (asked[start : start + PRODUCT_ROWS] @ train.T).topk(NEIGHBOURS, dim=1)

    def ours() -> Tensor:
        return knn_predict(data.train, data.labels, data.asked, data.classes)

    def scikit_learn() -> object:
        peer = KNeighborsClassifier(
            NEIGHBOURS,
            metric="cosine",
            algorithm="brute",
            weights=lambda distance: np.exp((1 - distance) / TEMPERATURE),
        )
        return peer.fit(train.numpy(), data.labels.numpy()).predict(asked.numpy())

    def lightlys() -> Tensor:
        bank = train.T.contiguous()
        answers = [
            lightly_knn(
                asked[start : start + PRODUCT_ROWS],
                bank,
                data.labels,
                data.classes,
                NEIGHBOURS,
                TEMPERATURE,
            )[:, 0]
            for start in starts
        ]
        return torch.cat(answers)

    agreement = float((ours() == lightlys()).double().mean())
    contenders: dict[str, Callable[[], object]] = {
        "hotstart": ours,
        "product and top-k": product,
        "scikit-learn": scikit_learn,
        "lightly": lightlys,
    }
    seconds = medians(take_turns(contenders, rounds))
    case = f"{len(train)} x {len(asked)} x {train.shape[1]}"
    return compared("knn", case, seconds, agreement_with_lightly=round(agreement, 5))


def probe(data: Labelled, share: float, rounds: int) -> list[Row]:
    numbers = np.arange(len(data.labels))
    rows = label_subset(data.labels.numpy(), numbers.astype(np.uint64), share, seed=0)
    labels = data.labels[rows]
    features = data.train[rows]
    count = numbers[: len(rows)]
    folds = inner_folds(labels.numpy(), count.astype(np.uint64), count, seed=0)

    def ours() -> float:
        fitted = fit_linear_probe(features, labels, data.classes, folds)
        return float((fitted.predict(data.asked) == data.truth).double().mean())

    penalty = fit_linear_probe(features, labels, data.classes, folds).penalty

    def scikit_learn() -> float:
        scale = Standardiser.fit(features)
        peer = LogisticRegression(C=1 / (penalty * len(labels)), max_iter=1_000)
        peer.fit(scale(features).numpy(), labels.numpy())
        return float(peer.score(scale(data.asked).numpy(), data.truth.numpy()))

    accuracy = {"hotstart": ours(), "one fit of scikit-learn": scikit_learn()}
    contenders: dict[str, Callable[[], object]] = {
        "hotstart": ours,
        "one fit of scikit-learn": scikit_learn,
    }
    seconds = medians(take_turns(contenders, rounds))
    rows_out = compared("probe", f"{len(labels)} labels x {features.shape[1]}", seconds)
    return [{**row, "accuracy": round(accuracy[row["contender"]], 4)} for row in rows_out]


def main() -> None:
    parser = parser_of(__doc__)
    parser.add_argument("data", nargs="?", help="labelled pictures (default: generated)")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--scale", type=float, default=1.0, help="share of the generated items")
    arguments = parser.parse_args()
    encoder = build_encoder(EncoderSpec(name="resnet10t", size=SIZE, stem="timm"), seed=0)
    rows: list[Row] = []
    with tempfile.TemporaryDirectory() as scratch:
        folder = Path(scratch)
        scale = arguments.scale
        source = arguments.data
        if source is None:
            count = max(2 * PICTURES_AT_ONCE, round(PICTURES * scale))
            source = write_jpegs(folder / "pictures", count, SIZE, SIZE)
        dataset = open_dataset(source, size=SIZE, cache_dir=folder / "cache")
        rows += extraction(encoder, dataset, arguments.rounds)
        if arguments.data is None:
            train, asked = round(50_000 * scale), round(10_000 * scale)
            for_knn = generate_features(train, asked, 512)
            for_probe = generate_features(train, asked, 256)
        else:
            for_knn = for_probe = own_features(encoder, dataset)
        rows += nearest_neighbours(for_knn, arguments.rounds)
        for share in (0.01, 0.1, 1.0):
            rows += probe(for_probe, share, arguments.rounds)
    if arguments.json:
        print(json.dumps(rows, indent=1))
        return
    print(machine("torch", "scikit-learn", "lightly"))
    print(f"{'benchmark':11} {'case':22} {'contender':24} {'seconds':>9} {'hotstart takes':>15}")
    for row in rows:
        told = f" top1 {row['accuracy']:.4f}" if "accuracy" in row else ""
        print(
            f"{row['benchmark']:11} {row['case']:22} {row['contender']:24} {row['seconds']:9.3f} "
            f"{row['hotstart_over_contender']:14.2f}x{told}"
        )


if __name__ == "__main__":
    main()

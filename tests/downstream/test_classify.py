"""Classification: what it may read, what it must leave alone, what it answers."""

from __future__ import annotations

from collections.abc import Collection
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest
import torch
from PIL import Image

from hotstart.data import Dataset, open_dataset
from hotstart.data.sample import Batch
from hotstart.downstream.classifier import FinetuneSettings
from hotstart.downstream.classify import classify
from hotstart.downstream.features import recalibrate_batchnorm
from hotstart.downstream.outcome import Outcome
from hotstart.encoders import Encoder
from hotstart.errors import DataError, UsageError
from tests.downstream.traces import same_state, trace

QUICK = FinetuneSettings(steps=4, batch_size=16, learning_rates=(1e-3, 3e-3), trial_folds=1)
ALL = ("knn", "linear", "finetune", "scratch")


def same_answers(one: Outcome, other: Outcome) -> bool:
    return np.array_equal(
        one.predictions.arrays()["predicted"], other.predictions.arrays()["predicted"]
    )


def run(encoder: Encoder, data: Dataset, **options: Any) -> list[Outcome]:
    given = {"settings": QUICK, "labels": (0.2,), "protocols": ALL, **options}
    return list(classify(encoder, data, **given))


def test_outcomes_are_complete(digits: Dataset, encoder: Encoder) -> None:
    outcomes = run(encoder, digits, labels=(0.1, 1.0), protocols=("knn", "linear"))
    stages = list(range(1, len(encoder.stage_dims) + 1))
    expected = [("knn", "last"), ("linear", "last"), *(("linear", s) for s in stages)]
    for share in (0.1, 1.0):
        assert [(o.protocol, o.stage) for o in outcomes if o.labels == share] == expected
    asked = digits.indices("val")
    for outcome in outcomes:
        assert (outcome.split, outcome.seed, outcome.metric) == ("val", 0, "top1")
        assert np.array_equal(outcome.predictions.hashes, digits.hashes[asked])
        assert np.array_equal(outcome.predictions.arrays()["labels"], digits.labels[asked])
        assert outcome.value == outcome.predictions.value("top1")
        assert outcome.chance == np.bincount(digits.labels[asked]).max() / len(asked)
    counts = {o.labels: o.detail["label_count"] for o in outcomes}
    assert counts[1.0] == len(digits.indices("train"))
    assert counts[0.1] == pytest.approx(counts[1.0] / 10, abs=6)


def test_features_of_digits_are_learnt_from(digits: Dataset, encoder: Encoder) -> None:
    recalibrate_batchnorm(encoder, digits, digits.indices("train"))
    knn, linear = run(encoder, digits, labels=(1.0,), protocols=("knn", "linear"), stages=False)
    assert knn.value > 0.85
    assert linear.value > 0.93


def test_encoder_is_left_bit_for_bit(colours: Dataset, encoder: Encoder) -> None:
    before = trace(encoder)
    run(encoder, colours)
    assert same_state(before, trace(encoder))


def test_same_seed_same_answers(colours: Dataset, encoder: Encoder) -> None:
    first, second = run(encoder, colours), run(encoder, colours)
    for one, other in zip(first, second, strict=True):
        assert same_answers(one, other)
        assert one.detail.get("curve") == other.detail.get("curve")


def test_seed_draws_the_labels(digits: Dataset, encoder: Encoder) -> None:
    (zero,) = run(encoder, digits, protocols=("knn",), seed=0)
    (one,) = run(encoder, digits, protocols=("knn",), seed=1)
    assert not same_answers(zero, one)


def test_the_global_generator_is_neither_read_nor_moved(colours: Dataset, encoder: Encoder) -> None:
    before = torch.random.get_rng_state()
    first = run(encoder, colours, protocols=("finetune",))
    assert torch.equal(before, torch.random.get_rng_state())
    torch.rand(3)
    again = run(encoder, colours, protocols=("finetune",))
    assert same_answers(first[0], again[0])


def test_the_test_split_is_never_read_unless_asked(
    colours: Dataset, encoder: Encoder, monkeypatch: pytest.MonkeyPatch
) -> None:
    read: set[int] = set()
    batch = colours.batch

    def watched(indices: npt.NDArray[np.int64], keys: Collection[str]) -> Batch:
        read.update(indices.tolist())
        return batch(indices, keys)

    monkeypatch.setattr(colours, "batch", watched)
    run(encoder, colours)
    assert not read & set(colours.indices("test").tolist())
    assert read >= set(colours.indices("val").tolist())


@pytest.mark.parametrize(("split", "other"), [("val", "test"), ("test", "val")])
def test_labels_of_the_other_split_change_nothing(
    colours: Dataset, encoder: Encoder, split: str, other: str
) -> None:
    clean = run(encoder, colours, split=split)
    hidden = colours.indices(other)
    colours.labels[hidden] = 1 - colours.labels[hidden]
    spoilt = run(encoder, colours, split=split)
    for one, two in zip(clean, spoilt, strict=True):
        assert same_answers(one, two)


def test_nothing_is_chosen_by_the_labels_asked(colours: Dataset, encoder: Encoder) -> None:
    clean = run(encoder, colours)
    asked = colours.indices("val")
    colours.labels[asked] = 1 - colours.labels[asked]
    spoilt = run(encoder, colours)
    for one, other in zip(clean, spoilt, strict=True):
        assert same_answers(one, other)


def test_shuffled_labels_give_chance(
    digits: Dataset, encoder: Encoder, rng: np.random.Generator
) -> None:
    train = digits.indices("train")
    digits.labels[train] = rng.permutation(digits.labels[train])
    for outcome in run(encoder, digits, labels=(1.0,), protocols=("knn", "linear")):
        # Four standard deviations of a guess at 10 % on some 360 digits.
        assert abs(outcome.value - 0.1) < 4 * np.sqrt(0.09 / len(digits.indices("val"))) + 0.01


def test_progress_is_told(colours: Dataset, encoder: Encoder) -> None:
    told: list[tuple[str, int, int]] = []
    run(encoder, colours, progress=lambda *state: told.append(state))
    for name in ("features", "finetune", "scratch"):
        done = [(step, total) for what, step, total in told if what.startswith(name)]
        assert done[-1][0] == done[-1][1]
        assert [step for step, _ in done] == sorted({step for step, _ in done})


def test_arguments_are_checked_at_once(digits: Dataset, encoder: Encoder) -> None:
    for options, message in (
        ({"protocols": ("kmeans",)}, "protocol 'kmeans'.*knn, linear, finetune, scratch"),
        ({"split": "train"}, "split 'train'.*val, test"),
        ({"labels": (0.0,)}, "label share 0:"),
        ({"labels": (1.5,)}, "label share 1.5:"),
        ({"labels": ()}, "nothing to do"),
        ({"protocols": ()}, "nothing to do"),
    ):
        with pytest.raises(UsageError, match=message):
            classify(encoder, digits, **options)


def folder(root: Path, counts: dict[str, int]) -> Dataset:
    """Noise pictures: `train/cold` and so on, as many as `counts` says."""
    rng = np.random.default_rng(0)
    for name, count in counts.items():
        (root / name).mkdir(parents=True)
        for i in range(count):
            pixels = rng.integers(0, 256, (32, 32, 3), dtype=np.uint8)
            Image.fromarray(pixels).save(root / name / f"{i}.png")
    return open_dataset(str(root), size=32)


@pytest.mark.parametrize(
    ("counts", "message"),
    [
        ({"a_file": 8}, "no labels"),
        (
            {"train/cold": 4, "train/hot": 4, "val/cold": 2, "val/new": 2},
            "1 of 3 classes are asked in the val split but have no example in train: 'new'",
        ),
    ],
)
def test_data_that_cannot_be_classified(
    tmp_path: Path, encoder: Encoder, counts: dict[str, int], message: str
) -> None:
    with pytest.raises(DataError, match=message):
        classify(encoder, folder(tmp_path / "data", counts))


def test_one_class_cannot_be_classified(colours: Dataset, encoder: Encoder) -> None:
    colours.labels[colours.indices("train")] = 0
    with pytest.raises(DataError, match="one class only, 'cold'"):
        classify(encoder, colours)


def test_a_class_that_is_not_asked_is_noted(tmp_path: Path, encoder: Encoder) -> None:
    data = folder(
        tmp_path / "data", {"train/a": 9, "train/b": 9, "train/c": 9, "val/a": 3, "val/b": 3}
    )
    (outcome,) = run(encoder, data, protocols=("knn",), labels=(1.0,))
    assert outcome.detail["classes_not_asked"] == ["c"]

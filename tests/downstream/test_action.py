"""Action recognition: motion is read where there is any, and one frame stands beside it."""

from __future__ import annotations

from itertools import combinations
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch.nn.functional import adaptive_avg_pool2d

from hotstart.data import Dataset, open_dataset
from hotstart.downstream.action import ActionSettings, action, found_class, recall_chance
from hotstart.downstream.classifier import FinetuneSettings
from hotstart.downstream.outcome import Outcome
from hotstart.encoders import Encoder, EncoderSpec, build_encoder, resolve_spec
from hotstart.encoders.video import VideoEncoder
from hotstart.errors import DataError, UsageError
from tests.downstream.traces import same_state, trace

QUICK = ActionSettings(
    frames=4,
    seconds=0.5,
    clips=2,
    training=FinetuneSettings(
        steps=2, batch_size=8, learning_rates=(1e-3,), scratch_learning_rates=(1e-3,)
    ),
)
ALL = ("knn", "linear", "finetune", "scratch")


def run(encoder: Encoder, data: Dataset, **options: Any) -> dict[tuple[Any, ...], Outcome]:
    given = {"settings": QUICK, "protocols": ALL, **options}
    found = list(action(encoder, data, **given))
    by_name = {(one.protocol, one.stage, one.labels, one.metric): one for one in found}
    assert len(by_name) == len(found)
    return by_name


def test_outcomes_are_complete(actions: Dataset, clip_encoder: Encoder) -> None:
    before = trace(clip_encoder)
    outcomes = run(clip_encoder, actions, labels=(0.5, 1.0), protocols=("knn", "linear"))
    assert same_state(before, trace(clip_encoder))
    stages = [("linear", stage, "top1") for stage in range(1, 6)]
    for share in (0.5, 1.0):
        here = [(p, stage, m) for p, stage, labels, m in outcomes if labels == share]
        assert here == [
            ("knn", "last", "recall1"),
            ("knn", "last", "recall5"),
            ("knn", "last", "recall1_one_frame"),
            ("knn", "last", "recall5_one_frame"),
            ("linear", "last", "top1"),
            *stages,
            ("linear", "last", "top1_one_frame"),
        ]
    asked = actions.indices("val")
    for outcome in outcomes.values():
        assert np.array_equal(outcome.predictions.hashes, actions.hashes[asked])
        assert outcome.value == outcome.predictions.value("top1")
        assert outcome.detail["frames"] == (1 if "one_frame" in outcome.metric else 4)


class Differences(VideoEncoder):
    """`h`: 4 x 4 mean colours, and how much each of these places changes from frame to frame."""

    def __init__(self) -> None:
        super().__init__(EncoderSpec(name="differences", size=32))
        self.dim, self.stage_dims, self.stage_strides = 64, (), ()

    def forward(self, clips: torch.Tensor) -> torch.Tensor:
        self.check(clips)
        changed = clips.diff(dim=2).abs().mean((1, 2), keepdim=True)[:, 0]
        parts = (adaptive_avg_pool2d(part, 4).flatten(1) for part in (clips.mean(2), changed))
        return torch.cat(list(parts), 1)

    def forward_stages(self, clips: torch.Tensor) -> tuple[torch.Tensor, list[torch.Tensor]]:
        return self(clips), []


def test_motion_is_read_and_one_frame_knows_nothing(actions: Dataset) -> None:
    outcomes = run(Differences(), actions, protocols=("knn", "linear"))
    # Four standard deviations of a guess between two classes.
    near = 4 * np.sqrt(0.25 / len(actions.indices("val")))
    for (protocol, _, _, metric), outcome in outcomes.items():
        if metric in ("top1", "recall1"):
            assert outcome.value >= (1.0 if protocol == "linear" else 0.8)
        elif metric in ("top1_one_frame", "recall1_one_frame"):
            assert abs(outcome.value - 0.5) < near


def test_shuffled_labels_give_chance(actions: Dataset) -> None:
    train = actions.indices("train")
    actions.labels[train] = np.random.default_rng(0).permutation(actions.labels[train])
    outcomes = run(Differences(), actions, protocols=("linear",))
    for outcome in outcomes.values():
        assert abs(outcome.value - 0.5) < 4 * np.sqrt(0.25 / len(actions.indices("val")))


@pytest.mark.parametrize("name", ["resnet10_narrow", "frames:resnet10_narrow", "pixel_components"])
def test_pictures_encoders_read_every_frame(actions: Dataset, name: str) -> None:
    encoder = build_encoder(resolve_spec(name, 32), seed=0)
    outcomes = run(encoder, actions, protocols=("knn", "linear"), stages=False)
    assert len(outcomes) == 6
    plain = build_encoder(resolve_spec("resnet10_narrow", 32), seed=0)
    if name.startswith("frames:"):
        for key, other in run(plain, actions, protocols=("knn", "linear"), stages=False).items():
            assert np.array_equal(
                other.predictions.arrays()["predicted"],
                outcomes[key].predictions.arrays()["predicted"],
            )


def test_training_gives_clips_and_one_frame(actions: Dataset, clip_encoder: Encoder) -> None:
    told: list[str] = []
    outcomes = run(
        clip_encoder,
        actions,
        protocols=("finetune", "scratch"),
        progress=lambda what, *_: told.append(what),
    )
    assert [(p, m) for p, _, _, m in outcomes] == [
        (protocol, metric)
        for protocol in ("finetune", "scratch")
        for metric in ("top1", "top1_one_frame")
    ]
    assert "finetune one frame on 48 labels" in [" ".join(what.split()) for what in told]


def test_fixed_encoders_and_pictures_are_refused(actions: Dataset, digits: Dataset) -> None:
    encoder = build_encoder(resolve_spec("pixel_components", 32), seed=0)
    with pytest.raises(UsageError, match="no weights that learn"):
        action(encoder, actions, protocols=("finetune",))
    with pytest.raises(DataError, match="has no 'clip'"):
        action(encoder, digits)


def test_groups_are_in_one_split(action_folder: Path) -> None:
    data = open_dataset(action_folder, size=32, group=r"(\d)\.mkv")
    for group in np.unique(data.groups):
        assert len(np.unique(data.split[data.groups == group])) == 1


def test_recall_counts_a_hit_anywhere_among_those_found() -> None:
    nearest = torch.tensor([[0, 1], [0, 0], [2, 1]])
    truth = torch.tensor([1, 1, 2])
    assert found_class(nearest, truth).tolist() == [1, 0, 2]
    assert found_class(nearest[:, :1], truth).tolist() == [0, 0, 2]


def test_chance_of_recall_is_that_of_drawing_at_random() -> None:
    classes = np.array([0, 0, 0, 1, 1, 2])
    truth = np.array([0, 1, 1, 2])
    for rank in (1, 2, 5, 9):
        draws = list(combinations(classes.tolist(), min(rank, len(classes))))
        expected = np.mean([np.mean([label in drawn for drawn in draws]) for label in truth])
        assert recall_chance(np.bincount(classes), truth, rank) == pytest.approx(expected)

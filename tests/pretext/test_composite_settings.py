"""Settings of several tasks at once, their defaults, and what cannot be combined."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch

from hotstart.errors import UsageError
from hotstart.pretext.composite import compose
from hotstart.pretext.registry import find, own_settings, parts, task_class
from hotstart.pretext.task import (
    Player,
    Spec,
)
from hotstart.training.loop import Material
from tests.conformance.material import (
    draws,
    make_task,
    material_from,
)
from tests.pretext.combined import ROWS, Maker, build


@pytest.fixture(scope="module")
def material(class_folder: Path) -> Material:
    return material_from(class_folder)


def test_settings_are_those_of_each_by_its_name(material: Material) -> None:
    task = build(
        "rotation+simclr", material, rotation={"all_four": False}, simclr={"temperature": 0.7}
    )
    assert task.named_parts["rotation"].settings.all_four is False
    assert task.named_parts["simclr"].settings.temperature == 0.7
    with pytest.raises(UsageError, match=r"rotation\+simclr\.simclr: no setting 'tau'"):
        build("rotation+simclr", material, simclr={"tau": 1})


def test_defaults_are_the_smallest_batch_and_a_rate_between_those_of_each() -> None:
    cls = task_class("rotation+inpainting+simclr")
    assert cls.batch_size == 64
    alone = [task_class(name) for name in ("rotation", "inpainting", "simclr")]
    moves = [one.optimiser.learning_rate * one.batch_size for one in alone]
    here = cls.optimiser.learning_rate * cls.batch_size
    assert min(moves) < here < max(moves)
    assert here**3 == pytest.approx(moves[0] * moves[1] * moves[2], rel=0.02)
    assert cls.optimiser.weight_decay == task_class("simclr").optimiser.weight_decay
    assert cls is task_class("rotation+inpainting+simclr")


def test_the_list_s_entry_is_made_of_theirs() -> None:
    entry = find("rotation+deep_cluster+simclr")
    assert (entry.family, entry.kind) == ("context", "predictive and contrastive")
    assert entry.needs == ("image", "index")
    assert "1803.07728" in entry.paper
    assert "1807.05520" in entry.paper
    assert find("inpainting+simclr").family == "several"
    assert parts("rotation") == ("rotation",)
    assert own_settings("a+b", {"a": {"x": 1}, "c": {}}) == {"a": {"x": 1}}


@pytest.mark.parametrize(
    ("name", "sentence"),
    [
        ("rotation+rotation", "names rotation more than once"),
        ("random+rotation", "random is a control"),
        ("rotation+supervised", "supervised is a control"),
        ("rotation+", "--task '' is unknown"),
        ("rotation+simcrl", "'simcrl' is unknown; nearest: simclr"),
    ],
)
def test_what_cannot_be_combined_is_said_in_a_sentence(name: str, sentence: str) -> None:
    with pytest.raises(UsageError, match=sentence.replace("(", r"\(")):
        task_class(name)


def test_classes_that_cannot_be_combined(material: Material) -> None:
    rotation = task_class("rotation")

    class Convolutions(Maker):
        accepts = frozenset({"cnn"})

    clusters = {"triplet": {"positives": "cluster"}}
    both = build("triplet+deep_cluster", material, **clusters)
    h = torch.randn(both.info.items, both.encoder.dim)
    with pytest.raises(UsageError, match="triplet and deep_cluster each load"):
        both.before_epoch(lambda: h, draws(0, ROWS))
    masked = task_class("masked_autoencoder")
    with pytest.raises(UsageError, match="no encoder suits all: masked vit, convolutions cnn"):
        compose({"masked": masked, "convolutions": Convolutions})
    with pytest.raises(UsageError, match="maker and deep_cluster each load"):
        compose({"maker": Maker, "deep_cluster": task_class("deep_cluster")})

    class Clips(Maker):
        needs = {"image": Spec(frames=4)}  # noqa: RUF012

    with pytest.raises(UsageError, match="clips needs 'image' as"):
        compose({"rotation": rotation, "clips": Clips})

    class Idle(Maker):
        def players(self) -> dict[str, Player]:
            return {"maker": Player([self.made], self.optimiser)}

    alone = make_task("rotation", material, ROWS)
    cls = compose({"rotation": rotation, "idle": Idle})
    with pytest.raises(UsageError, match="none of its players move the encoder"):
        cls(alone.encoder, cls.Settings(), alone.info)

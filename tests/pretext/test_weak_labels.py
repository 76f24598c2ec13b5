"""Coarse and inaccurate labels: which, how many, and always the same."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from hotstart.encoders import EncoderSpec, build_encoder
from hotstart.errors import UsageError
from hotstart.pretext.task import Info
from hotstart.pretext.weak_labels import (
    WeaklySupervised,
    WeaklySupervisedSettings,
    coarse_classes,
)
from hotstart.training.loop import Material
from tests.conformance.material import draws, make_task, material_from

NAMES = ("cat", "dog", "ship", "truck", "deer")
ANIMALS = {"cat": "animal", "dog": "animal", "deer": "animal"}


@pytest.fixture(scope="module")
def material(class_folder: Path) -> Material:
    return material_from(class_folder)


def build(items: int = 20_000, names: tuple[str, ...] = NAMES, **settings: Any) -> WeaklySupervised:
    torch.manual_seed(0)
    info = Info(items, 32, 16, 10, len(names), names)
    encoder = build_encoder(EncoderSpec(name="resnet10_narrow", size=32, stem="small"), 0)
    return WeaklySupervised(encoder, WeaklySupervisedSettings(**settings), info)


def test_as_many_labels_are_wrong_as_asked_and_all_wrong_ones_alike() -> None:
    for noise, share in ((None, 0.4), (0.1, 0.1), (0.0, 0.0)):
        shift = build(noise=noise).shift
        counts = shift.bincount(minlength=5)
        assert float(counts[0]) / len(shift) == pytest.approx(1 - share, abs=0.02)
        if share:
            assert counts[1:].max() < 1.15 * counts[1:].min()
    assert not build(map=ANIMALS).shift.any()
    assert build(map=ANIMALS, noise=0.3).shift.any()


def test_classes_become_coarse_and_what_is_left_out_stays() -> None:
    assert coarse_classes(NAMES, ANIMALS) == [0, 0, 1, 2, 0]
    assert coarse_classes(NAMES, {}) == [0, 2, 3, 4, 1]
    task = build(map=ANIMALS)
    assert task.classifier.out_features == 3
    assert task.trivial(16) == 3 / 5
    assert build().trivial(16) == 1 / 5


def test_wrong_maps_are_said_in_a_sentence() -> None:
    with pytest.raises(UsageError, match=r"map: no class 'kat'; nearest: cat; valid: cat, dog"):
        build(map={"kat": "animal"})
    with pytest.raises(UsageError, match="makes one class of all, 'thing'; two or more"):
        build(map=dict.fromkeys(NAMES, "thing"))


def test_a_picture_keeps_its_wrong_label_and_held_out_ones_have_none(material: Material) -> None:
    changes = {"weakly_supervised": {"noise": 0.5}}
    task, again = (
        make_task("weakly_supervised", material, 32, task_settings=changes) for _ in range(2)
    )
    assert isinstance(task, WeaklySupervised)
    rows = material.train[np.arange(0, 160, 5)]
    batch = material.dataset.batch(rows, tuple(task.needs))
    true = batch["label"]
    wrong = task.views(batch, draws(0, 32))["label"]
    assert 0.2 < float((wrong != true).float().mean()) < 0.8
    assert torch.equal(wrong, (true + task.shift[rows]) % 2)
    assert torch.equal(wrong, task.views(batch, draws(7, 32))["label"])
    assert torch.equal(wrong, again.views(batch, draws(7, 32))["label"])
    task.eval()
    assert torch.equal(task.views(batch, draws(0, 32))["label"], true)

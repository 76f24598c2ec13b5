"""Segmentation: counted rightly, learnt from the right pixels, and without leaving a trace."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torchmetrics.classification import MulticlassJaccardIndex

from hotstart.data.masked import MaskedDataset, open_masked
from hotstart.downstream import pixel_probe
from hotstart.downstream.features import evaluating
from hotstart.downstream.linear import fit_linear_probe
from hotstart.downstream.mask_pictures import colour_of, overlay
from hotstart.downstream.outcome import Outcome, Stage
from hotstart.downstream.pixel_probe import ProbedMaps, draw_pixels, stage_columns
from hotstart.downstream.pixels import (
    answer,
    best_constant,
    coarsest_stride,
    count_pixels,
    whole_pictures,
)
from hotstart.downstream.predictions import MaskPredictions
from hotstart.downstream.search import beyond
from hotstart.downstream.segment import segment
from hotstart.downstream.segmenter import SegmentSettings, fit_segmenter
from hotstart.encoders import Encoder, build_encoder, resolve_spec
from hotstart.errors import DataError, UsageError
from tests.data.scenes import save, scene, write_scenes
from tests.downstream.traces import same_state, trace

CPU = torch.device("cpu")


@pytest.fixture(scope="module")
def scenes(tmp_path_factory: pytest.TempPathFactory) -> MaskedDataset:
    """Thirty scenes, four of them of another size."""
    root = tmp_path_factory.mktemp("scenes")
    write_scenes(root, range(26))
    write_scenes(root, range(26, 30), width=40, height=56)
    return open_masked(root, cache_dir=root / "cache")


@pytest.fixture(scope="module")
def network() -> Encoder:
    return build_encoder(resolve_spec("resnet10_narrow", 32), 0)


@pytest.fixture(autouse=True)
def _few_pixels(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(pixel_probe, "PIXELS", 3_000)


def run(encoder: Encoder, data: MaskedDataset, **options: Any) -> list[Outcome]:
    return list(segment(encoder, data, **{"seed": 0, "stages": False, **options}))


def test_pixels_are_counted_as_by_hand_and_as_torchmetrics_does() -> None:
    truth = torch.tensor([[0, 0, 1], [1, 2, 255]])
    said = torch.tensor([[0, 1, 1], [1, 0, 2]])
    both, of_truth, of_said = count_pixels(said, truth, 4)
    assert both.tolist() == [1, 2, 0, 0]
    assert of_truth.tolist() == [2, 2, 1, 0]
    assert of_said.tolist() == [2, 3, 0, 0]
    rng = torch.Generator().manual_seed(0)
    truth = torch.randint(0, 4, (3, 20, 30), generator=rng)
    truth[torch.rand(truth.shape, generator=rng) < 0.1] = 255
    said = torch.randint(0, 4, (3, 20, 30), generator=rng)
    counts = np.stack([count_pixels(*pair, 4) for pair in zip(said, truth, strict=True)], 1)
    kept = MaskPredictions(np.arange(3).astype(np.uint64), *counts)
    theirs = MulticlassJaccardIndex(num_classes=4, ignore_index=255)(said, truth)
    assert kept.value("miou") == pytest.approx(float(theirs), abs=1e-6)


def test_whole_pictures_come_with_their_own_label_map(scenes: MaskedDataset) -> None:
    items = np.arange(len(scenes))[::-1].copy()
    seen: list[int] = []
    for places, images, labels in whole_pictures(scenes, items, 8, CPU):
        assert images.shape[2] % 8 == images.shape[3] % 8 == 0
        for place, image, label in zip(places.tolist(), images, labels, strict=True):
            i = int(items[place])
            seen.append(place)
            stem = int(Path(scenes.path(i)).stem)
            sides = {"width": 40, "height": 56} if stem >= 26 else {}
            picture, truth = scene(stem, **sides)
            assert np.array_equal(label.numpy(), truth)
            assert image.mean() == pytest.approx(picture.mean() / 255, abs=0.01)
    assert sorted(seen) == list(range(len(scenes)))


@pytest.mark.parametrize("name", ["resnet10_narrow", "vit_narrow_depth4"])
def test_a_probe_says_of_maps_what_it_says_of_drawn_pixels(
    scenes: MaskedDataset, name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The 1x1 convolution of the standardised maps is the regression itself."""
    monkeypatch.setattr(pixel_probe, "PIXELS", 10_000)
    monkeypatch.setattr(pixel_probe, "PER_PICTURE", 10_000)
    encoder = build_encoder(resolve_spec(name, 32), 0)
    drawn = draw_pixels(encoder, scenes, np.arange(3), seed=0, device=CPU)
    columns = stage_columns(encoder)
    folds = [np.arange(0, len(drawn.labels), 5)]
    wanted: list[Stage] = ["last", 2]
    probes = {
        stage: fit_linear_probe(drawn.table[:, columns[stage]].contiguous(), drawn.labels, 3, folds)
        for stage in wanted
    }
    read = ProbedMaps(encoder, probes, CPU)
    with evaluating(encoder), torch.inference_mode():
        maps = answer(read, 2, scenes, np.arange(3), coarsest_stride(encoder), CPU)
    for stage, found in zip(probes, maps, strict=True):
        said = probes[stage].predict(drawn.table[:, columns[stage]])
        # All pixels of these pictures are drawn, so that both count the same ones.
        for item in range(3):
            rows = torch.from_numpy(drawn.picture == item)
            both = torch.bincount(drawn.labels[rows & (said == drawn.labels)], minlength=3)
            assert np.abs(both.numpy() - found.both[item]).max() <= 2
            assert found.truth[item].tolist() == scenes.pixels[item].tolist()
            assert int(rows.sum()) == int(found.truth[item].sum())


def test_knows_what_is_to_be_seen_and_nothing_where_nothing_is(
    scenes: MaskedDataset, network: Encoder, monkeypatch: pytest.MonkeyPatch
) -> None:
    (found,) = run(network, scenes)
    assert (found.metric, found.stage, found.protocol) == ("miou", "last", "linear")
    assert found.chance == pytest.approx(best_constant(scenes, scenes.indices("val")))
    assert found.value > 0.75 > found.chance + 0.3
    assert found.value == found.predictions.value("miou")
    assert found.panel is not None
    assert found.panel.columns == ("picture", "truth", "answer", "classes")
    assert len(found.panel.pictures) == len(found.panel.texts) == 5
    assert found.panel.name == f"segment-linear-1-{scenes.fingerprint[:8]}"
    assert found.detail["left_out"] == 0
    assert list(found.detail["iou"]) == ["0", "1", "2"]
    assert np.mean(list(found.detail["iou"].values())) == pytest.approx(found.value)
    # The label maps of other pictures: what can be learnt of them is how often each class comes.
    own = scenes.label_map
    train = scenes.indices("train").tolist()
    alike = [i for i in train if scenes.label_map(i).shape == (40, 48)]
    other = dict(zip(alike, np.roll(alike, 1).tolist(), strict=True))
    monkeypatch.setattr(scenes, "label_map", lambda i: own(other.get(int(i), int(i))))
    (shuffled,) = run(network, scenes)
    assert shuffled.value < found.chance + 0.12


def test_the_same_seed_the_same_answer_and_no_trace(
    scenes: MaskedDataset, network: Encoder
) -> None:
    before = trace(network)
    first, again, other = (run(network, scenes, labels=(0.3,), seed=s)[0] for s in (0, 0, 1))
    assert same_state(before, trace(network))
    assert first.detail["label_count"] == 5
    for part in ("both", "predicted"):
        assert np.array_equal(first.predictions.arrays()[part], again.predictions.arrays()[part])
    assert not np.array_equal(
        first.predictions.arrays()["predicted"], other.predictions.arrays()["predicted"]
    )


def test_every_stage_and_few_labels(scenes: MaskedDataset, network: Encoder) -> None:
    found = run(network, scenes, labels=(0.01, 0.5), stages=True)
    stages = ["last", *range(1, len(network.stage_dims) + 1)]
    assert [(one.labels, one.stage) for one in found] == [
        *((0.5, stage) for stage in stages),
        *((0.01, stage) for stage in stages),
    ]
    assert found[-1].detail["label_count"] == 1
    by_stage = {one.stage: one.value for one in found if one.labels == 0.5}
    # What a pixel is, the first stage sees sharpest; together they know at least as much.
    assert by_stage["last"] > by_stage[len(network.stage_dims)]


def test_trained_networks_learn_too(scenes: MaskedDataset, network: Encoder) -> None:
    before = trace(network)
    settings = SegmentSettings(
        steps=60, batch_size=8, view_px=32, width=16, learning_rates=(3e-3,),
        scratch_learning_rates=(1e-5, 3e-3),
    )  # fmt: skip
    tuned, scratch = run(network, scenes, protocols=("finetune", "scratch"), settings=settings)
    assert same_state(before, trace(network))
    assert (tuned.protocol, tuned.stage) == ("finetune", "last")
    assert tuned.detail["steps"] == 60
    chosen, trials = scratch.detail["learning_rate"], scratch.detail["trials"]
    assert chosen in (3e-3, 1e-2, 3e-2)
    assert trials["1e-05"] < trials["0.003"] <= trials[f"{chosen:g}"] <= 1
    assert not beyond(chosen, [float(rate) for rate in trials]), "the search went on"
    for one in (tuned, scratch):
        assert one.value > one.chance + 0.25


def test_the_same_seed_trains_the_same_weights(scenes: MaskedDataset, network: Encoder) -> None:
    settings = SegmentSettings(steps=2, batch_size=4, view_px=16, width=8)

    def fit(seed: int) -> torch.Tensor:
        model = fit_segmenter(
            network, scenes, np.arange(6), learning_rate=1e-3, steps=2, settings=settings,
            seed=seed, device=CPU, tick=lambda: None,
        )  # fmt: skip
        return torch.cat([weight.flatten() for weight in model.parameters()])

    first = fit(0)
    assert torch.equal(first, fit(0))
    assert not torch.equal(first, fit(1))


def test_the_reported_split_teaches_nothing(
    scenes: MaskedDataset, network: Encoder, monkeypatch: pytest.MonkeyPatch
) -> None:
    read: list[int] = []
    own = scenes.label_map

    def noted(i: int) -> Any:
        read.append(int(i))
        return own(i)

    monkeypatch.setattr(scenes, "label_map", noted)
    (found,) = run(network, scenes, split="test")
    assert found.panel is None
    assert not set(read) & set(scenes.indices("val").tolist())


def test_what_cannot_be_asked(scenes: MaskedDataset, network: Encoder, tmp_path: Path) -> None:
    ask: Callable[..., Any] = run
    with pytest.raises(UsageError, match="is measured by linear"):
        ask(network, scenes, protocols=("knn",))
    with pytest.raises(UsageError, match="label share 2"):
        ask(network, scenes, labels=(2,))
    with pytest.raises(UsageError, match="pixel_components has no maps of pictures"):
        ask(build_encoder(resolve_spec("pixel_components", 32), 0), scenes)
    root = write_scenes(tmp_path, range(3), pictures="train/images", masks="train/masks")
    for seed in range(3):
        save(root / "train" / "masks" / f"{seed:03d}.png", (scene(seed)[1] == 1).astype(np.uint8))
    write_scenes(root, [7], pictures="val/images", masks="val/masks")
    small = open_masked(root, cache_dir=tmp_path / "cache")
    with pytest.raises(DataError, match=r"1 classes are asked in the val split.*'2'"):
        ask(network, small)
    with pytest.raises(DataError, match="no picture with a label map in its test split"):
        ask(network, small, split="test")


def test_overlays_show_each_class_in_its_colour() -> None:
    picture = np.full((20, 30, 3), 128, np.uint8)
    labels = np.zeros((40, 60), np.int64)
    labels[:, 30:] = 1
    labels[:10] = 255
    drawn = overlay(picture, labels)
    for rows, columns, colour in (
        (slice(6, None), slice(0, 14), colour_of(0)),
        (slice(6, None), slice(16, None), colour_of(1)),
        (slice(0, 4), slice(None), None),
    ):
        expected = 0.15 * 128 if colour is None else 0.4 * 128 + 0.6 * np.array(colour)
        assert np.abs(drawn[rows, columns] - expected).max() <= 1
    assert len({colour_of(k) for k in range(21)}) == 21

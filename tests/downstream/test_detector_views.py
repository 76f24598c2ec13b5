"""Maps of a frozen encoder that are computed once: a stock of views, shared by all trainings."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest
import torch
from torch import Tensor
from torchvision.models.detection import FCOS

from hotstart.augment import ViewSettings
from hotstart.data.boxes import BoxSet, open_boxes
from hotstart.data.draws import Draws
from hotstart.downstream import detect as detect_module
from hotstart.downstream import detector_views
from hotstart.downstream.detect import detect
from hotstart.downstream.detector import DetectorSettings, Maps, Pyramid, Target
from hotstart.downstream.detector_training import DetectSettings, fit_detector
from hotstart.downstream.detector_views import KeptMaps, bytes_of_maps, training_view
from hotstart.encoders import Encoder, build_encoder, resolve_spec
from tests.boxed import write_coco

SIDE = 64
VIEWS = ViewSettings()
SETTINGS = DetectSettings(
    steps=4,
    batch_size=4,
    learning_rates=(1e-3,),
    scratch_learning_rates=(1e-3,),
    detector=DetectorSettings(size_px=SIDE),
)


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    root = tmp_path_factory.mktemp("views") / "squares"
    write_coco(root, {"train": 10, "val": 6})
    return root


@pytest.fixture
def squares(folder: Path) -> BoxSet:
    return open_boxes(folder, size=SIDE)


@pytest.fixture
def pyramid(encoder: Encoder) -> Pyramid:
    return Pyramid(encoder, 32, frozen=True).train()


def shown(
    kept: KeptMaps, pyramid: Pyramid, data: BoxSet, items: list[int], turn: int
) -> tuple[Maps, list[Target]]:
    """What a batch of the given pictures gets."""
    rows = np.array(items)
    pictures = data.batch(rows, ["image"])["image"]
    return kept.maps(pyramid, pictures, data.boxes.of(rows), rows, np.full(len(rows), turn))


def alike(one: tuple[Maps, list[Target]], other: tuple[Maps, list[Target]]) -> bool:
    """The same maps and boxes, bit for bit."""
    maps = all(torch.equal(one[0][stage], other[0][stage]) for stage in one[0])
    pairs = zip(one[1], other[1], strict=True)
    return maps and all(torch.equal(a["boxes"], b["boxes"]) for a, b in pairs)


@pytest.mark.parametrize("factor", [1e-9, 1.0, 1e9])
def test_kept_maps_are_those_of_the_view_whatever_their_scale(
    squares: BoxSet, pyramid: Pyramid, monkeypatch: pytest.MonkeyPatch, factor: float
) -> None:
    own = pyramid.maps

    def scaled(images: Tensor) -> Maps:
        return {stage: found * factor for stage, found in own(images).items()}

    monkeypatch.setattr(pyramid, "maps", scaled)
    found, targets = shown(KeptMaps(VIEWS, SIDE, 2, seed=5), pyramid, squares, [3, 7], turn=3)
    assert set(found) == set(pyramid.sources)
    for row, item in enumerate((3, 7)):
        rows = np.array([item])
        pictures = squares.batch(rows, ["image"])["image"]
        draws = Draws(5, 1, total=1, names=(f"picture {item}",))
        image, (target,) = training_view(pictures, squares.boxes.of(rows), VIEWS, SIDE, draws)
        assert torch.equal(target["boxes"], targets[row]["boxes"])
        assert torch.equal(target["labels"], targets[row]["labels"])
        for stage, true in scaled(image).items():
            kept = found[stage][row]
            assert kept.dtype == torch.float32
            largest = true[0].abs().amax((1, 2), keepdim=True)
            assert ((kept - true[0]).abs() <= 2**-11 * largest).all()


def test_the_stock_has_as_many_views_as_were_asked(squares: BoxSet, pyramid: Pyramid) -> None:
    kept = KeptMaps(VIEWS, SIDE, 3, seed=0)
    turns = [shown(kept, pyramid, squares, [0, 4], turn) for turn in range(7)]
    assert len(kept.kept) == 2 * 3
    for one in range(7):
        for other in range(one):
            assert alike(turns[one], turns[other]) == ((one - other) % 3 == 0)
    other_seed = shown(KeptMaps(VIEWS, SIDE, 3, seed=1), pyramid, squares, [0, 4], 0)
    assert not alike(turns[0], other_seed)


def test_a_view_does_not_depend_on_its_batch(squares: BoxSet, pyramid: Pyramid) -> None:
    alone = shown(KeptMaps(VIEWS, SIDE, 2, seed=0), pyramid, squares, [4], 1)
    maps, targets = shown(KeptMaps(VIEWS, SIDE, 2, seed=0), pyramid, squares, [8, 4, 1], 1)
    assert alike(alone, ({stage: found[1:2] for stage, found in maps.items()}, targets[1:2]))


def test_a_pyramid_reads_given_maps_once_in_place_of_its_encoder(pyramid: Pyramid) -> None:
    pyramid.eval()
    images, others = torch.rand(2, 3, SIDE, SIDE), torch.rand(2, 3, SIDE, SIDE)
    with torch.no_grad():
        true = pyramid(images)
        pyramid.given = pyramid.maps(images)
        given, next_one = pyramid(others), pyramid(others)
    assert all(torch.equal(given[level], true[level]) for level in true)
    assert not any(torch.equal(next_one[level], true[level]) for level in true)


@pytest.mark.parametrize("name", ["resnet10_narrow", "vit_narrow_depth4"])
def test_the_stock_is_as_large_as_memory_allows(
    squares: BoxSet, monkeypatch: pytest.MonkeyPatch, name: str
) -> None:
    encoder = build_encoder(resolve_spec(name, 32), seed=0)
    kept = KeptMaps(VIEWS, SIDE, 4, seed=0)
    shown(kept, Pyramid(encoder, 32, frozen=True).train(), squares, [2], 0)
    (view,) = kept.kept.values()
    each = sum(part.nbytes for part in (*view.maps.values(), *view.scales.values()))
    assert bytes_of_maps(encoder, SIDE) == each

    def views(bytes_: int) -> int | None:
        monkeypatch.setattr(detector_views, "MOST_BYTES", bytes_)
        found = KeptMaps.for_pictures(10, encoder, VIEWS, SIDE, 4, 0)
        return found.count if found else None

    assert [views(10 * each * count) for count in (9, 4, 3, 1)] == [4, 4, 3, 1]
    assert views(10 * each - 1) is None


def test_a_training_does_not_depend_on_what_was_kept_before(
    squares: BoxSet, encoder: Encoder
) -> None:
    train = squares.indices("train")

    def weights(kept: KeptMaps, items: npt.NDArray[np.int64]) -> dict[str, Tensor]:
        model = fit_detector(
            encoder,
            squares,
            items,
            frozen=True,
            learning_rate=1e-2,
            steps=4,
            settings=SETTINGS,
            seed=0,
            device=torch.device("cpu"),
            tick=lambda: None,
            kept=kept,
        )
        return dict(model.state_dict())

    first, after_a_trial = (KeptMaps(SETTINGS.views, SIDE, 2, seed=0) for _ in range(2))
    weights(after_a_trial, train[2:])
    assert 0 < len(after_a_trial.kept) < 20
    expected = weights(first, train)
    for kept in (first, after_a_trial):
        found = weights(kept, train)
        assert all(torch.equal(value, found[name]) for name, value in expected.items())
    assert len(first.kept) <= 20


def test_trials_and_the_training_that_counts_share_one_stock(
    squares: BoxSet, encoder: Encoder, monkeypatch: pytest.MonkeyPatch
) -> None:
    used: list[KeptMaps | None] = []

    def noting(*arguments: Any, kept: KeptMaps | None, **named: Any) -> FCOS:
        used.append(kept)
        return fit_detector(*arguments, kept=kept, **named)

    def views(protocol: Any) -> Any:
        used.clear()
        outcome = next(iter(detect(encoder, squares, protocols=[protocol], settings=SETTINGS)))
        return outcome.detail["views"]

    monkeypatch.setattr(detect_module, "fit_detector", noting)
    assert views("linear") == 4
    assert len(used) > 2
    assert used[0] is not None
    assert all(kept is used[0] for kept in used)
    for protocol in ("finetune", "scratch"):
        assert views(protocol) is None
        assert used == [None]
    monkeypatch.setattr(detector_views, "MOST_BYTES", 1_000)
    assert views("linear") is None
    assert set(used) == {None}

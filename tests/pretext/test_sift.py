"""Visual words: descriptors, counting, what is kept on disk; and the clusters made of them."""

from __future__ import annotations

from pathlib import Path

import cv2
import numpy as np
import numpy.typing as npt
import pytest
import torch

from hotstart.data import Subset
from hotstart.data.sample import Pictures
from hotstart.pretext import sift
from hotstart.pretext.context.sift_clusters import SIFTClusters
from hotstart.pretext.prepared import prepared
from hotstart.pretext.sift import bag_of_words, count_words, dense_sift, vocabulary, words_of
from hotstart.training.loop import Material
from tests.conformance.material import draws, first_batch, make_task, material_from
from tests.pretext.pictures import patches


@pytest.fixture(scope="module")
def material(tmp_path_factory: pytest.TempPathFactory) -> Material:
    return material_from(patches(tmp_path_factory.mktemp("patches"), 100))


def test_windows_cover_the_picture_and_are_sift_at_their_places() -> None:
    pixels = np.random.default_rng(0).integers(0, 256, (64, 64, 3), dtype=np.uint8)
    found = dense_sift(Pictures.from_arrays([pixels, pixels[:, ::-1].copy()]))
    assert found.shape == (2, 64, 128)
    weights = np.array([0.299, 0.587, 0.114])
    grey = np.round(pixels.astype(np.float64) @ weights).astype(np.uint8)
    for place, (x, y) in ((0, (4.0, 4.0)), (1, (12.0, 4.0)), (63, (60.0, 60.0))):
        keypoint = cv2.KeyPoint(x, y, 4.0, 0.0)
        alone = cv2.SIFT.create().compute(grey, [keypoint])[1][0]
        # A rounding of grey apart.
        assert np.abs(found[0, place].numpy() - alone).max() < 12
    assert not torch.equal(found[0], found[1])


def test_small_pictures_are_enlarged_and_colours_do_not_count() -> None:
    rng = np.random.default_rng(1)
    small = rng.integers(0, 256, (32, 40, 3), dtype=np.uint8)
    grey = np.asarray(cv2.cvtColor(small, cv2.COLOR_RGB2GRAY), np.uint8)
    as_grey = np.repeat(grey[..., None], 3, 2)
    colourful, plain = dense_sift(Pictures.from_arrays([small, as_grey]))
    assert colourful.shape == (64, 128)
    nearer = (colourful - plain).norm(dim=1) < 0.1 * plain.norm(dim=1)
    assert nearer.float().mean() > 0.95


def test_words_are_counted_as_by_hand() -> None:
    generator = torch.Generator().manual_seed(0)
    descriptors = torch.rand(3, 10, 128, generator=generator)
    words = torch.rand(4, 128, generator=generator)
    counts = count_words(descriptors, words)
    for picture in range(3):
        by_hand = [0] * 4
        for descriptor in descriptors[picture]:
            by_hand[min(range(4), key=lambda v: float((descriptor - words[v]).norm()))] += 1
        assert counts[picture].tolist() == by_hand
    bags = bag_of_words(counts)
    torch.testing.assert_close(bags**2, counts / 10)
    torch.testing.assert_close(bags.norm(dim=1), torch.ones(3))


def test_a_vocabulary_finds_the_patterns_that_there_are() -> None:
    generator = torch.Generator().manual_seed(1)
    patterns = torch.rand(3, 128, generator=generator) * 100
    many = patterns.repeat(50, 1) + torch.randn(150, 128, generator=generator)
    words = vocabulary(many, 3, np.random.default_rng(0))
    assert torch.cdist(patterns, words).amin(1).max() < 5


def test_words_are_found_once_for_the_same_pictures(
    material: Material, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    pictures = Subset(material.dataset, material.train)
    words, counts = words_of(pictures, 16, tmp_path)
    assert words.shape == (16, 128)
    assert counts.shape == (len(pictures), 16)
    assert (counts.sum(1) == 64).all()

    def forbidden(_: Pictures) -> torch.Tensor:
        raise AssertionError("looked at again")

    monkeypatch.setattr(sift, "dense_sift", forbidden)
    again = words_of(pictures, 16, tmp_path)
    assert torch.equal(again[0], words)
    assert torch.equal(again[1], counts)
    fewer = Subset(material.dataset, material.train[:-1])
    for other, count in ((fewer, 16), (pictures, 17)):
        with pytest.raises(AssertionError, match="looked at again"):
            words_of(other, count, tmp_path)


def test_what_was_prepared_and_then_broken_is_made_anew(tmp_path: Path) -> None:
    made = []

    def make() -> dict[str, npt.NDArray[np.int64]]:
        made.append(1)
        return {"numbers": np.arange(5)}

    for _ in range(2):
        found = prepared(tmp_path, "numbers", ("a", 1), make)
        assert found["numbers"].tolist() == [0, 1, 2, 3, 4]
    assert len(made) == 1
    (file,) = tmp_path.rglob("*.npz")
    file.write_bytes(file.read_bytes()[:50])
    prepared(tmp_path, "numbers", ("a", 1), make)
    prepared(tmp_path, "numbers", ("a", 2), make)
    assert len(made) == 3
    assert not list(tmp_path.rglob(".part-*"))


@pytest.fixture
def task(material: Material, tmp_path: Path) -> SIFTClusters:
    made = make_task("sift_clusters", material, 8, task_settings={"sift_clusters": {"words": 16}})
    assert isinstance(made, SIFTClusters)
    made.prepare(Subset(material.dataset, material.train), tmp_path, draws(0, 1))
    return made


def test_pseudo_labels_are_a_function_of_the_picture(
    task: SIFTClusters, material: Material
) -> None:
    batch = first_batch(task, material, 60)
    labels = task.views(batch, draws(0, 60))["pseudo_label"]
    again = task.pseudo_labels(batch["image"])
    # k-means moves its centroids once more after the last assignment.
    assert (again == labels).float().mean() > 0.9
    assert len(labels.unique()) > 3


def test_clusters_are_loaded_evenly(task: SIFTClusters, material: Material) -> None:
    order = task.before_epoch(lambda: torch.zeros(0), draws(0, 1)).order
    assert order is not None
    assert len(order) == len(material.train)
    sizes = task.assignments.bincount(minlength=task.clusters)
    loaded = task.assignments[order].bincount(minlength=task.clusters)
    assert sizes.max() > 2 * sizes.float().mean()
    assert loaded.max() <= len(order) // task.clusters + 1

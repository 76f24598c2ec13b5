"""The floor: components are the principal ones, patches are coded as in Coates 2011."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch
from torch import Tensor

from hotstart.data import Subset
from hotstart.downstream.classify import classify
from hotstart.encoders import EncoderSpec, build_encoder
from hotstart.encoders.fixed import PatchCentroids, PixelComponents
from hotstart.errors import UsageError
from hotstart.pretext.unsupervised import Kmeans, Pca
from hotstart.training.loop import Material
from hotstart.training.train import check_encoder
from tests.conformance.material import draws, make_task, material_from


@pytest.fixture(scope="module")
def material(class_folder: Path) -> Material:
    return material_from(class_folder)


def images(count: int, size: int = 32, seed: int = 0) -> Tensor:
    return torch.rand(count, 3, size, size, generator=torch.Generator().manual_seed(seed))


def test_components_are_those_of_the_singular_value_decomposition(material: Material) -> None:
    """The subspace loses no more than the best one of as many dimensions."""
    task = make_task("pca", material, 16)
    assert isinstance(task, Pca)
    rng = np.random.default_rng(0)
    few = rng.standard_normal((400, 12)) * 0.5 ** np.arange(12)
    directions = np.linalg.qr(rng.standard_normal((3072, 12)))[0]
    pixels = (few @ directions.T + 0.3).astype(np.float32) * 0.05 + 0.5
    pictures = torch.from_numpy(pixels).view(-1, 3, 32, 32)
    task.fit([pictures[:200], pictures[200:]], np.random.default_rng(1))
    left, whole = task.unexplained(pictures)
    assert float(left / whole) < 1e-4
    centred = pixels - pixels.mean(0)
    first = np.linalg.svd(centred, full_matrices=False)[2][:4]
    ours = task.encoder.directions[:, :4].numpy()
    np.testing.assert_allclose(np.abs(first @ ours), np.eye(4), atol=0.02)
    np.testing.assert_allclose(task.encoder.centre.numpy() + 0.5, pixels.mean(0), atol=1e-5)


def test_more_components_than_pictures_are_zero(material: Material) -> None:
    task = make_task("pca", material, 16)
    assert isinstance(task, Pca)
    task.fit([images(10)], np.random.default_rng(0))
    h = task.encoder(images(3, seed=1))
    assert h.shape == (3, 256)
    assert h[:, :9].abs().min() > 0
    assert torch.equal(h[:, 10:], torch.zeros(3, 246))


def test_patches_are_coded_as_the_paper_says() -> None:
    """A loop over patches and centroids, from section 3 of Coates 2011."""
    encoder = build_encoder(EncoderSpec(name="patch_centroids", size=12), seed=0)
    assert isinstance(encoder, PatchCentroids)
    encoder.middle.normal_(0, 0.1, generator=torch.Generator().manual_seed(1))
    encoder.whitening.normal_(0, 0.1, generator=torch.Generator().manual_seed(2))
    picture = images(1, 12)
    expected = np.zeros((256, 2, 2))
    counts = np.zeros((2, 2))
    places = 12 - 6 + 1
    for y in range(places):
        for x in range(places):
            patch = 255 * picture[0, :, y : y + 6, x : x + 6].double().numpy().reshape(-1)
            patch = (patch - patch.mean()) / np.sqrt(patch.var() + 10)
            white = (patch - encoder.middle.double().numpy()) @ encoder.whitening.double().numpy()
            z = np.linalg.norm(encoder.centroids.double().numpy() - white, axis=1)
            triangle = np.maximum(0, z.mean() - z)
            # Of seven places the middle one belongs to both halves.
            for v in {y * 2 // places, (2 * y + 1) // places} & {0, 1}:
                for u in {x * 2 // places, (2 * x + 1) // places} & {0, 1}:
                    expected[:, v, u] += triangle
                    counts[v, u] += 1
    h = encoder(picture)[0].view(256, 2, 2)
    np.testing.assert_allclose(h.numpy(), expected / counts, atol=1e-5)


def test_whitened_patches_are_round_and_centroids_fit_them(material: Material) -> None:
    task = make_task("kmeans", material, 16)
    assert isinstance(task, Kmeans)
    wide = torch.nn.functional.interpolate(images(60, 8), size=32, mode="bilinear")
    task.fit([wide[:30], wide[30:]], np.random.default_rng(0))
    points = task.encoder.whitened(task.encoder.patches(wide)).flatten(0, 1)
    variances = torch.linalg.eigvalsh(points.T.cov())
    assert variances.max() < 1.2
    assert points.mean(0).abs().max() < 0.1
    left, whole = task.unexplained(wide)
    assert 0.2 < 1 - float(left / whole) < 1


@pytest.mark.parametrize("name", ["pca", "kmeans"])
def test_the_same_seed_and_pictures_give_the_same_encoder(name: str, material: Material) -> None:
    subset = Subset(material.dataset, material.train[:40])
    states = []
    for seed in (0, 0, 1):
        task = make_task(name, material, 16)
        task.prepare(subset, Path("unused"), draws(seed, 40))
        states.append(task.encoder.state_dict())
    assert all(torch.equal(value, states[1][key]) for key, value in states[0].items())
    score = task.score([subset.batch(np.arange(16), ("image",))], draws(0, 1))
    assert score.metric == "explained_variance"
    assert 0 < score.value < 1
    assert score.trivial == 0


@pytest.mark.parametrize("name", ["pixel_components", "patch_centroids"])
@pytest.mark.parametrize("size", [8, 32, 50])
def test_any_picture_size_gives_finite_features(name: str, size: int) -> None:
    encoder = build_encoder(EncoderSpec(name=name, size=size), seed=0)
    h, stages = encoder.forward_stages(images(3, size))
    assert h.shape == (3, encoder.dim)
    assert torch.isfinite(h).all()
    assert stages == []
    with pytest.raises(UsageError, match="has no feature maps"):
        encoder.feature_map(images(1, size), 8)


def test_at_random_they_are_a_control_of_their_own() -> None:
    spec = EncoderSpec(name="pixel_components", size=32)
    one, same, other = (build_encoder(spec, seed) for seed in (0, 0, 1))
    assert isinstance(one, PixelComponents)
    assert torch.equal(one(images(2)), same(images(2)))
    assert not torch.equal(one(images(2)), other(images(2)))
    assert not list(one.parameters())


def test_what_cannot_learn_is_not_fine_tuned(material: Material) -> None:
    encoder = build_encoder(EncoderSpec(name="patch_centroids", size=32), seed=0)
    with pytest.raises(UsageError, match="patch_centroids has no weights that learn, so finetune"):
        classify(encoder, material.dataset, protocols=("knn", "finetune"))


def test_an_encoder_that_a_task_cannot_train_is_said_at_once() -> None:
    with pytest.raises(UsageError, match=r"pca trains a fixed, .* it takes pixel_components"):
        check_encoder("pca", "resnet10_narrow")
    with pytest.raises(UsageError, match="rotation trains a cnn or a vit, got --encoder 'pixel_"):
        check_encoder("rotation", "pixel_components")


def test_the_test_split_is_not_prepared_from(material: Material) -> None:
    """Positions of the pretraining set alone."""
    subset = Subset(material.dataset, material.train[5:])
    batch = subset.batch(np.array([0, 2]), ("image", "index"))
    whole = material.dataset.batch(material.train[[5, 7]], ("image",))["image"]
    assert torch.equal(batch["image"][1], whole[1])
    assert batch["index"].tolist() == [0, 2]
    assert len(subset) == len(material.train) - 5
    assert subset.fingerprint != Subset(material.dataset, material.train).fingerprint

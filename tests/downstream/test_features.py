"""Features: right, in order, and taken without leaving a trace in the encoder."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from torch import nn

from hotstart.augment import centre_view
from hotstart.data import Dataset
from hotstart.downstream.features import Standardiser, extract, recalibrate_batchnorm
from hotstart.encoders import Encoder, build_encoder, resolve_spec
from tests.downstream.traces import same_state, trace

CPU = torch.device("cpu")


def test_features_are_the_encoders_and_in_order(
    digits: Dataset, encoder: Encoder, rng: np.random.Generator
) -> None:
    items = rng.permutation(len(digits))[:300]
    features = extract(encoder, digits, items, device=CPU)
    encoder.eval()
    few = [0, 1, 255, 256, 299]
    with torch.no_grad():
        images = centre_view(digits.batch(items[few], {"image"})["image"], 32)
        h, maps = encoder.forward_stages(images)
    torch.testing.assert_close(features.last[few], h, rtol=1e-4, atol=1e-5)
    assert [stage.shape[1] for stage in features.stages] == list(encoder.stage_dims)
    for stage, expected in zip(features.stages, maps, strict=True):
        torch.testing.assert_close(stage[few], expected.mean(dim=(2, 3)), rtol=1e-4, atol=1e-5)


def test_stages_can_be_left_out(digits: Dataset, encoder: Encoder) -> None:
    features = extract(encoder, digits, np.arange(5), device=CPU, stages=False)
    assert features.stages == ()
    assert features.last.shape == (5, encoder.dim)


def test_extraction_leaves_no_trace(digits: Dataset, encoder: Encoder) -> None:
    encoder.get_submodule("model.layer1").eval()
    before = trace(encoder)
    extract(encoder, digits, np.arange(40), device=CPU)
    assert same_state(before, trace(encoder))


def test_standardiser() -> None:
    features = torch.tensor([[1.0, 5.0, 1e4], [3.0, 5.0, 1e4 + 2]])
    standardise = Standardiser.fit(features)
    expected = torch.tensor([[-1.0, 0.0, -1.0], [1.0, 0.0, 1.0]])
    torch.testing.assert_close(standardise(features), expected)


@pytest.mark.parametrize("count", [100, 600])
def test_recalibration_estimates_mean_and_variance(
    digits: Dataset, encoder: Encoder, count: int
) -> None:
    before = {name: part.clone() for name, part in encoder.named_parameters()}
    recalibrate_batchnorm(encoder, digits, np.arange(count))
    assert encoder.training
    for name, part in encoder.named_parameters():
        assert torch.equal(part, before[name])
    norm = encoder.get_submodule("model.bn1")
    assert isinstance(norm, nn.BatchNorm2d)
    assert norm.momentum == 0.1
    # 600 pictures are two whole batches of 256.
    used = np.arange(count if count < 256 else 512)
    seen = []
    hook = norm.register_forward_pre_hook(lambda _, given: seen.append(given[0]))
    encoder.eval()
    with torch.no_grad():
        encoder(centre_view(digits.batch(used, {"image"})["image"], 32))
    hook.remove()
    mean = seen[0].mean(dim=(0, 2, 3))
    torch.testing.assert_close(norm.running_mean, mean, rtol=1e-3, atol=1e-3)
    spread = seen[0].var(dim=(0, 2, 3))
    torch.testing.assert_close(norm.running_var, spread, rtol=0.02, atol=1e-3)


def test_recalibration_is_deterministic_and_needs_no_batchnorm(
    digits: Dataset, encoder: Encoder
) -> None:
    recalibrate_batchnorm(encoder, digits, np.arange(100))
    first = trace(encoder)
    recalibrate_batchnorm(encoder, digits, np.arange(100))
    assert same_state(first, trace(encoder))
    plain = nn.Sequential(nn.Linear(2, 2))
    recalibrate_batchnorm(plain, digits, np.arange(100))  # type: ignore[arg-type]


def test_one_picture_is_enough(digits: Dataset) -> None:
    """Its last map is one place: there is no spread to be estimated, and no reason to fail."""
    encoder = build_encoder(resolve_spec("resnet10_narrow", 8), seed=0)
    recalibrate_batchnorm(encoder, digits, np.arange(1))
    assert extract(encoder, digits, np.arange(3), device=CPU, stages=False).last.isfinite().all()

"""Encoders: shapes, strides, determinism, files."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
from torch import nn

from hotstart.config import Stem
from hotstart.encoders import (
    ChannelWiseLinear,
    ConvDecoder,
    ConvDiscriminator,
    Encoder,
    EncoderSpec,
    Teacher,
    build_encoder,
    encoder_kind,
    fine_map,
    load_encoder,
    mlp,
    resolve_spec,
    save_encoder,
)
from hotstart.encoders.foreign import encoder_from_weights
from hotstart.encoders.vit import VitEncoder
from hotstart.errors import DataError, UsageError

NAMES = ["resnet10_narrow", "resnet10t", "vit_tiny_depth6", "convnext_atto", "resnet18"]


def images(size: int, count: int = 2) -> torch.Tensor:
    return torch.rand(count, 3, size, size, generator=torch.Generator().manual_seed(0))


@pytest.mark.parametrize("name", NAMES)
def test_stages_have_the_dimensions_and_strides_they_claim(name: str) -> None:
    encoder = build_encoder(resolve_spec(name, 64), 0).eval()
    h, maps = encoder.forward_stages(images(64))
    assert h.shape == (2, encoder.dim)
    torch.testing.assert_close(h, encoder(images(64)))
    assert [m.shape[1] for m in maps] == list(encoder.stage_dims)
    assert [64 // m.shape[2] for m in maps] == list(encoder.stage_strides)


@pytest.mark.parametrize("name", ["resnet10_narrow", "resnet18", "convnext_atto"])
def test_dilated_map_uses_the_same_weights_and_statistics(name: str) -> None:
    encoder = build_encoder(resolve_spec(name, 64, "timm"), 0)
    before = {k: v.clone() for k, v in encoder.state_dict().items()}
    encoder.train()
    out = encoder.feature_map(images(64), stride=8)
    assert out.shape[-2:] == (8, 8)
    out.sum().backward()
    stem = next(encoder.parameters())
    assert stem.grad is not None
    assert stem.grad.abs().sum() > 0
    if name.startswith("resnet"):
        changed = encoder.state_dict()["model.bn1.running_mean"]
        assert not torch.equal(changed, before["model.bn1.running_mean"])
    assert set(encoder.state_dict()) == set(before)
    assert encoder.feature_map(images(64), stride=32).shape[-2:] == (2, 2)


def test_small_stem_keeps_twice_the_resolution() -> None:
    small = build_encoder(resolve_spec("resnet10_narrow", 32), 0)
    timm = build_encoder(resolve_spec("resnet10_narrow", 32, "timm"), 0)
    assert small.spec.stem == "small"
    assert small.stages(images(32))[-1].shape[-1] == 2 * timm.stages(images(32))[-1].shape[-1]
    assert small.feature_map(images(32), stride=8).shape[-2:] == (4, 4)


@pytest.mark.parametrize(
    ("name", "stem", "size", "side"),
    [
        ("resnet10_narrow", "small", 32, 4),
        ("resnet10_narrow", "timm", 32, 4),
        ("resnet10_narrow", "small", 13, 4),
        ("resnet10_narrow", "small", 8, 2),
        ("resnet10_narrow", "small", 128, 8),
        ("vit_tiny_depth6", "small", 32, 8),
        ("efficientnet_b0", "timm", 32, 4),
        ("edgenext_xx_small", "timm", 32, 1),
    ],
)
def test_fine_maps_are_as_fine_as_the_picture_and_the_network_allow(
    name: str, stem: Stem, size: int, side: int
) -> None:
    encoder = build_encoder(resolve_spec(name, max(size, 32), stem), 0).eval()
    assert fine_map(encoder, images(size)).shape[-2:] == (side, side)


def test_vit_takes_any_picture_size_and_any_choice_of_tokens() -> None:
    vit = build_encoder(resolve_spec("vit_tiny_depth6", 32), 0).eval()
    tall = torch.rand(2, 3, 48, 32)
    assert vit(tall).shape == (2, vit.dim)
    everything = vit.tokens(images(32))
    all_kept = vit.tokens(images(32), keep=torch.arange(64).expand(2, 64))
    torch.testing.assert_close(everything, all_kept)
    assert vit.tokens(images(32), keep=torch.tensor([[0, 5, 9], [1, 2, 3]])).shape[1] == 4
    assert vit.feature_map(images(32), stride=4).shape == (2, vit.dim, 8, 8)


def test_a_hidden_patch_cannot_be_seen() -> None:
    vit = build_encoder(resolve_spec("vit_tiny_depth6", 32), 0).eval()
    seen = images(32)
    changed = seen.clone()
    changed[:, :, -4:, -4:] = 0
    keep = torch.arange(10).expand(2, 10)
    torch.testing.assert_close(vit.tokens(seen, keep), vit.tokens(changed, keep))


@pytest.mark.parametrize("name", ["resnet10_narrow", "vit_tiny_depth6"])
def test_file_gives_identical_features_and_identical_bytes(name: str, tmp_path: Path) -> None:
    encoder = build_encoder(resolve_spec(name, 32), 3).eval()
    save_encoder(encoder, tmp_path / "a.safetensors")
    again = load_encoder(tmp_path / "a.safetensors").eval()
    assert torch.equal(again(images(32)), encoder(images(32)))
    save_encoder(again, tmp_path / "b.safetensors")
    assert (tmp_path / "a.safetensors").read_bytes() == (tmp_path / "b.safetensors").read_bytes()


def test_seed_decides_the_weights_and_leaves_the_generator_alone() -> None:
    spec = resolve_spec("resnet10_narrow", 32)
    state = torch.get_rng_state()
    a, b, c = (build_encoder(spec, seed)(images(32)) for seed in (1, 1, 2))
    assert torch.equal(a, b)
    assert not torch.equal(a, c)
    assert torch.equal(torch.get_rng_state(), state)


def test_errors_say_what_is_allowed(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="resnet18"):
        encoder_kind("resnett18")
    with pytest.raises(UsageError, match="use --stem timm"):
        build_encoder(EncoderSpec(name="convnext_atto", size=32, stem="small"), 0)
    with pytest.raises(UsageError, match=r"stride 4 asked.*\[8, 16, 32\]"):
        build_encoder(resolve_spec("resnet18", 128), 0).feature_map(images(128), stride=4)
    cnn: Encoder = build_encoder(resolve_spec("resnet18", 64), 0)
    with pytest.raises(NotImplementedError, match="only a ViT"):
        cnn.tokens(images(64))
    broken = tmp_path / "broken.safetensors"
    broken.write_bytes(b"not a file of weights")
    with pytest.raises(DataError, match=r"broken\.safetensors"):
        load_encoder(broken)


def test_anyones_state_dict_is_read_under_any_prefix(tmp_path: Path) -> None:
    encoder = build_encoder(resolve_spec("resnet18", 64, "timm"), 5).eval()
    state = {f"backbone.{k.removeprefix('model.')}": v for k, v in encoder.state_dict().items()}
    torch.save({"state_dict": state}, tmp_path / "theirs.pt")
    read = encoder_from_weights(tmp_path / "theirs.pt", "resnet18", 64, "timm").eval()
    torch.testing.assert_close(read(images(64)), encoder(images(64)))
    with pytest.raises(DataError, match="only"):
        encoder_from_weights(tmp_path / "theirs.pt", "convnext_atto", 64)
    with pytest.raises(UsageError, match="--encoder NAME"):
        encoder_from_weights(tmp_path / "theirs.pt", None, 64)


def test_teacher_follows_slowly_and_never_learns() -> None:
    student = nn.Linear(3, 2)
    teacher = Teacher(student)
    weight = teacher.network.get_parameter("weight")
    start = weight.clone()
    student.weight.data.add_(1)
    teacher.update(student, ema_decay=0.9)
    torch.testing.assert_close(weight, start + 0.1)
    assert not any(p.requires_grad for p in teacher.parameters())
    assert not teacher(torch.ones(1, 3)).requires_grad


@pytest.mark.parametrize("statistics", [False, True])
def test_a_teacher_takes_over_statistics_where_asked(statistics: bool) -> None:
    student = nn.BatchNorm1d(2)
    teacher = Teacher(student, statistics=statistics)
    student(torch.ones(4, 2))
    teacher.update(student, ema_decay=0.5)
    mean = teacher.network.get_buffer("running_mean")
    torch.testing.assert_close(mean, torch.full((2,), 0.05 if statistics else 0.0))


def test_heads_have_their_shapes() -> None:
    assert mlp((8, 16, 4), last_norm=True)(torch.rand(5, 8)).shape == (5, 4)
    decoder = ConvDecoder(16, channels=2, doublings=3)
    assert decoder(torch.rand(2, 16, 4, 4)).shape == (2, 2, 32, 32)


@pytest.mark.parametrize("side", [2, 3, 16, 50])
def test_discriminator_gives_one_logit_a_picture_of_any_size(side: int) -> None:
    assert ConvDiscriminator(side, width=4)(torch.rand(5, 3, side, side)).shape == (5,)


def test_channel_wise_linear_mixes_places_and_no_channels() -> None:
    layer = ChannelWiseLinear(3, 4)
    features = torch.rand(2, 3, 2, 2)
    out = layer(features)
    for b in range(2):
        for c in range(3):
            for q in range(4):
                by_hand = sum(features[b, c].flatten()[p] * layer.weight[c, p, q] for p in range(4))
                torch.testing.assert_close(out[b, c].flatten()[q], by_hand)


def test_attention_is_what_the_last_block_takes_of_each_patch() -> None:
    """Against queries and keys multiplied by hand, and the encoder is left as it was."""
    encoder = build_encoder(resolve_spec("vit_tiny_depth6", 32), 0).eval()
    assert isinstance(encoder, VitEncoder)
    images = torch.rand(2, 3, 32, 32)
    with torch.no_grad():
        before = encoder(images)
        maps = encoder.attention(images)
        model, last = encoder.model, encoder.model.blocks[-1]
        tokens = model._pos_embed(model.patch_embed(encoder.normalise(images)))
        tokens = last.norm1(model.blocks[:-1](tokens))
        for row in range(2):
            mixed = last.attn.qkv(tokens[row]).view(len(tokens[row]), 3, maps.shape[1], -1)
            for head in range(maps.shape[1]):
                query, key = mixed[:, 0, head], mixed[:, 1, head]
                share = (query @ key.T / query.shape[1] ** 0.5).softmax(1)[1:, 1:].mean(0)
                torch.testing.assert_close(maps[row, head].flatten(), share)
        assert torch.equal(encoder(images), before)

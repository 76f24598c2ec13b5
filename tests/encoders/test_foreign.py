"""Anyone's encoder: timm's networks at sizes that are not their own, and files of their weights.

Nothing is downloaded: timm makes random weights, which are written as a file.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import timm
import torch
from safetensors.torch import save_file
from timm.layers.pos_embed import resample_abs_pos_embed
from timm.layers.pos_embed_rel import resize_rel_pos_bias_table_simple
from torchvision.transforms.v2.functional import normalize

from hotstart.encoders import (
    Encoder,
    build_encoder,
    encoder_kind,
    load_encoder,
    resolve_spec,
    save_encoder,
)
from hotstart.encoders.foreign import encoder_from_weights, timm_encoder
from hotstart.encoders.vit import VitEncoder
from hotstart.errors import DataError, UsageError

ANY_SIZE = [
    "resnet18",
    "mobilenetv3_small_050",
    "efficientnet_b0",
    "convnext_atto",
    "vit_tiny_patch16_224",
    "deit_tiny_patch16_224",
    "deit_tiny_distilled_patch16_224",
    "swin_tiny_patch4_window7_224",
]
VITS = ["vit_tiny_patch16_224", "deit_tiny_patch16_224", "deit_tiny_distilled_patch16_224"]
SMALL: dict[str, Any] = {"depth": 2, "embed_dim": 96, "num_heads": 3}
"""Of BEiT and EVA, whose smallest are large."""


def images(size: int, width: int | None = None) -> torch.Tensor:
    generator = torch.Generator().manual_seed(0)
    return torch.rand(1, 3, size, width or size, generator=generator)


def theirs(name: str, folder: Path, **options: Any) -> tuple[Any, Path]:
    """A timm network with its classifier, and a file of its weights."""
    torch.manual_seed(1)
    network = timm.create_model(name, num_classes=10, **options).eval()
    file = folder / "theirs.safetensors"
    save_file(network.state_dict(), file)
    return network, file


def smaller(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Let timm make `name` with few blocks, for a test of seconds."""
    make = timm.create_model

    def create(model: str, **options: Any) -> Any:
        return make(model, **(SMALL if model == name else {}), **options)

    monkeypatch.setattr(timm, "create_model", create)


@pytest.mark.parametrize("size", [96, 160, 256])
@pytest.mark.parametrize("name", [*ANY_SIZE, "vit_tiny_r_s16_p8_224"])
def test_timms_networks_are_read_at_any_size(name: str, size: int) -> None:
    encoder = build_encoder(resolve_spec(name, size, "timm"), 0).eval()
    with torch.no_grad():
        check_stages(encoder, images(size))
        check_stages(encoder, images(128, 192))


def check_stages(encoder: Encoder, asked: torch.Tensor) -> None:
    h, maps = encoder.forward_stages(asked)
    assert h.shape == (1, encoder.dim)
    torch.testing.assert_close(h, encoder(asked))
    sides = asked.shape[-2:]
    for found, dim, stride in zip(maps, encoder.stage_dims, encoder.stage_strides, strict=True):
        assert found.shape == (1, dim, sides[0] // stride, sides[1] // stride)
    last = encoder.feature_map(asked, encoder.stage_strides[-1])
    assert last.shape[2:] == maps[-1].shape[2:]


def test_the_class_decides_the_kind() -> None:
    kinds = {name: encoder_kind(name) for name in ANY_SIZE}
    assert {name for name, kind in kinds.items() if kind == "vit"} == set(VITS)
    assert encoder_kind("vit_tiny_r_s16_p8_224") == "vit"
    assert encoder_kind("eva02_tiny_patch14_224") == "cnn"
    assert resolve_spec("deit_tiny_patch16_224", 64).stem == "small"
    assert resolve_spec("vit_tiny_r_s16_p8_224", 64).stem == "timm", "a CNN makes its patches"


@pytest.mark.parametrize("name", ANY_SIZE)
def test_a_file_gives_timms_own_features_at_every_size(name: str, tmp_path: Path) -> None:
    network, file = theirs(name, tmp_path)
    told = network.pretrained_cfg
    if name.startswith(("vit", "deit", "swin")):
        loose = timm.create_model(name, num_classes=10, dynamic_img_size=True).eval()
        loose.load_state_dict(network.state_dict())
        network = loose
    for size in (160, 224, 256):
        encoder = encoder_from_weights(file, name, size, "timm").eval()
        with torch.no_grad():
            asked = images(size)
            as_expected = normalize(asked, told["mean"], told["std"])
            features = network.forward_features(as_expected)
            h = network.forward_head(features, pre_logits=True)
            torch.testing.assert_close(encoder(asked), h)


@pytest.mark.parametrize("name", VITS)
def test_a_vit_keeps_the_positions_of_its_file(name: str, tmp_path: Path) -> None:
    network, file = theirs(name, tmp_path)
    encoder = encoder_from_weights(file, name, 64, "timm").eval()
    assert isinstance(encoder, VitEncoder)
    torch.testing.assert_close(encoder.model.pos_embed, network.pos_embed)
    before = network.num_prefix_tokens
    resampled = resample_abs_pos_embed(network.pos_embed, [6, 6], num_prefix_tokens=before)
    blank = torch.zeros(1, 6, 6, network.embed_dim)
    with torch.no_grad():
        seen = encoder.model._pos_embed(blank)
    torch.testing.assert_close(seen[:, before:], resampled[:, before:])
    save_encoder(encoder, tmp_path / "ours.safetensors")
    again = load_encoder(tmp_path / "ours.safetensors").eval()
    with torch.no_grad():
        assert torch.equal(again(images(96)), encoder(images(96)))


def test_timms_own_weights_come_at_any_size(monkeypatch: pytest.MonkeyPatch) -> None:
    torch.manual_seed(1)
    network = timm.create_model("vit_tiny_patch16_224", num_classes=0, dynamic_img_size=True).eval()
    make = timm.create_model

    def create(name: str, pretrained: bool = False, **options: Any) -> Any:
        return network if pretrained else make(name, **options)

    monkeypatch.setattr(timm, "create_model", create)
    encoder = timm_encoder("vit_tiny_patch16_224", 96).eval()
    with torch.no_grad():
        torch.testing.assert_close(encoder(images(160)), network(encoder.normalise(images(160))))


def test_relative_positions_are_resampled_and_only_that_size_is_read(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    name = "beit_base_patch16_224"
    smaller(name, monkeypatch)
    network, file = theirs(name, tmp_path)
    encoder: Any = encoder_from_weights(file, name, 160).eval()
    with torch.no_grad():
        check_one_size(encoder, 160)
    for block, own in zip(network.blocks, encoder.model.blocks, strict=True):
        table = block.attn.relative_position_bias_table
        wanted = resize_rel_pos_bias_table_simple(table, (10, 10), (19 * 19 + 3, 3))
        torch.testing.assert_close(own.attn.relative_position_bias_table, wanted)
        torch.testing.assert_close(own.attn.qkv.weight, block.attn.qkv.weight)
    with pytest.raises(UsageError, match=r"160 x 160 px alone, for .* got 96 x 160"):
        encoder(images(160, 96))


def check_one_size(encoder: Encoder, size: int) -> None:
    h, maps = encoder.forward_stages(images(size))
    assert h.shape == (1, encoder.dim)
    assert {tuple(found.shape) for found in maps} == {(1, encoder.dim, size // 16, size // 16)}
    assert encoder.feature_map(images(size), 16).shape == maps[-1].shape


def test_positions_of_a_file_of_another_size(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    name = "eva02_tiny_patch14_224"
    smaller(name, monkeypatch)
    network, file = theirs(name, tmp_path, img_size=112)
    encoder: Any = encoder_from_weights(file, name, 224).eval()
    wanted = resample_abs_pos_embed(network.pos_embed, [16, 16], num_prefix_tokens=1)
    torch.testing.assert_close(encoder.model.pos_embed, wanted)
    with torch.no_grad():
        check_stages(encoder, images(140))
    with pytest.raises(UsageError, match="multiples of 14 px, got 160 x 160"):
        encoder(images(160))


def test_what_does_not_load_is_named(tmp_path: Path) -> None:
    network, file = theirs("vit_tiny_patch16_224", tmp_path)
    state = network.state_dict()
    lacking = {key: value for key, value in state.items() if not key.startswith("blocks.3.mlp")}
    torch.save({"state_dict": lacking}, tmp_path / "lacking.pt")
    told = r"only 146 of the encoder's 150 .* not blocks\.3\.mlp\.fc1\.weight \(768, 192\)"
    with pytest.raises(DataError, match=told):
        encoder_from_weights(tmp_path / "lacking.pt", "vit_tiny_patch16_224", 224)
    with pytest.raises(DataError, match=r"patch_embed.proj.weight \(192, 3, 8, 8\), there .*stem"):
        encoder_from_weights(file, "vit_tiny_patch16_224", 64)
    deeper = {**state, "blocks.12.norm1.weight": torch.ones(192)}
    torch.save(deeper, tmp_path / "deeper.pt")
    with pytest.raises(DataError, match=r"1 of its tensors .* blocks\.12\.norm1\.weight: .*large"):
        encoder_from_weights(tmp_path / "deeper.pt", "vit_tiny_patch16_224", 224)
    torch.save([torch.ones(2)], tmp_path / "list.pt")
    with pytest.raises(DataError, match="holds a list, and no tensors by their names"):
        encoder_from_weights(tmp_path / "list.pt", "vit_tiny_patch16_224", 224)


@pytest.mark.parametrize("name", ["convnext_atto", "mobilenetv3_small_050", "resnet18"])
def test_heads_and_counters_may_differ(name: str, tmp_path: Path) -> None:
    network, _ = theirs(name, tmp_path)
    state = {k: v for k, v in network.state_dict().items() if "num_batches" not in k}
    state |= {"projector.0.weight": torch.ones(2, 2)}
    torch.save({"model": state, "epoch": 3}, tmp_path / "own.pt")
    encoder = encoder_from_weights(tmp_path / "own.pt", name, 96, "timm").eval()
    with torch.no_grad():
        features = network.forward_features(encoder.normalise(images(96)))
        h = network.forward_head(features, pre_logits=True)
        torch.testing.assert_close(encoder(images(96)), h)


def test_what_cannot_be_read_says_what_can() -> None:
    with pytest.raises(UsageError, match=r"multiples of 16 px, got 100 x 100; give another --size"):
        build_encoder(resolve_spec("vit_tiny_patch16_224", 100), 0)(images(100))
    with pytest.raises(UsageError, match="sees what a CNN makes of the picture"):
        build_encoder(resolve_spec("vit_tiny_r_s16_p8_224", 64, "small"), 0)


def test_a_network_without_stages_says_what_works(monkeypatch: pytest.MonkeyPatch) -> None:
    network = timm.create_model("resnet18", num_classes=0)
    monkeypatch.setattr(type(network), "forward_intermediates", None)
    with pytest.raises(UsageError, match=r"resnet18 cannot be read stage by stage .* ConvNeXts"):
        build_encoder(resolve_spec("resnet18", 64), 0)

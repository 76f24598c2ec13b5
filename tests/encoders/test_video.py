"""Encoders of clips: shapes, frames, errors, files, gradients."""

from __future__ import annotations

import copy
from collections.abc import Iterator
from functools import cache
from pathlib import Path
from typing import Any

import pytest
import torch
import torchvision
from safetensors.torch import load_file
from torch import nn

from hotstart.encoders import (
    FrameEncoder,
    VideoEncoder,
    build_encoder,
    clip_map_shape,
    encoder_kind,
    load_encoder,
    resolve_spec,
    save_encoder,
)
from hotstart.encoders.foreign import encoder_from_weights
from hotstart.errors import UsageError

OWN = ["r3d10_narrow", "tube_vit_narrow_depth4", "frames:resnet10_narrow", "frames:vit_tiny_depth6"]
NAMES = [*OWN, "r3d_18", "r2plus1d_18", "s3d", "mvit_v2_s", "frames:convnext_atto"]


def build(name: str, size: int = 32, seed: int = 0) -> VideoEncoder:
    encoder = build_encoder(resolve_spec(name, size), seed)
    assert isinstance(encoder, VideoEncoder)
    return encoder


@cache
def ready(name: str, size: int = 32) -> VideoEncoder:
    """In evaluation mode; for tests that leave it as it is."""
    return build(name, size).eval()


def clips(frames: int, size: int = 32, count: int = 2) -> torch.Tensor:
    generator = torch.Generator().manual_seed(frames)
    return torch.rand(count, 3, frames, size, size, generator=generator)


@pytest.fixture(autouse=True, scope="module")
def memory() -> Iterator[None]:
    """The large ones are built once for all tests, and gone after them."""
    yield
    ready.cache_clear()


@torch.no_grad()
@pytest.mark.parametrize(
    ("name", "frames", "size"),
    [*((name, 8, 32) for name in NAMES), *((name, 8, 48) for name in OWN)],
)
def test_stages_have_the_dimensions_and_strides_they_claim(
    name: str, frames: int, size: int
) -> None:
    encoder, seen = ready(name), clips(frames, size)
    h, maps = encoder.forward_stages(seen)
    assert h.shape == (2, encoder.dim)
    torch.testing.assert_close(h, encoder(seen))
    assert [m.shape[1] for m in maps] == list(encoder.stage_dims)
    assert [frames // m.shape[2] for m in maps] == list(encoder.stage_frame_strides)
    assert [size // m.shape[3] for m in maps] == list(encoder.stage_strides)
    assert [m.shape[4] for m in maps] == [m.shape[3] for m in maps]


@torch.no_grad()
@pytest.mark.parametrize("name", [name for name in NAMES if name != "s3d"])
def test_any_number_of_frames_is_read(name: str) -> None:
    encoder = ready(name)
    strides = encoder.stage_frame_strides
    for frames in (1, 3, 5) if name in OWN else (1, 3):
        h, maps = encoder.forward_stages(clips(frames, count=1))
        assert h.shape == (1, encoder.dim)
        assert h.isfinite().all()
        assert [m.shape[2] for m in maps] == [-(-frames // stride) for stride in strides]


@torch.no_grad()
@pytest.mark.parametrize("size", [32, 96])
def test_the_default_for_clips_has_either_stem(size: int) -> None:
    encoder = ready("r3d10_narrow", size)
    assert encoder.spec.stem == ("small" if size == 32 else "timm")
    maps = encoder.stages(clips(4, size))
    assert [size // m.shape[3] for m in maps] == list(encoder.stage_strides)
    assert encoder.stage_strides[-1] == (16 if size == 32 else 32)


@torch.no_grad()
@pytest.mark.parametrize("name", ["r3d_18", "r2plus1d_18", "s3d", "mvit_v2_s"])
def test_torchvisions_network_gives_the_same_features(name: str) -> None:
    encoder, seen = ready(name), clips(6)
    with torch.device("meta"):
        theirs: Any = torchvision.models.get_model(name, weights=None).eval()
    theirs.fc = theirs.head = theirs.classifier = nn.Identity()
    theirs.load_state_dict(encoder.get_submodule("model").state_dict(), assign=True)
    if name == "s3d":  # The window that its mean is over is larger than this map.
        theirs.avgpool = nn.AdaptiveAvgPool3d(1)
    if name == "mvit_v2_s":  # It reads its grid from here, Hotstart from the clip.
        theirs.pos_encoding.temporal_size, theirs.pos_encoding.spatial_size = 3, (8, 8)
    torch.testing.assert_close(encoder(seen), theirs(normalised(seen)))


def normalised(seen: torch.Tensor) -> torch.Tensor:
    """By ImageNet's mean and deviation, one channel after the other."""
    mean, std = (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)
    return torch.stack([(seen[:, c] - mean[c]) / std[c] for c in range(3)], dim=1)


@torch.no_grad()
@pytest.mark.parametrize("name", OWN)
def test_the_order_of_frames_is_seen_by_all_but_the_mean_over_frames(name: str) -> None:
    encoder, seen = ready(name), clips(4)
    difference = (encoder(seen) - encoder(seen.flip(2))).abs().max()
    assert (difference < 1e-5) == name.startswith("frames:")


@torch.no_grad()
def test_feature_map_is_the_deepest_stage_at_a_stride() -> None:
    encoder, seen = ready("r3d10_narrow"), clips(4)
    maps = encoder.stages(seen)
    assert torch.equal(encoder.feature_map(seen, 2), maps[1])
    assert torch.equal(encoder.feature_map(seen, 8), maps[3])
    assert torch.equal(encoder.feature_map(seen, 32), maps[4])
    with pytest.raises(UsageError, match=r"stride 3 asked, it offers \[2, 4, 8, 16\]"):
        encoder.feature_map(seen, 3)
    assert clip_map_shape(encoder, 32, 4) == (256, 1, 2)
    assert clip_map_shape(ready("tube_vit_narrow_depth4"), 32, 4) == (96, 2, 8)


@torch.no_grad()
@pytest.mark.parametrize("name", ["resnet10_narrow", "vit_tiny_depth6", "convnext_atto"])
def test_frame_by_frame_is_the_image_encoder_on_each_averaged(name: str) -> None:
    video, image = ready(f"frames:{name}"), build_encoder(resolve_spec(name, 32), 0).eval()
    seen = clips(3)
    frames = torch.stack([seen[b, :, t] for b in range(2) for t in range(3)])
    h, maps = image.forward_stages(frames)
    assert torch.equal(
        video(seen), torch.stack([image(frames)[:3].mean(0), image(frames)[3:].mean(0)])
    )
    for mine, theirs in zip(video.stages(seen), maps, strict=True):
        assert torch.equal(mine, torch.stack([theirs[:3], theirs[3:]]).transpose(1, 2))
    assert torch.equal(video(seen[:, :, :1]), image(seen[:, :, 0]))
    alone = torch.stack([image(seen[:, :, t]) for t in range(3)]).mean(0)
    torch.testing.assert_close(video(seen), alone)
    assert h.shape == (6, video.dim)


@torch.no_grad()
def test_frame_by_frame_is_read_at_any_stride_of_the_image_encoder() -> None:
    video, seen = ready("frames:resnet10_narrow"), clips(3)
    assert isinstance(video, FrameEncoder)
    maps = video.feature_map(seen, 4)
    assert maps.shape == (2, 256, 3, 8, 8)
    torch.testing.assert_close(maps[:, :, 1], video.image.feature_map(seen[:, :, 1], 4))


def test_pictures_and_clips_share_one_file(tmp_path: Path) -> None:
    """The same weights by the same names, whichever of the two was trained."""
    image = build_encoder(resolve_spec("resnet10_narrow", 32), 3).eval()
    video = build("frames:resnet10_narrow", seed=3).eval()
    save_encoder(image, tmp_path / "image.safetensors")
    save_encoder(video, tmp_path / "video.safetensors")
    a, b = (load_file(tmp_path / f"{kind}.safetensors") for kind in ("image", "video"))
    assert a.keys() == b.keys()
    assert all(torch.equal(a[name], b[name]) for name in a)

    seen = clips(3)
    as_video = FrameEncoder(load_encoder(tmp_path / "image.safetensors")).eval()
    assert as_video.spec == video.spec
    assert torch.equal(as_video(seen), video(seen))
    as_image = load_encoder(tmp_path / "video.safetensors").eval()
    assert isinstance(as_image, FrameEncoder)
    assert as_image.image.spec == image.spec
    assert torch.equal(as_image.image(seen[:, :, 0]), image(seen[:, :, 0]))


def test_training_by_clips_trains_the_image_encoder_itself() -> None:
    image = build_encoder(resolve_spec("resnet10_narrow", 32), 0)
    video = FrameEncoder(image)
    assert [id(p) for p in video.parameters()] == [id(p) for p in image.parameters()]
    before = image(clips(1)[:, :, 0])
    video(clips(3)).square().sum().backward()
    torch.optim.SGD(video.parameters(), lr=0.1).step()
    assert not torch.equal(image(clips(1)[:, :, 0]), before)


@pytest.mark.parametrize("name", ["frames:resnet10_narrow", "r3d10_narrow"])
def test_anyones_state_dict_is_read(name: str, tmp_path: Path) -> None:
    theirs = build_encoder(resolve_spec(name.removeprefix("frames:"), 32), 5)
    state = {k.removeprefix("model."): v for k, v in theirs.state_dict().items()}
    torch.save({"state_dict": state}, tmp_path / "theirs.pt")
    read = encoder_from_weights(tmp_path / "theirs.pt", name, 32).eval()
    with torch.no_grad():
        assert torch.equal(read(clips(3)), build(name, seed=5).eval()(clips(3)))


@pytest.mark.parametrize("name", OWN)
def test_file_gives_identical_features_and_identical_bytes(name: str, tmp_path: Path) -> None:
    encoder, seen = build(name, seed=3).eval(), clips(4)
    save_encoder(encoder, tmp_path / "a.safetensors")
    again = load_encoder(tmp_path / "a.safetensors").eval()
    assert again.spec == encoder.spec
    with torch.no_grad():
        assert torch.equal(again(seen), encoder(seen))
    save_encoder(again, tmp_path / "b.safetensors")
    assert (tmp_path / "a.safetensors").read_bytes() == (tmp_path / "b.safetensors").read_bytes()


@torch.no_grad()
@pytest.mark.parametrize("name", OWN)
def test_seed_decides_the_weights_and_leaves_the_generator_alone(name: str) -> None:
    state = torch.get_rng_state()
    a, b, c = (build(name, seed=seed)(clips(4)) for seed in (1, 1, 2))
    assert torch.equal(a, b)
    assert not torch.equal(a, c)
    assert torch.equal(torch.get_rng_state(), state)


@pytest.mark.parametrize("name", NAMES)
def test_gradients_reach_all_parameters(name: str) -> None:
    encoder = copy.deepcopy(ready(name))
    for part in encoder.modules():
        if isinstance(part, nn.BatchNorm2d):  # timm's residual branches begin at a scale of 0.
            nn.init.ones_(part.weight)
    # Relative positions tell nothing where MViT's last map has but one place.
    size = 64 if name == "mvit_v2_s" else 32
    h, maps = encoder.forward_stages(clips(5, size, count=1))
    sum((out * torch.rand_like(out)).sum() for out in (h, maps[-1])).backward()  # type: ignore[union-attr]
    for key, weight in encoder.named_parameters():
        assert weight.grad is not None, key
        assert weight.grad.isfinite().all(), key
        assert weight.grad.abs().sum() > 0, key


@torch.no_grad()
@pytest.mark.parametrize("name", [name for name in NAMES if not name.startswith("frames:")])
def test_features_at_random_neither_fade_nor_grow(name: str) -> None:
    """With BatchNorm's statistics of no data, as on the first evaluation of all."""
    assert 0.02 < ready(name)(clips(6)).std() < 20


def test_errors_say_what_is_allowed() -> None:
    assert {encoder_kind(name) for name in NAMES} == {"video"}
    with pytest.raises(UsageError, match="nearest: r3d_18"):
        encoder_kind("r3d_19")
    with pytest.raises(UsageError, match="resnet18"):
        encoder_kind("frames:resnett18")
    for wrong, kind in [("r3d_18", "video"), ("pixel_components", "fixed")]:
        with pytest.raises(UsageError, match=f"{wrong} is a {kind} encoder"):
            encoder_kind(f"frames:{wrong}")
    with pytest.raises(UsageError, match="s3d: size 16 asked, it takes 17 px or more"):
        build("s3d", 16)
    with pytest.raises(UsageError, match="s3d: clips of 4 frames, it takes 5 or more"):
        ready("s3d")(clips(4))
    with pytest.raises(UsageError, match="s3d: frames of 16 x 16 px, it takes 17 or more"):
        ready("s3d")(clips(5, 16))
    for name in OWN:
        with pytest.raises(UsageError, match=r"\(B, 3, T, H, W\), got \(2, 3, 32, 32\); a picture"):
            ready(name)(clips(1)[:, :, 0])
        with pytest.raises(UsageError, match=r"got \(2, 4, 3, 32, 32\)"):
            ready(name)(clips(4).transpose(1, 2))
    with pytest.raises(UsageError, match="0 frames, it takes 1 or more"):
        ready("r3d10_narrow")(clips(1)[:, :, :0])
    for name in ("r3d_18", "mvit_v2_s"):
        with pytest.raises(UsageError, match="use --stem timm"):
            build_encoder(resolve_spec(name, 32, "small"), 0)
    with pytest.raises(UsageError, match="a tube ViT has"):
        ready("r3d10_narrow").tokens(clips(4))


@torch.no_grad()
def test_smallest_clips_that_s3d_reads() -> None:
    assert ready("s3d")(clips(5, 17)).isfinite().all()

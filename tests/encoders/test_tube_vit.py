"""The tube ViT: its tokens, places, and what it cannot read."""

from __future__ import annotations

import math

import pytest
import torch

from hotstart.encoders import build_encoder, resolve_spec
from hotstart.encoders.video_vit import TubeVitEncoder, places
from hotstart.errors import UsageError


def tube_vit(size: int = 32, stem: str = "auto") -> TubeVitEncoder:
    spec = resolve_spec("tube_vit_narrow_depth4", size, stem)  # type: ignore[arg-type]
    encoder = build_encoder(spec, 0).eval()
    assert isinstance(encoder, TubeVitEncoder)
    return encoder


def clips(frames: int = 4, size: int = 32) -> torch.Tensor:
    return torch.rand(2, 3, frames, size, size, generator=torch.Generator().manual_seed(0))


@torch.no_grad()
def test_tokens_are_the_blocks_run_on_the_kept_tubes() -> None:
    """Against tubes cut, embedded, placed and encoded one clip after the other."""
    encoder, seen = tube_vit(), clips()
    keep = torch.tensor([[3, 0, 77, 127], [64, 65, 1, 8]])
    said = encoder.tokens(seen, keep)
    mean, std = encoder.mean[0][:, None], encoder.std[0][:, None]
    weight, bias = encoder.model.embed.weight.flatten(1), encoder.model.embed.bias
    for row in range(2):
        tokens = []
        for place in keep[row].tolist():
            t, y, x = place // 64, place // 8 % 8, place % 8
            tube = seen[row, :, 2 * t : 2 * t + 2, 4 * y : 4 * y + 4, 4 * x : 4 * x + 4]
            tube = ((tube - mean) / std).flatten()
            tokens.append(weight @ tube + bias + place_by_hand((t, y, x), encoder.dim))
        hidden = torch.stack(tokens)[None]
        for block in encoder.model.blocks:
            hidden = block(hidden)
        torch.testing.assert_close(said[row], encoder.model.norm(hidden)[0], atol=1e-4, rtol=1e-4)


def place_by_hand(place: tuple[int, int, int], dim: int) -> torch.Tensor:
    """Sines of frame, row and column, then cosines; wave k of n has the rate 10000^(-k / n)."""
    waves = dim // 6
    angles = [i * 10000 ** (-k / waves) for i in place for k in range(waves)]
    return torch.tensor([math.sin(a) for a in angles] + [math.cos(a) for a in angles])


def test_places_are_told_apart_and_do_not_depend_on_the_grid() -> None:
    large, small = places((9, 4, 5), 96), places((2, 4, 5), 96)
    assert large.shape == (180, 96)
    assert torch.equal(large[:40], small)
    torch.testing.assert_close(large[3 * 20 + 2 * 5 + 4], place_by_hand((3, 2, 4), 96))
    assert torch.pdist(large).min() > 0.5


@torch.no_grad()
def test_all_kept_is_everything_and_h_is_the_mean() -> None:
    encoder, seen = tube_vit(), clips()
    tokens = encoder.tokens(seen)
    assert tokens.shape == (2, 2 * 8 * 8, encoder.dim)
    assert torch.equal(tokens, encoder.tokens(seen, torch.arange(128).expand(2, 128)))
    assert torch.equal(encoder(seen), tokens.mean(1))
    h, maps = encoder.forward_stages(seen)
    torch.testing.assert_close(h, encoder(seen))
    last = encoder.model.norm(maps[-1].flatten(2).transpose(1, 2))
    torch.testing.assert_close(last, tokens)
    placed = encoder.feature_map(seen, 4)
    assert placed.shape == (2, encoder.dim, 2, 8, 8)
    assert torch.equal(placed[0, :, 1, 2, 3], tokens[0, 64 + 2 * 8 + 3])


@torch.no_grad()
def test_a_hidden_tube_cannot_be_seen() -> None:
    encoder, seen = tube_vit(), clips()
    changed = seen.clone()
    changed[:, :, 2:, -4:, -4:] = 0
    keep = torch.arange(127).expand(2, 127)
    assert torch.equal(encoder.tokens(seen, keep), encoder.tokens(changed, keep))
    assert not torch.equal(encoder.tokens(seen), encoder.tokens(changed))


@torch.no_grad()
@pytest.mark.parametrize(("frames", "tubes"), [(1, 1), (2, 1), (5, 3), (12, 6)])
def test_any_number_of_frames_the_last_of_an_odd_one_seen_twice(frames: int, tubes: int) -> None:
    encoder, seen = tube_vit(), clips(frames)
    assert encoder.grid(seen) == (tubes, 8, 8)
    assert encoder.tokens(seen).shape == (2, tubes * 64, encoder.dim)
    if frames % 2:
        even = torch.cat([seen, seen[:, :, -1:]], dim=2)
        assert torch.equal(encoder(seen), encoder(even))


@torch.no_grad()
def test_frames_of_other_sizes_and_forms() -> None:
    encoder = tube_vit()
    tall = torch.rand(1, 3, 2, 48, 32)
    assert encoder.grid(tall) == (1, 12, 8)
    assert encoder.feature_map(tall, 4).shape == (1, encoder.dim, 1, 12, 8)
    assert tube_vit(96).patch_px == 16


def test_errors_say_which_sizes_work() -> None:
    with pytest.raises(UsageError, match=r"60 px .* patches of 7 px.* such as 56 or 63"):
        tube_vit(60)
    with pytest.raises(UsageError, match=r"100 px .* patches of 16 px.* such as 96 or 112"):
        tube_vit(100)
    with pytest.raises(UsageError, match=r"30 px .* patches of 4 px.* such as 28 or 32"):
        tube_vit()(clips(2, 30))
    with pytest.raises(UsageError, match=r"stride 8 asked, a ViT offers its patch size alone, 4"):
        tube_vit().feature_map(clips(), 8)

"""Transformers of clips: torchvision's MViT, and a small ViT whose patches are tubes."""

from __future__ import annotations

from typing import Any

import torch
from timm.layers.pos_embed_sincos import build_fourier_pos_embed
from timm.models import named_apply
from timm.models.vision_transformer import Block, init_weights_vit_timm
from torch import Tensor, nn
from torchvision.models.video import mvit_v2_s

from hotstart.encoders.encoder import EncoderSpec
from hotstart.encoders.networks import stage_ends
from hotstart.encoders.video import VideoEncoder
from hotstart.encoders.video_cnn import refuse_small_stem
from hotstart.errors import UsageError

TUBE_FRAMES = 2
TUBE_VITS: dict[str, dict[str, int]] = {
    "tube_vit_tiny_depth6": {"dim": 192, "depth": 6, "heads": 3},
    "tube_vit_narrow_depth4": {"dim": 96, "depth": 4, "heads": 3},
}


class TubeVit(nn.Module):
    """The weights of a ViT over tubes: their embedding, blocks, the last normalisation."""

    def __init__(self, *, dim: int, depth: int, heads: int, patch_px: int) -> None:
        super().__init__()
        tube = (TUBE_FRAMES, patch_px, patch_px)
        self.embed = nn.Conv3d(3, dim, tube, stride=tube)
        self.blocks = nn.ModuleList(Block(dim, heads, qkv_bias=True) for _ in range(depth))
        self.norm = nn.LayerNorm(dim, eps=1e-6)
        named_apply(init_weights_vit_timm, self)


class TubeVitEncoder(VideoEncoder):
    """A ViT whose tokens are tubes of 2 frames x p x p px; `h` is the mean of its tokens.

    Tong 2022 (VideoMAE, arXiv:2203.12602), section 3.3: tubes of 2 frames, attention over all of
    space and time, fixed places, no class token. Deviation: a place is the sine and cosine of its
    frame, row and column, a third of the features each (there: of one running number), so that any
    number of frames and any size have theirs. With the small stem p is an eighth of the size, else
    16. The last frame of an odd number of them is seen twice.
    """

    def __init__(self, spec: EncoderSpec) -> None:
        super().__init__(spec)
        self.patch_px = max(spec.size // 8, 1) if spec.stem == "small" else 16
        self._check_side(spec.size)
        self.model: Any = TubeVit(**TUBE_VITS[spec.name], patch_px=self.patch_px)
        self.dim = TUBE_VITS[spec.name]["dim"]
        self.stage_blocks = stage_ends(len(self.model.blocks))
        self.stage_dims = (self.dim,) * len(self.stage_blocks)
        self.stage_strides = (self.patch_px,) * len(self.stage_blocks)
        self.stage_frame_strides = (TUBE_FRAMES,) * len(self.stage_blocks)

    def forward(self, clips: Tensor) -> Tensor:
        return self.tokens(clips).mean(1)

    def forward_stages(self, clips: Tensor) -> tuple[Tensor, list[Tensor]]:
        hidden = self._embedded(clips)
        maps: list[Tensor] = []
        for i, block in enumerate(self.model.blocks):
            hidden = block(hidden)
            if i in self.stage_blocks:
                maps.append(self._as_map(hidden, clips))
        return self.model.norm(hidden).mean(1), maps

    def feature_map(self, clips: Tensor, stride: int) -> Tensor:
        """The tokens, laid out as a map (B, D, T', H', W')."""
        if stride != self.patch_px:
            raise UsageError(
                f"{self.spec.name}: stride {stride} asked, a ViT offers its patch size alone, "
                f"{self.patch_px}"
            )
        return self._as_map(self.tokens(clips), clips)

    def tokens(self, clips: Tensor, keep: Tensor | None = None) -> Tensor:
        """Normalised tokens of the last block, (B, L or K, D), L = T' H' W'; no class token.

        keep: int64 (B, K), the tubes to encode, counted frames first, then rows, then columns; the
        others are never seen.
        """
        hidden = self._embedded(clips)
        if keep is not None:
            hidden = hidden.gather(1, keep.unsqueeze(-1).expand(-1, -1, self.dim))
        for block in self.model.blocks:
            hidden = block(hidden)
        normed: Tensor = self.model.norm(hidden)
        return normed

    def grid(self, clips: Tensor) -> tuple[int, int, int]:
        """How many tubes there are of (B, 3, T, H, W): T' in time, H' rows, W' columns."""
        frames, height, width = clips.shape[2:]
        # Not -(-frames // 2): a graph's division of integers is towards zero.
        tubes = (frames + TUBE_FRAMES - 1) // TUBE_FRAMES
        return tubes, height // self.patch_px, width // self.patch_px

    def _embedded(self, clips: Tensor) -> Tensor:
        """(B, 3, T, H, W) -> tokens before the first block, (B, L, D), each told its place."""
        normal = self.normalise(clips)
        for side in clips.shape[3:]:
            self._check_side(side)
        # An exported graph is for any number of frames: one more than even makes no tube more.
        if torch.compiler.is_exporting() or clips.shape[2] % TUBE_FRAMES:
            normal = torch.cat([normal, normal[:, :, -1:]], dim=2)
        tokens = self.model.embed(normal).flatten(2).transpose(1, 2)
        embedded: Tensor = tokens + places(self.grid(clips), self.dim).to(tokens)
        return embedded

    def _as_map(self, tokens: Tensor, clips: Tensor) -> Tensor:
        maps: Tensor = tokens.transpose(1, 2).unflatten(2, self.grid(clips))
        return maps

    def _check_side(self, side: int) -> None:
        if side % self.patch_px or side == 0:
            below = max(side // self.patch_px, 1) * self.patch_px
            raise UsageError(
                f"{self.spec.name}: frames of {side} px cannot be cut into patches of "
                f"{self.patch_px} px; it takes multiples of that, such as {below} or "
                f"{below + self.patch_px}"
            )


def places(grid: tuple[int, int, int], dim: int) -> Tensor:
    """Sine and cosine of frame, row and column of each place in `grid`, (L, dim), in raster order.

    Vaswani 2017 (arXiv:1706.03762), section 3.5, for each of the three; dim: a multiple of 6.
    """
    waves = build_fourier_pos_embed(list(grid), num_bands=dim // 6, in_pixels=False)
    return torch.cat([wave.flatten(0, 2).flatten(1) for wave in waves], dim=1)


class MvitEncoder(VideoEncoder):
    """Torchvision's MViTv2-S (Li 2022, arXiv:2112.01526); `h` is its class token, normalised.

    A stage ends where the map is halved next; the last one's map is normalised. Relative positions
    are those of 16 frames of 224 px, interpolated for other clips, as the paper does. Deviation: no
    stochastic depth, as timm's networks have none unless asked.
    """

    def __init__(self, spec: EncoderSpec) -> None:
        refuse_small_stem(spec)
        super().__init__(spec)
        self.model: Any = mvit_v2_s(weights=None, stochastic_depth_prob=0.0)
        del self.model.head
        self.dim = 768
        self.stage_dims = (96, 192, 384, 768)
        self.stage_strides = (4, 8, 16, 32)
        self.stage_frame_strides = (2, 2, 2, 2)

    def forward(self, clips: Tensor) -> Tensor:
        return self.forward_stages(clips)[0]

    def forward_stages(self, clips: Tensor) -> tuple[Tensor, list[Tensor]]:
        model = self.model
        patches = model.conv_proj(self.normalise(clips))
        grid = tuple(patches.shape[2:])
        tokens = model.pos_encoding(patches.flatten(2).transpose(1, 2))
        maps: list[Tensor] = []
        for block in model.blocks:
            if block.pool_skip is not None:
                maps.append(_after_class_token(tokens, grid))
            tokens, grid = block(tokens, grid)
        tokens = model.norm(tokens)
        return tokens[:, 0], [*maps, _after_class_token(tokens, grid)]


def _after_class_token(tokens: Tensor, grid: tuple[int, ...]) -> Tensor:
    """(B, 1 + L, D) -> (B, D, T', H', W')."""
    maps: Tensor = tokens[:, 1:].transpose(1, 2).unflatten(2, grid)
    return maps

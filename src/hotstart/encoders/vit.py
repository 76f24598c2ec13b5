"""Vision transformers: any timm ViT, for pictures of any size, and a small one."""

from __future__ import annotations

from typing import Any, ClassVar

import timm
import torch
from timm.models.vision_transformer import VisionTransformer
from torch import Tensor

from hotstart.encoders.encoder import Encoder, EncoderSpec, Kind
from hotstart.encoders.networks import cuts_patches, grid_side, outline, stage_ends
from hotstart.errors import UsageError

OWN: dict[str, dict[str, Any]] = {
    "vit_tiny_depth6": {"embed_dim": 192, "depth": 6, "num_heads": 3, "global_pool": "avg"},
    "vit_narrow_depth4": {"embed_dim": 96, "depth": 4, "num_heads": 3, "global_pool": "token"},
}


def create_vit(spec: EncoderSpec) -> Any:
    """The timm network of `spec`, without its classifier, open to any picture size.

    The small stem cuts the picture into 8 x 8 patches, whatever its size.
    """
    options: dict[str, Any] = {"img_size": spec.size, "dynamic_img_size": True, "num_classes": 0}
    if spec.stem == "small":
        if not vit_has_small_stem(spec.name):
            raise UsageError(
                f"--stem small: {spec.name} sees what a CNN makes of the picture, and no patches; "
                "use --stem timm, or a ViT such as vit_tiny_patch16_224"
            )
        options["patch_size"] = max(spec.size // 8, 1)
    if spec.name in OWN:
        options.setdefault("patch_size", 16)
        return VisionTransformer(fc_norm=False, **OWN[spec.name], **options)
    return timm.create_model(spec.name, **options)


def vit_has_small_stem(name: str) -> bool:
    """Whether its patches may be of another size: not where a CNN makes them."""
    return name in OWN or cuts_patches(outline(name))


class VitEncoder(Encoder):
    """A timm ViT or DeiT; `h` is its class token or the mean of its patch tokens, as there."""

    kind: ClassVar[Kind] = "vit"

    def __init__(self, spec: EncoderSpec) -> None:
        super().__init__(spec)
        self.model = create_vit(spec)
        self.normalise_as(self.model)
        self.dim = int(self.model.num_features)
        self.stage_blocks = stage_ends(len(self.model.blocks))
        self.patch_px = int(self.model.patch_embed.feat_ratio())
        self.multiple_px = self.patch_px
        self.stage_dims = (self.dim,) * len(self.stage_blocks)
        self.stage_strides = (self.patch_px,) * len(self.stage_blocks)

    def take_grid(self, positions: Tensor) -> None:
        """Hold position embeddings on the grid of `positions`, (1, prefix + side * side, D).

        They are resampled to the grid of each picture. Those that were learnt elsewhere stay on the
        grid that they were learnt on, so that it is done once and not twice.
        """
        own = self.model.pos_embed
        if own is None or own.shape == positions.shape or positions.ndim != 3:
            return
        side = grid_side(self.model, positions)
        if side is not None:
            self.model.set_input_size(img_size=(side * self.patch_px, side * self.patch_px))

    def forward(self, images: Tensor) -> Tensor:
        h: Tensor = self.model(self.normalise(images))
        return h

    def forward_stages(self, images: Tensor) -> tuple[Tensor, list[Tensor]]:
        last, maps = self.model.forward_intermediates(
            self.normalise(images), indices=self.stage_blocks
        )
        return self.model.forward_head(last, pre_logits=True), maps

    def feature_map(self, images: Tensor, stride: int) -> Tensor:
        """The patch tokens of the last block, laid out as a map."""
        if stride != self.patch_px:
            raise UsageError(
                f"{self.spec.name}: stride {stride} asked, a ViT offers its patch size alone, "
                f"{self.patch_px}"
            )
        patches = self.tokens(images)[:, self.model.num_prefix_tokens :]
        rows, columns = (side // self.patch_px for side in images.shape[-2:])
        return patches.transpose(1, 2).reshape(len(images), self.dim, rows, columns)

    def tokens(self, images: Tensor, keep: Tensor | None = None) -> Tensor:
        """Normalised tokens of the last block, (B, prefix + L or K, D), the class token first.

        keep: int64 (B, K), the patches to encode; the others are never seen (He 2022, MAE).
        """
        model = self.model
        embedded = model._pos_embed(model.patch_embed(self.normalise(images)))
        if keep is not None:
            prefix = embedded[:, : model.num_prefix_tokens]
            rows = keep.unsqueeze(-1).expand(-1, -1, embedded.shape[-1])
            patches = embedded[:, model.num_prefix_tokens :].gather(1, rows)
            embedded = torch.cat([prefix, patches], dim=1)
        hidden: Tensor = model.norm(model.blocks(model.norm_pre(embedded)))
        return hidden

    @torch.no_grad()
    def attention(self, images: Tensor) -> Tensor:
        """Where each head of the last block looks: (B, heads, rows, columns) of patches.

        The attention of the class token, as in Caron 2021 (DINO, arXiv:2104.14294), figure 1; where
        `h` is the mean of the patch tokens, the mean of theirs, which is what `h` takes of each
        patch. Shares of all tokens: a head's map sums to 1 less what it gives to the class token.
        """
        model, prefix = self.model, self.model.num_prefix_tokens
        block = model.blocks[-1].attn
        seen: list[Tensor] = []
        fused, block.fused_attn = block.fused_attn, False
        # Fused attention never makes the matrix; unfused, it passes through the dropout layer.
        watch = block.attn_drop.register_forward_hook(lambda _, __, made: seen.append(made))
        try:
            self(images)
        finally:
            watch.remove()
            block.fused_attn = fused
        queries = slice(0, 1) if model.global_pool == "token" else slice(prefix, None)
        maps = seen[0][:, :, queries, prefix:].mean(2)
        rows, columns = (side // self.patch_px for side in images.shape[-2:])
        return maps.reshape(len(images), -1, rows, columns)

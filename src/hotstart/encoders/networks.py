"""What timm's networks are, and pictures of which sides each of them reads."""

from __future__ import annotations

import inspect
import math
from functools import lru_cache
from typing import Any, Literal

import timm
import torch
from timm.layers.patch_embed import PatchEmbed
from timm.models.vision_transformer import VisionTransformer
from torch import Tensor

MAX_STAGES = 6
WHAT_WORKS = (
    "what reads pictures of any size: ResNets, ConvNeXts, EfficientNets, MobileNets, Swins, EVAs, "
    "ViTs and DeiTs, such as resnet18 or vit_tiny_patch16_224"
)


@lru_cache(maxsize=64)
def outline(name: str) -> Any:
    """Timm's network `name` without its classifier and, where it can be had so, without weights.

    For what its class can do; nothing is to be computed with it.
    """
    try:
        with torch.device("meta"):
            return timm.create_model(name, num_classes=0)
    except (NotImplementedError, RuntimeError):
        with torch.random.fork_rng(devices=[]):
            return timm.create_model(name, num_classes=0)


def timm_kind(name: str) -> Literal["cnn", "vit"]:
    """`vit`: a stack of blocks on the tokens of patches, as timm's `VisionTransformer` is.

    Everything else is read as a CNN is, by its maps, be they made by convolutions or not.
    """
    return "vit" if isinstance(outline(name), VisionTransformer) else "cnn"


def cuts_patches(network: Any) -> bool:
    """Whether its pictures are cut into patches by one convolution, of whatever size."""
    return isinstance(getattr(network, "patch_embed", None), PatchEmbed)


def size_options(name: str, size: int) -> dict[str, Any]:
    """With what timm builds `name` to read pictures of any size; else of `size` px alone.

    Where any size is read, positions and windows stay as the network's own weights have them.
    """
    accepted = inspect.signature(type(outline(name))).parameters
    if "dynamic_img_size" in accepted:
        return {"dynamic_img_size": True}
    if "strict_img_size" in accepted:
        return {"strict_img_size": False}
    return {"img_size": size} if "img_size" in accepted and _fixed(name) else {}


def only_size(name: str, size: int) -> int | None:
    """The one side in pixels that `name`, built by `size_options`, reads; None: many."""
    options = size_options(name, size)
    if not _fixed(name) or (options and "img_size" not in options):
        return None
    return size if options else int(outline(name).pretrained_cfg["input_size"][-1])


def _fixed(name: str) -> bool:
    """Whether timm says of `name` that it reads pictures of one size."""
    return bool(outline(name).pretrained_cfg.get("fixed_input_size", False))


def stage_ends(depth: int) -> list[int]:
    """The last block of each stage: up to `MAX_STAGES` of them, evenly spread."""
    count = min(depth, MAX_STAGES)
    return [round((i + 1) * depth / count) - 1 for i in range(count)]


def positions_before_patches(network: Any) -> int:
    """How many position embeddings stand before those of the patches: those of class tokens."""
    return 0 if getattr(network, "no_embed_class", False) else int(network.num_prefix_tokens)


def grid_side(network: Any, positions: Tensor) -> int | None:
    """The side of the grid of `positions`, (1, before + side * side, D); None: no square."""
    cells = positions.shape[1] - positions_before_patches(network)
    side = math.isqrt(max(cells, 0))
    return side if side and side * side == cells else None

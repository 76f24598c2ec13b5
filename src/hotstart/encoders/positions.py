"""Learnt positions of someone's weights, on the grid of the encoder that takes them over."""

from __future__ import annotations

import contextlib
from typing import Any

from timm.layers.pos_embed import resample_abs_pos_embed
from timm.layers.pos_embed_rel import resize_rel_pos_bias_table_simple
from torch import Tensor

from hotstart.encoders.networks import grid_side, positions_before_patches
from hotstart.encoders.vit import VitEncoder


def fit_positions(encoder: Any, state: dict[str, Tensor]) -> dict[str, Tensor]:
    """`state`, by the names of `encoder.model`, with positions on that network's grid.

    A ViT takes over the grid of `state` (`VitEncoder.take_grid`). Of other networks position
    embeddings and tables of relative positions are resampled by timm's bicubic helpers.
    Whatever is no square, or of other channels, stays as it is.
    """
    if isinstance(encoder, VitEncoder) and "pos_embed" in state:
        encoder.take_grid(state["pos_embed"])
    model, fitted = encoder.model, dict(state)
    for key, own in model.state_dict().items():
        theirs = state.get(key)
        if theirs is None or theirs.shape == own.shape or theirs.ndim != own.ndim:
            continue
        owner, _, name = key.rpartition(".")
        module = model.get_submodule(owner)
        if name == "relative_position_bias_table" and hasattr(module, "window_size"):
            # timm's finer `resize_rel_pos_bias_table` indexes as torch 2.9 no longer allows.
            with contextlib.suppress(AssertionError, RuntimeError, ValueError):
                fitted[key] = resize_rel_pos_bias_table_simple(
                    theirs, module.window_size, own.shape
                )
        elif key == "pos_embed" and theirs.shape[-1] == own.shape[-1] and theirs.ndim == 3:
            grid = getattr(getattr(model, "patch_embed", None), "grid_size", None)
            if grid and hasattr(model, "num_prefix_tokens") and grid_side(model, theirs):
                before = positions_before_patches(model)
                fitted[key] = resample_abs_pos_embed(theirs, list(grid), num_prefix_tokens=before)
    return fitted

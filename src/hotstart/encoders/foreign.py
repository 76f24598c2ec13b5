"""Anyone's weights as an encoder: timm's, or a file of them."""

from __future__ import annotations

import pickle
from pathlib import Path
from typing import Any

import timm
import torch
from safetensors import SafetensorError
from safetensors.torch import load_file
from torch import Tensor

from hotstart.config import Stem
from hotstart.encoders.build import build_encoder, resolve_spec
from hotstart.encoders.encoder import Encoder
from hotstart.errors import DataError, UsageError

WEIGHT_SUFFIXES = (".safetensors", ".pt", ".pth", ".bin", ".ckpt")
LEAST_SHARE = 0.5


def timm_encoder(name: str, size: int, stem: Stem = "timm") -> Encoder:
    """Timm's own weights for `name`; they are downloaded on first use."""
    encoder: Any = build_encoder(resolve_spec(name, size, "timm" if stem == "auto" else stem), 0)
    try:
        theirs = timm.create_model(name, pretrained=True, num_classes=0).state_dict()
    except Exception as error:
        raise DataError(
            f"timm:{name}: its weights could not be had ({str(error)[:200]}); "
            "check the name and the network, or give a file of weights"
        ) from None
    _fill(encoder.model, theirs, f"timm:{name}")
    return encoder  # type: ignore[no-any-return]


def encoder_from_weights(path: Path, name: str | None, size: int, stem: Stem = "auto") -> Encoder:
    """A state dict (safetensors, or a torch file read without running code) for `name`."""
    if name is None:
        raise UsageError(f"{path} holds weights alone: say of which network, --encoder NAME")
    try:
        if path.suffix == ".safetensors":
            state: Any = load_file(path)
        else:
            state = torch.load(path, map_location="cpu", weights_only=True)
    except (OSError, SafetensorError, RuntimeError, EOFError, pickle.UnpicklingError) as error:
        raise DataError(f"{path}: not a readable file of weights ({str(error)[:200]})") from None
    for inner in ("state_dict", "model", "teacher"):
        if isinstance(state, dict) and isinstance(state.get(inner), dict):
            state = state[inner]
    encoder: Any = build_encoder(resolve_spec(name, size, stem), 0)
    _fill(encoder.model, state, str(path))
    return encoder  # type: ignore[no-any-return]


def _fill(model: torch.nn.Module, state: dict[str, Tensor], source: str) -> None:
    """Load what fits, under whatever prefix it was saved; too little that fits is an error."""
    own = model.state_dict()
    prefixes = {""} | {key[: -len(k)] for k in own for key in state if key.endswith("." + k)}
    best = max(prefixes, key=lambda prefix: sum(prefix + key in state for key in own))
    fitting = {
        key: state[best + key]
        for key in own
        if best + key in state and state[best + key].shape == own[key].shape
    }
    if len(fitting) < LEAST_SHARE * len(own):
        raise DataError(
            f"{source}: only {len(fitting)} of the network's {len(own)} tensors are in it by name "
            "and shape; is --encoder (and --stem, --size) that of the file?"
        )
    model.load_state_dict(fitting, strict=False)

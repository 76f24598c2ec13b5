"""Anyone's weights as an encoder: timm's, or a file of them."""

from __future__ import annotations

import pickle
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import timm
import torch
from safetensors import SafetensorError
from safetensors.torch import load_file
from torch import Tensor, nn

from hotstart.config import Stem
from hotstart.encoders.build import build_encoder, filed, resolve_spec
from hotstart.encoders.encoder import Encoder
from hotstart.encoders.positions import fit_positions
from hotstart.errors import DataError, UsageError

WEIGHT_SUFFIXES = (".safetensors", ".pt", ".pth", ".bin", ".ckpt")
COUNTERS = "num_batches_tracked"
"""What BatchNorm counts and no encoder reads."""
BUFFERS = (COUNTERS, "relative_position_index", "attn_mask")
"""What older files hold and networks compute by themselves."""
TOLD = 3
"""Names of tensors in an error."""


def timm_encoder(name: str, size: int, stem: Stem = "timm") -> Encoder:
    """Timm's own weights for `name`; they are downloaded on first use."""
    encoder = build_encoder(resolve_spec(name, size, "timm" if stem == "auto" else stem), 0)
    try:
        theirs = timm.create_model(name, pretrained=True, num_classes=0).state_dict()
    except Exception as error:
        raise DataError(
            f"timm:{name}: its weights could not be had ({str(error)[:200]}); "
            "check the name and the network, or give a file of weights"
        ) from None
    _fill(encoder, theirs, f"timm:{name}")
    return encoder


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
    if not isinstance(state, Mapping):
        raise DataError(f"{path}: holds a {type(state).__name__}, and no tensors by their names")
    encoder = build_encoder(resolve_spec(name, size, stem), 0)
    _fill(encoder, state, str(path))
    return encoder


def _fill(encoder: Encoder, state: Mapping[str, Any], source: str) -> None:
    """Load all of the encoder from `state`, under whatever prefix it was saved.

    Positions are brought to the encoder's grid. Raises DataError where a tensor of the encoder is
    missing or of another shape, or where `state` has more of it than the encoder has; heads may be
    left over.
    """
    inner: Any = filed(encoder)
    model = inner.model
    theirs = fit_positions(inner, _by_own_names(model, state))
    own = model.state_dict()
    fitting = {
        key: theirs[key] for key in own if key in theirs and theirs[key].shape == own[key].shape
    }
    lacking = [key for key in own if key not in fitting and not key.endswith(COUNTERS)]
    if lacking:
        told = [f"{key} {_difference(own[key], theirs.get(key))}" for key in lacking[:TOLD]]
        raise DataError(
            f"{source}: only {len(fitting)} of the encoder's {len(own)} tensors are in it by name "
            f"and shape; not {', '.join(told)}{', ...' if len(lacking) > TOLD else ''}. Is "
            "--encoder (and --stem, --size) that of the file?"
        )
    parts = {key.partition(".")[0] for key in own}
    heads = _classifiers(model)
    beyond = [
        key
        for key in theirs
        if key not in own
        and key.partition(".")[0] in parts
        and not key.startswith(heads)
        and not key.endswith(BUFFERS)
    ]
    if beyond:
        raise DataError(
            f"{source}: {len(beyond)} of its tensors have no place in the encoder, such as "
            f"{', '.join(beyond[:TOLD])}: the file is of a larger network. Is --encoder that of "
            "the file?"
        )
    model.load_state_dict(fitting, strict=False)


def _by_own_names(model: nn.Module, state: Mapping[str, Any]) -> dict[str, Tensor]:
    """The tensors of `state` under the prefix with which most of the network's names are in it."""
    own = model.state_dict()
    prefixes = {""} | {key[: -len(k)] for k in own for key in state if key.endswith("." + k)}
    best = max(sorted(prefixes), key=lambda prefix: sum(prefix + key in state for key in own))
    return {
        key.removeprefix(best): tensor
        for key, tensor in state.items()
        if key.startswith(best) and isinstance(tensor, Tensor)
    }


def _difference(own: Tensor, theirs: Tensor | None) -> str:
    shape = tuple(own.shape)
    return f"{shape}" if theirs is None else f"{shape}, there {tuple(theirs.shape)}"


def _classifiers(model: nn.Module) -> tuple[str, ...]:
    """With what the names of the network's classifiers begin, which are no part of an encoder."""
    named = (getattr(model, "pretrained_cfg", None) or {}).get("classifier") or ()
    return tuple(f"{name}." for name in ((named,) if isinstance(named, str) else named))

"""Encoders with weights and statistics that no fresh network has, as files and as features."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from hotstart.encoders import Encoder, build_encoder, resolve_spec, save_encoder


def learnt(name: str, size: int, stem: Any = "auto") -> Encoder:
    """As after training: its normalisations have statistics, scales and shifts of their own."""
    encoder = build_encoder(resolve_spec(name, size, stem), seed=1).eval()
    generator = torch.Generator().manual_seed(2)
    for module in encoder.modules():
        if isinstance(module, nn.modules.batchnorm._BatchNorm):
            kept = [module.running_mean, module.running_var, module.weight.data, module.bias.data]
            for values in kept:
                assert values is not None
                values.add_(0.5 * torch.rand(values.shape, generator=generator))
    return encoder


def filed(encoder: Encoder, folder: Path) -> Path:
    path = folder / "learnt.safetensors"
    save_encoder(encoder, path)
    return path


def noise(*shape: int) -> Tensor:
    return torch.rand(shape, generator=torch.Generator().manual_seed(3))


@torch.no_grad()
def run(usage: str, **given: Any) -> Tensor:
    """What the lines that a user is given make of what is `given`: features (B, D)."""
    assert "hotstart" not in usage
    names: dict[str, Any] = dict(given)
    exec(usage, names)
    return torch.as_tensor(names["features"])


def close(found: Tensor, encoder: Encoder, batch: Tensor) -> None:
    with torch.no_grad():
        wanted = encoder(batch)
    assert found.shape == wanted.shape == (len(batch), encoder.dim)
    torch.testing.assert_close(found, wanted, rtol=0, atol=2e-5 * float(wanted.abs().max()))
    assert float(wanted.std(0).max()) > 1e-3, "all inputs look the same"

"""The weights alone, with all in the header that is needed to build the encoder again."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import safetensors

from hotstart.encoders import Encoder, load_encoder, save_encoder
from hotstart.export.artifact import Made, numbers, quoted, reads
from hotstart.export.parity import compare, example, features


def write_weights(encoder: Encoder, told: Mapping[str, str], place: Path, out: Path) -> Made:
    """Write the file `place`, to be called `out`, and load it back."""
    normalisation = {"mean": str(numbers(encoder.mean)), "std": str(numbers(encoder.std))}
    save_encoder(encoder, place, {"format": "pt", **told, **normalisation})
    inputs = [example(encoder)]
    parity = compare(
        features(encoder, inputs), features(load_encoder(place).eval(), inputs), inputs
    )
    return Made(
        parity,
        f"safetensors {safetensors.__version__}",
        reads(encoder),
        "from safetensors.torch import load_file\n"
        f"weights = load_file({quoted('', out)})  # by name; the header tells of which network",
    )

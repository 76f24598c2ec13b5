"""From a subject to an artifact of another library."""

from __future__ import annotations

from pathlib import Path

from hotstart.encoders import Encoder
from hotstart.errors import UsageError
from hotstart.export.artifact import Exported, Made, about, put
from hotstart.export.hotstart_weights import write_weights
from hotstart.export.timm_folder import write_timm
from hotstart.export.torchvision_weights import write_torchvision
from hotstart.league.subject import Subject


def write_export(subject: Subject, to: str, out: Path) -> Exported:
    """Write the encoder to `out` for `to`; what is there is whole and gives its features.

    Raises UsageError where `to` has no such network, ExportError where the features differ.
    """
    encoder = subject.encoder.eval()
    told = about(subject)
    made = put(out, lambda place: _write(encoder, to, told, place, out))
    return Exported(to, out, told, made)


def _write(encoder: Encoder, to: str, told: dict[str, str], place: Path, out: Path) -> Made:
    if to == "timm":
        return write_timm(encoder, told, place, out)
    if to == "torchvision":
        return write_torchvision(encoder, told, place, out)
    if to == "safetensors":
        return write_weights(encoder, told, place, out)
    if to == "onnx":
        from hotstart.export.onnx_graph import write_onnx  # its packages are an extra

        return write_onnx(encoder, told, place, out)
    raise UsageError(f"--to {to!r}: valid are timm, torchvision, onnx, safetensors")

"""An ONNX graph of an encoder, normalisation and a spectrogram's making inside."""

from __future__ import annotations

import logging
import warnings
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import onnxruntime
import torch
from torch import Tensor

from hotstart.encoders import Encoder, VideoEncoder
from hotstart.encoders.build import filed
from hotstart.encoders.video_vit import TubeVitEncoder
from hotstart.encoders.vit import VitEncoder
from hotstart.errors import ExportError
from hotstart.export.artifact import Made, quoted, reads
from hotstart.export.parity import another, compare, example, features, side_step

OPSET = 20
FATAL = 4
"""Of onnxruntime's levels of what is logged: what fails is told by an exception."""


def write_onnx(encoder: Encoder, told: Mapping[str, str], place: Path, out: Path) -> Made:
    """Write the file `place`, to be called `out`, and run it by onnxruntime.

    Any number of inputs and, where the network can be exported so, any sides, frames or length.
    """
    failures = []
    for fixed in (False, True) if _any_sides(encoder) else (True,):
        try:
            return _write(encoder, told, place, out, fixed=fixed)
        except Exception as error:  # Whatever a network that we do not know may raise.
            failures.append(f"{type(error).__name__}: {_first_line(error)}")
    raise ExportError(f"--to onnx: {encoder.spec.name} cannot be exported ({failures[-1]})")


def _any_sides(encoder: Encoder) -> bool:
    """Whether the graph may be for inputs of any sides, frames or length.

    Of attention within windows or over pooled tokens (Swin, MViT) torch works on the shapes for
    many minutes, or in vain.
    """
    inner: Any = filed(encoder)
    if inner.kind == "fixed" or inner.only_px is not None:
        return False
    plain = isinstance(inner, VitEncoder | TubeVitEncoder)
    return plain or not any("attn" in name for name, _ in inner.model.named_modules())


def _write(
    encoder: Encoder, told: Mapping[str, str], place: Path, out: Path, *, fixed: bool
) -> Made:
    inputs = [example(encoder), another(encoder, same_sides=fixed)]
    # Before the export: what the encoder keeps for the next time, as filters, must be real tensors.
    wanted = features(encoder, inputs)
    name, axes = _axes(encoder)
    dynamic = {0: "batch"} if fixed else axes
    with _quiet():
        program: Any = torch.onnx.export(
            encoder,
            (inputs[0],),
            input_names=[name],
            output_names=["features"],
            dynamic_shapes=(dynamic,),
            opset_version=OPSET,
            dynamo=True,
            verbose=False,
        )
    for node in program.model.graph:
        node.metadata_props.clear()  # where its line of Python lies on this machine
        node.doc_string = None
    program.model.metadata_props.update(told)
    program.save(place)

    options = onnxruntime.SessionOptions()
    options.log_severity_level = FATAL
    session = onnxruntime.InferenceSession(place, options, providers=["CPUExecutionProvider"])
    found = [torch.from_numpy(session.run(None, {name: batch.numpy()})[0]) for batch in inputs]
    return Made(
        compare(wanted, found, inputs),
        f"onnxruntime {onnxruntime.__version__}",
        _form(encoder, inputs[0], fixed=fixed),
        "import onnxruntime\n"
        f"session = onnxruntime.InferenceSession({quoted('', out)})\n"
        f'(features,) = session.run(None, {{"{name}": {name}}})',
        _notes(encoder, fixed=fixed),
    )


def _axes(encoder: Encoder) -> tuple[str, dict[int, str]]:
    """What the input is called, and its axes of any length."""
    if encoder.kind == "audio":
        return "sounds", {0: "batch", 1: "samples"}
    if isinstance(encoder, VideoEncoder):
        return "clips", {0: "batch", 2: "frames", 3: "height", 4: "width"}
    return "images", {0: "batch", 2: "height", 3: "width"}


def _form(encoder: Encoder, batch: Tensor, *, fixed: bool) -> str:
    """What the graph reads."""
    if fixed:
        shape = ", ".join(str(length) for length in batch.shape[1:])
        return f"{reads(encoder)}; (B, {shape}) alone"
    step = side_step(encoder)
    if step == 1 or encoder.kind == "audio":
        return reads(encoder)
    return f"{reads(encoder)}, H and W multiples of {step}"


def _notes(encoder: Encoder, *, fixed: bool) -> tuple[str, ...]:
    notes = []
    if fixed and encoder.kind != "fixed" and encoder.only_px is None:
        notes.append(
            f"{encoder.spec.name} cannot be exported for sides (or frames) of any length: export "
            "it for each --size."
        )
    if not fixed and encoder.kind != "audio" and side_step(encoder) > 1:
        notes.append("Rows and columns beyond the last whole patch are not seen.")
    return tuple(notes)


@contextmanager
def _quiet() -> Iterator[None]:
    """What torch's exporter says of its own code, old names and steps, is not for the user."""
    logger = logging.getLogger("torch.onnx")
    level = logger.level
    logger.setLevel(logging.ERROR)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", DeprecationWarning)
            warnings.simplefilter("ignore", FutureWarning)
            yield
    finally:
        logger.setLevel(level)


def _first_line(error: Exception) -> str:
    """Of the innermost cause: the exporter wraps it into pages."""
    inner: BaseException = error
    while inner.__cause__ is not None:
        inner = inner.__cause__
    return next(iter(str(inner).strip().splitlines()), "")[:300]

"""The function behind `hotstart export`."""

from __future__ import annotations

from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING, Literal, get_args

from hotstart.config import Stem
from hotstart.errors import UsageError

if TYPE_CHECKING:
    from hotstart.export.artifact import Exported

To = Literal["timm", "torchvision", "onnx", "safetensors"]
ONNX_PACKAGES = ("onnx", "onnxruntime", "onnxscript")
ENDINGS = {
    "timm": "-timm",
    "torchvision": "-torchvision.safetensors",
    "onnx": ".onnx",
    "safetensors": "-encoder.safetensors",
}
"""Of what an export is called by default, behind the name of the run or of the network."""


def export(
    subject: str | Path,
    *,
    to: To,
    out: str | Path | None = None,
    encoder: str | None = None,
    size: int | None = None,
    stem: Stem = "auto",
    seed: int = 0,
) -> Exported:
    """Write an encoder in the form of another library, and check that it gives the same features.

    subject: a run folder, a file `encoder-NAME.safetensors` in one, `timm:NAME`, a file of weights,
    or `random`. to: `timm` (a folder for `timm.create_model("local-dir:...")`), `torchvision` (a
    state dict), `onnx` (a graph) or `safetensors` (the weights alone).
    out: a new folder for timm, else a file, which is replaced; by default called after `subject`,
    in the working directory. encoder, size, stem, seed: for weights and for `random`.
    The artifact is loaded back by that library; its features may differ from the encoder's by 1e-4
    of the largest one, else nothing is kept. Raises UsageError where `to` has no such network or a
    package is missing, DataError where weights cannot be read or `out` not be written, ExportError
    where the features differ.
    """
    if to not in get_args(To):
        raise UsageError(f"--to {to!r}: valid are {', '.join(get_args(To))}")
    missing = [name for name in ONNX_PACKAGES if find_spec(name) is None] if to == "onnx" else []
    if missing:
        raise UsageError(
            f"--to onnx needs {' and '.join(missing)}, not installed here; "
            "pip install 'hotstart[onnx]'"
        )
    path = Path(out) if out is not None else Path(_name(str(subject), encoder) + ENDINGS[to])
    _check_out(path, to, Path(subject))
    from hotstart.export.write import write_export
    from hotstart.league.subject import open_subject

    return write_export(open_subject(str(subject), encoder, size, stem, seed), to, path)


def _name(subject: str, encoder: str | None) -> str:
    """What an export of `subject` is called by default."""
    path = Path(subject)
    if path.is_dir():
        return path.resolve().name
    if path.is_file():
        return path.stem
    name = encoder or subject if subject == "random" else subject.removeprefix("timm:")
    return name.replace(":", "-").replace("/", "-")


def _check_out(out: Path, to: str, subject: Path) -> None:
    """Before any work: whether something may be written there."""
    if to == "timm":
        if out.is_file() or (out.is_dir() and any(out.iterdir())):
            raise UsageError(
                f"{out} is there already; --to timm makes a folder: give a new one, -o"
            )
        return
    ending = ".onnx" if to == "onnx" else ".safetensors"
    if not out.name.endswith(ending) or out.is_dir():
        raise UsageError(f"-o {out}: --to {to} makes a file, NAME{ending}")
    if out.exists() and subject.exists() and out.samefile(subject):
        raise UsageError(f"-o {out} is what is to be exported; give another name")

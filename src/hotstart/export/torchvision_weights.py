"""A state dict that torchvision's network of the same name loads, its classifier taken off."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import torch
import torchvision
from safetensors.torch import load_file, save_file
from torch import Tensor, nn

from hotstart.encoders import Encoder
from hotstart.encoders.build import TORCHVISION as OF_CLIPS
from hotstart.encoders.build import filed
from hotstart.errors import UsageError
from hotstart.export.artifact import Made, numbers, quoted
from hotstart.export.parity import MVIT_FRAMES, compare, example, features

RESNETS = ("resnet18", "resnet34", "resnet50", "resnet101", "resnet152")
WIDE = ("wide_resnet50_2", "wide_resnet101_2")
GROUPED = ("resnext50_32x4d", "resnext101_32x8d", "resnext101_64x4d")
DENSENETS = ("densenet121", "densenet161", "densenet169", "densenet201")
BEHIND = {
    **dict.fromkeys((*RESNETS, *WIDE, *GROUPED, "r3d_18", "r2plus1d_18"), ("fc",)),
    **dict.fromkeys(DENSENETS, ("classifier",)),
    "s3d": ("avgpool", "classifier"),
    "mvit_v2_s": ("head",),
}
"""What is behind the features, in networks whose layers torchvision calls as they are called here:
those of pictures are timm's, and have the same names there."""
MVIT_PX = 224
"""Side of the only clips that torchvision's MViT reads."""


def check_torchvision(encoder: Encoder) -> None:
    """Raise UsageError unless torchvision has the network."""
    if encoder.kind == "audio" or _name(encoder) not in BEHIND:
        raise UsageError(
            f"--to torchvision: {encoder.spec.name} is no network of torchvision's; these are: "
            f"{', '.join(BEHIND)}. Give --to timm, onnx or safetensors"
        )


def write_torchvision(encoder: Encoder, told: Mapping[str, str], place: Path, out: Path) -> Made:
    """Write the file `place`, to be called `out`, and load it back into torchvision's network."""
    check_torchvision(encoder)
    inner: Any = filed(encoder)
    name, small = _name(encoder), inner.spec.stem == "small"
    state = {key: tensor.cpu().contiguous() for key, tensor in inner.model.state_dict().items()}
    mean, std = numbers(inner.mean), numbers(inner.std)
    save_file(state, place, metadata={"format": "pt", **told, "mean": str(mean), "std": str(std)})
    batch = example(encoder)
    if name == "mvit_v2_s":
        batch = example(encoder, rows=1, side=MVIT_PX)
    network = _network(name, small=small)
    network.load_state_dict(load_file(place))
    of_frames = inner is not encoder
    found = _features(network.eval(), batch, mean, std, of_frames=of_frames)
    form = "clips (B, 3, T, H, W)" if name in OF_CLIPS else "pictures (B, 3, H, W)"
    return Made(
        compare(features(encoder, [batch]), [found], [batch]),
        f"torchvision {torchvision.__version__}",
        f"{form}, RGB in 0..1, less the mean {mean}, divided by the deviation {std}",
        _usage(name, out, small=small),
        _notes(name, small=small, of_frames=of_frames),
    )


def _name(encoder: Encoder) -> str:
    return filed(encoder).spec.name.split(".")[0]


def _network(name: str, *, small: bool) -> nn.Module:
    """Torchvision's network without what is behind the features, as `_usage` has it."""
    models: Any = torchvision.models.video if name in OF_CLIPS else torchvision.models
    network: Any = getattr(models, name)(weights=None)
    for part in BEHIND[name]:
        setattr(network, part, nn.Identity())
    if small:
        network.conv1 = nn.Conv2d(3, network.bn1.num_features, 3, 2, 1, bias=False)
        network.maxpool = nn.Identity()
    return network  # type: ignore[no-any-return]


@torch.no_grad()
def _features(
    network: nn.Module,
    batch: Tensor,
    mean: Sequence[float],
    std: Sequence[float],
    *,
    of_frames: bool,
) -> Tensor:
    """What the network makes of the batch: (B, D)."""
    spread = [1, 3, *[1] * (batch.ndim - 2)]
    normalised = (batch - torch.tensor(mean).view(spread)) / torch.tensor(std).view(spread)
    if not of_frames:
        found: Tensor = network(normalised)
        return found
    each: Tensor = network(normalised.transpose(1, 2).flatten(0, 1))
    mean_of_frames: Tensor = each.unflatten(0, (len(batch), -1)).mean(1)
    return mean_of_frames


def _usage(name: str, out: Path, *, small: bool) -> str:
    models = "models.video" if name in OF_CLIPS else "models"
    lines = [
        "import torch, torchvision",
        "from safetensors.torch import load_file",
        f"model = torchvision.{models}.{name}(weights=None)",
        *(f"model.{part} = torch.nn.Identity()" for part in BEHIND[name]),
    ]
    if small:
        lines += [
            "model.conv1 = torch.nn.Conv2d(3, model.bn1.num_features, 3, 2, 1, bias=False)",
            "model.maxpool = torch.nn.Identity()",
        ]
    lines.append(f"model.load_state_dict(load_file({quoted('', out)}))")
    return "\n".join([*lines, "features = model.eval()(normalised)"])


def _notes(name: str, *, small: bool, of_frames: bool) -> tuple[str, ...]:
    notes = []
    if small:
        notes.append(
            "The stem is that of small pictures: one 3 x 3 convolution of stride 2 in place of "
            "torchvision's stem and pooling; two lines exchange it before the weights are loaded."
        )
    if of_frames:
        notes.append("The features of a clip are the mean of those of its frames.")
    if name == "mvit_v2_s":
        notes.append(
            f"torchvision's mvit_v2_s reads clips of {MVIT_FRAMES} frames of {MVIT_PX} x {MVIT_PX} "
            "px alone; Hotstart's and the ONNX file read others."
        )
    return tuple(notes)

"""A folder that timm loads by `local-dir:`: config.json, model.safetensors, README.md."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import timm
import torch
from safetensors.torch import load_file, save_file
from torch import Tensor, nn

from hotstart.augment import log_mel
from hotstart.encoders import AudioEncoder, Encoder
from hotstart.encoders.build import filed
from hotstart.encoders.cnn import SOUND, CnnEncoder
from hotstart.encoders.networks import cuts_patches, size_options
from hotstart.encoders.vit import OWN, VitEncoder
from hotstart.errors import UsageError
from hotstart.export.artifact import Made, numbers, quoted
from hotstart.export.ear import LOG_MEL
from hotstart.export.parity import compare, example, features

WEIGHTS, CONFIG, RECIPE = "model.safetensors", "config.json", "architecture.json"
NARROW: dict[str, Any] = {"stem_width": 16, "channels": [32, 64, 128, 256]}
"""What makes timm's `resnet10t` a `resnet10_narrow`."""


def check_timm(encoder: Encoder) -> None:
    """Raise UsageError unless the encoder is a network that timm can build."""
    if not isinstance(filed(encoder), CnnEncoder | VitEncoder):
        raise UsageError(
            f"--to timm: {encoder.spec.name} is no network of timm's, which are CNNs and ViTs of "
            "pictures (resnet18, vit_tiny_patch16_224, resnet10_narrow, frames:NAME, sound:NAME); "
            "give --to onnx or --to safetensors"
        )


def write_timm(encoder: Encoder, told: Mapping[str, str], place: Path, out: Path) -> Made:
    """Write the folder `place`, to be called `out`, and load it back by timm."""
    check_timm(encoder)
    inner: Any = filed(encoder)
    place.mkdir()
    state = {name: tensor.cpu().contiguous() for name, tensor in inner.model.state_dict().items()}
    save_file(state, place / WEIGHTS, metadata={"format": "pt", **told})
    config = configuration(inner) | {"hotstart": dict(told)}
    # By a config.json timm would build the network with its own stem.
    name = RECIPE if small_stem(inner) else CONFIG
    (place / name).write_text(json.dumps(config, indent=1) + "\n", encoding="utf-8")

    inputs = [example(encoder)]
    network = load_timm(place).eval()
    parity = compare(
        features(encoder, inputs), [foreign_features(network, encoder, config, inputs[0])], inputs
    )
    usage = timm_usage(config, out, small=small_stem(inner))
    made = Made(parity, f"timm {timm.__version__}", _reads(inner, config), usage, _notes(encoder))
    (place / "README.md").write_text(readme(made, told, inner), encoding="utf-8")
    return made


def small_stem(inner: Encoder) -> bool:
    """Whether it has a stem that timm cannot be asked for by name: that of small pictures."""
    return isinstance(inner, CnnEncoder) and inner.spec.stem == "small"


def configuration(inner: Any) -> dict[str, Any]:
    """What timm needs to build the network again and to bring pictures into its form."""
    spec, model = inner.spec, inner.model
    name = spec.name.removeprefix(SOUND).split(".")[0]
    args: dict[str, Any] = {}
    if isinstance(inner, VitEncoder):
        args = {"img_size": list(model.patch_embed.img_size), "dynamic_img_size": True}
        if spec.stem == "small" or name in OWN:
            args["patch_size"] = inner.patch_px
        if name in OWN:
            args |= {**OWN[name], "fc_norm": False}
            name = "vit_tiny_patch16_224"
    elif name == "resnet10_narrow":
        name, args = "resnet10t", dict(NARROW)
    else:
        args = size_options(name, spec.size)
        if args and cuts_patches(model):
            args["img_size"] = list(model.patch_embed.img_size)
    if inner.kind == "audio":
        args["in_chans"] = 1
    known = timm.models.get_pretrained_cfg(name)
    size = [args.get("in_chans", 3), spec.size, spec.size]
    return {
        "architecture": name,
        "num_classes": 0,
        "num_features": inner.dim,
        "model_args": args,
        "pretrained_cfg": {
            "input_size": size,
            "fixed_input_size": inner.only_px is not None,
            "interpolation": "bilinear",
            "crop_pct": 1.0,
            "mean": numbers(inner.mean),
            "std": numbers(inner.std),
            "num_classes": 0,
            "first_conv": known.first_conv if known else None,
            "classifier": known.classifier if known else None,
        },
    }


def load_timm(folder: Path) -> nn.Module:
    """The network in `folder`, as the README there says."""
    if (folder / CONFIG).exists():
        network: Any = timm.create_model(f"local-dir:{folder}", pretrained=True)
        return network  # type: ignore[no-any-return]
    config = json.loads((folder / RECIPE).read_text(encoding="utf-8"))
    network = timm.create_model(config["architecture"], num_classes=0, **config["model_args"])
    channels = config["pretrained_cfg"]["input_size"][0]
    network.conv1 = nn.Conv2d(channels, network.bn1.num_features, 3, 2, 1, bias=False)
    network.maxpool = nn.Identity()
    network.load_state_dict(load_file(folder / WEIGHTS))
    return network  # type: ignore[no-any-return]


@torch.no_grad()
def foreign_features(
    network: nn.Module, encoder: Encoder, config: Mapping[str, Any], batch: Tensor
) -> Tensor:
    """What the network, loaded back, makes of it, normalised as `config` says: (B, D)."""
    rows, frames = len(batch), 1
    if isinstance(encoder, AudioEncoder):
        hearing = encoder.sound
        batch = log_mel(batch, encoder.spec.size, hearing.window_seconds, hearing.hop_seconds)
    if batch.ndim == 5:
        frames = batch.shape[2]
        batch = batch.transpose(1, 2).flatten(0, 1)
    told = config["pretrained_cfg"]
    mean, std = (torch.tensor(told[key]).view(1, -1, 1, 1) for key in ("mean", "std"))
    each: Tensor = network((batch - mean) / std)
    found: Tensor = each.unflatten(0, (rows, frames)).mean(1)
    return found


def timm_usage(config: Mapping[str, Any], out: Path, *, small: bool) -> str:
    """Python that loads the folder `out`."""
    if not small:
        return (
            "import timm\n"
            f"model = timm.create_model({quoted('local-dir:', out)}, pretrained=True).eval()\n"
            "features = model(normalised)"
        )
    args = "".join(f", {name}={value!r}" for name, value in config["model_args"].items())
    channels = config["pretrained_cfg"]["input_size"][0]
    return (
        "import timm, torch\nfrom safetensors.torch import load_file\n"
        f'model = timm.create_model("{config["architecture"]}", num_classes=0{args})\n'
        f"model.conv1 = torch.nn.Conv2d({channels}, model.bn1.num_features, 3, 2, 1, bias=False)\n"
        "model.maxpool = torch.nn.Identity()\n"
        f"model.load_state_dict(load_file({quoted('', out / WEIGHTS)}))\n"
        "features = model.eval()(normalised)"
    )


def _reads(inner: Encoder, config: Mapping[str, Any]) -> str:
    told = config["pretrained_cfg"]
    form = (
        "log-mel spectrograms (B, 1, F, T)"
        if inner.kind == "audio"
        else "pictures (B, 3, H, W), RGB in 0..1"
    )
    return f"{form}, less the mean {told['mean']}, divided by the deviation {told['std']}"


def _notes(encoder: Encoder) -> tuple[str, ...]:
    notes = []
    if small_stem(filed(encoder)):
        notes.append(
            "The stem is that of small pictures: one 3 x 3 convolution of stride 2 in place of "
            "timm's stem and pooling. timm cannot be asked for it by name, so two lines exchange "
            "it before the weights are loaded; they do not fit without."
        )
    if filed(encoder) is not encoder:
        notes.append("Its features of a clip are the mean of those of its frames.")
    if encoder.kind == "audio":
        notes.append("timm reads the spectrogram, which README.md makes of sound; --to onnx hears.")
    return tuple(notes)


def readme(made: Made, told: Mapping[str, str], inner: Any) -> str:
    """The page beside the weights."""
    run = f", run {told['run']}" if "run" in told else ""
    paragraphs = [
        f"# {told['architecture']} of Hotstart",
        f"Weights: {told['task']}{run}, digest {told['digest']}; size {told['size']}, "
        f"stem {told['stem']}.",
        *made.notes,
        f"```python\n{made.usage}\n```",
        f"It reads {made.reads}, and gives features (B, {told['features']}).",
    ]
    if inner.kind == "audio":
        hearing = inner.sound
        code = LOG_MEL.format(
            mels=inner.spec.size, window=hearing.window_seconds, hop=hearing.hop_seconds
        )
        paragraphs.append(
            "Of sounds (B, n), float32 in -1..1 at 16 kHz, `log_mel` makes the spectrograms:\n\n"
            f"```python\n{code}```"
        )
    paragraphs.append(
        f"Loaded back by {made.checked_by}, its features differed from Hotstart's by at most "
        f"{made.parity.largest_difference:.3g}, where they go up to "
        f"{made.parity.largest_feature:.3g}."
    )
    return "\n\n".join(paragraphs) + "\n"

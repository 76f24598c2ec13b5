"""From a name to an encoder, and from an encoder to a file and back."""

from __future__ import annotations

import hashlib
import os
from collections.abc import Mapping
from pathlib import Path

import timm
import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import save_file
from torch import Tensor

from hotstart.config import Stem, nearest
from hotstart.encoders.audio import SOUND, AudioEncoder
from hotstart.encoders.cnn import CnnEncoder, has_small_stem
from hotstart.encoders.encoder import Encoder, EncoderSpec, Kind, SoundSpec
from hotstart.encoders.fixed import FIXED
from hotstart.encoders.networks import outline, timm_kind
from hotstart.encoders.video import FRAMES, FrameEncoder, VideoEncoder, check_reads_frames
from hotstart.encoders.video_cnn import VideoCnnEncoder
from hotstart.encoders.video_vit import TUBE_VITS, MvitEncoder, TubeVitEncoder
from hotstart.encoders.vit import VitEncoder, vit_has_small_stem
from hotstart.errors import DataError, UsageError

TORCHVISION: dict[str, type[VideoEncoder]] = {
    "r3d_18": VideoCnnEncoder,
    "r2plus1d_18": VideoCnnEncoder,
    "s3d": VideoCnnEncoder,
    "mvit_v2_s": MvitEncoder,
}
OWN_VIDEO: dict[str, type[VideoEncoder]] = {
    "r3d10_narrow": VideoCnnEncoder,
    **dict.fromkeys(TUBE_VITS, TubeVitEncoder),
}
OWN: dict[str, Kind] = {
    "resnet10_narrow": "cnn",
    "vit_tiny_depth6": "vit",
    "vit_narrow_depth4": "vit",
    **dict.fromkeys(OWN_VIDEO, "video"),
    **dict.fromkeys(FIXED, "fixed"),
}
SMALL_STEM_UP_TO_PX = 64


def encoder_kind(name: str) -> Kind:
    """`cnn`, `vit`, `video`, `audio` or `fixed`; an unknown name is an error with the nearest.

    Of timm's networks the class decides: `networks.timm_kind`.
    """
    if name in OWN:
        return OWN[name]
    if name in TORCHVISION:
        return "video"
    if name.startswith(FRAMES):
        inner = name.removeprefix(FRAMES)
        check_reads_frames(inner, encoder_kind(inner))
        return "video"
    if name.startswith(SOUND):
        inner = name.removeprefix(SOUND)
        if encoder_kind(inner) != "cnn":
            raise UsageError(
                f"{name}: {inner} is a {encoder_kind(inner)} encoder, sound is heard by a CNN, "
                f"such as {SOUND}resnet10_narrow"
            )
        return "audio"
    timms = timm.list_models()
    if name.split(".")[0] not in timms:
        known = [*OWN, *TORCHVISION, *timms]
        raise UsageError(
            f"--encoder {name!r} is neither Hotstart's ({', '.join(OWN)}, {FRAMES}NAME, "
            f"{SOUND}NAME) nor torchvision's ({', '.join(TORCHVISION)}) nor timm's; "
            f"{nearest(name, known).split('; valid')[0].removeprefix('valid: ')[:300]}"
        )
    return timm_kind(name)


def resolve_spec(name: str, size: int, stem: Stem = "auto") -> EncoderSpec:
    """Settle the stem: `auto` is `small` up to 64 px where the network has one, else `timm`."""
    if name.startswith(FRAMES):
        inner = resolve_spec(name.removeprefix(FRAMES), size, stem)
        return inner.model_copy(update={"name": name})
    if name.startswith(SOUND):
        inner = resolve_spec(name.removeprefix(SOUND), size, stem)
        return inner.model_copy(update={"name": name, "sound": SoundSpec()})
    if stem != "auto":
        return EncoderSpec(name=name, size=size, stem=stem)
    small = EncoderSpec(name=name, size=size, stem="small")
    timms = EncoderSpec(name=name, size=size, stem="timm")
    if size > SMALL_STEM_UP_TO_PX or name in FIXED or name in TORCHVISION:
        return timms
    if name in OWN:
        return small
    kind = encoder_kind(name)
    known = vit_has_small_stem(name) if kind == "vit" else has_small_stem(outline(name))
    return small if known else timms


def build_encoder(spec: EncoderSpec, seed: int) -> Encoder:
    """A freshly initialised encoder: the same weights for the same `spec` and `seed`.

    `frames:NAME` has the weights that NAME has; `sound:NAME` has others.
    """
    kind = encoder_kind(spec.name)
    if spec.name.startswith(FRAMES):
        inner = spec.model_copy(update={"name": spec.name.removeprefix(FRAMES)})
        return FrameEncoder(build_encoder(inner, seed))
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        if kind == "fixed":
            return FIXED[spec.name](spec)
        if kind == "video":
            return {**OWN_VIDEO, **TORCHVISION}[spec.name](spec)
        if kind == "vit":
            return VitEncoder(spec)
        cnn = AudioEncoder if kind == "audio" else CnnEncoder
        # Convolutions on a CPU are a fifth faster with channels last, and no slower on a GPU.
        return cnn(spec).to(memory_format=torch.channels_last)


def digest(*states: Mapping[str, Tensor]) -> str:
    """16 hexadecimal digits, the same for the same weights, wherever they lie."""
    hashed = hashlib.sha256()
    for state in states:
        for key in sorted(state):
            weight = state[key].detach().cpu().contiguous()
            hashed.update(f"{key} {weight.dtype} {tuple(weight.shape)} ".encode())
            hashed.update(weight.flatten().view(torch.uint8).numpy().tobytes())
    return hashed.hexdigest()[:16]


def save_encoder(encoder: Encoder, path: Path, told: Mapping[str, str] | None = None) -> None:
    """Write the weights and, in the header, the spec; the file appears whole or not at all.

    told: what else the header says.
    """
    state = {
        name: tensor.cpu().contiguous() for name, tensor in filed(encoder).state_dict().items()
    }
    part = path.with_name(path.name + ".part")
    spec = {"spec": encoder.spec.model_dump_json(exclude_none=True)}
    save_file(state, part, metadata={**(told or {}), **spec})
    with part.open("rb") as file:
        os.fsync(file.fileno())
    part.replace(path)


def load_encoder(path: Path) -> Encoder:
    """Read an `encoder.safetensors` back; nothing in the file is executed."""
    try:
        with safe_open(path, framework="pt") as file:
            header = (file.metadata() or {}).get("spec")
            state = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118
    except (OSError, SafetensorError) as error:
        raise DataError(f"{path}: not a readable encoder file ({error})") from None
    if header is None:
        raise DataError(f"{path}: has no `spec` in its header, so it is no encoder of Hotstart's")
    encoder = build_encoder(EncoderSpec.model_validate_json(header), seed=0)
    fill(encoder, state)
    return encoder


def fill(encoder: Encoder, state: Mapping[str, Tensor]) -> None:
    """Give it weights that are named as a file of its kind names them (`filed`).

    The positions of a ViT that were learnt on another grid are interpolated when it is read.
    """
    inner = filed(encoder)
    if isinstance(inner, VitEncoder) and "model.pos_embed" in state:
        inner.take_grid(state["model.pos_embed"])
    inner.load_state_dict(state)


def filed(encoder: Encoder) -> Encoder:
    """Whose weights a file holds: an image encoder's by its own names, if it reads frames too."""
    return encoder.image if isinstance(encoder, FrameEncoder) else encoder

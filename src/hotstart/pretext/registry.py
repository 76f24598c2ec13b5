"""Every pretext task and control by name, readable without torch."""

from __future__ import annotations

from dataclasses import dataclass
from importlib import import_module
from typing import TYPE_CHECKING, Literal

from hotstart.config import nearest
from hotstart.errors import UsageError

if TYPE_CHECKING:
    from hotstart.pretext.task import PretextTask

Family = Literal["generation", "context", "free_labels", "cross_modal", "control"]


@dataclass(frozen=True)
class Entry:
    """Where a task is, and what a reader of the list wants to know."""

    path: str
    """`module:Class`."""
    family: Family
    kind: str
    """The lecture's: predictive, generative, contrastive, or a mix; `control`."""
    needs: tuple[str, ...]
    """Sample keys that it reads."""
    paper: str


TASKS: dict[str, Entry] = {
    "autoencoder": Entry(
        "hotstart.pretext.generation.autoencoder:Autoencoder",
        "generation",
        "generative",
        ("image",),
        "Vincent 2008, doi:10.1145/1390156.1390294",
    ),
    "inpainting": Entry(
        "hotstart.pretext.generation.inpainting:Inpainting",
        "generation",
        "generative",
        ("image",),
        "Pathak 2016, arXiv:1604.07379",
    ),
    "masked_autoencoder": Entry(
        "hotstart.pretext.generation.masked_autoencoder:MaskedAutoencoder",
        "generation",
        "generative",
        ("image",),
        "He 2022 (MAE), arXiv:2111.06377",
    ),
    "super_resolution": Entry(
        "hotstart.pretext.generation.super_resolution:SuperResolution",
        "generation",
        "generative",
        ("image",),
        "Ledig 2017 (SRGAN), arXiv:1609.04802",
    ),
    "rotation": Entry(
        "hotstart.pretext.context.rotation:Rotation",
        "context",
        "predictive",
        ("image",),
        "Gidaris 2018, arXiv:1803.07728",
    ),
    "jigsaw": Entry(
        "hotstart.pretext.context.jigsaw:Jigsaw",
        "context",
        "predictive",
        ("image",),
        "Noroozi & Favaro 2016, arXiv:1603.09246",
    ),
    "relative_position": Entry(
        "hotstart.pretext.context.relative_position:RelativePosition",
        "context",
        "predictive",
        ("image",),
        "Doersch 2015, arXiv:1505.05192",
    ),
    "geometric_transform": Entry(
        "hotstart.pretext.context.geometric_transform:GeometricTransform",
        "context",
        "predictive",
        ("image",),
        "Zhang 2019 (AET), arXiv:1901.04596",
    ),
    "simclr": Entry(
        "hotstart.pretext.context.simclr:SimCLR",
        "context",
        "contrastive",
        ("image",),
        "Chen 2020, arXiv:2002.05709",
    ),
    "byol": Entry(
        "hotstart.pretext.context.byol:BYOL",
        "context",
        "contrastive",
        ("image",),
        "Grill 2020, arXiv:2006.07733",
    ),
    "deep_cluster": Entry(
        "hotstart.pretext.context.deep_cluster:DeepCluster",
        "context",
        "predictive",
        ("image", "index"),
        "Caron 2018, arXiv:1807.05520",
    ),
    "swav": Entry(
        "hotstart.pretext.context.swav:SwAV",
        "context",
        "predictive",
        ("image",),
        "Caron 2020, arXiv:2006.09882",
    ),
    "dino": Entry(
        "hotstart.pretext.context.dino:DINO",
        "context",
        "contrastive",
        ("image",),
        "Caron 2021, arXiv:2104.14294",
    ),
    "random": Entry(
        "hotstart.pretext.controls:RandomInit",
        "control",
        "control",
        ("image",),
        "He 2015 initialisation, arXiv:1502.01852",
    ),
    "supervised": Entry(
        "hotstart.pretext.controls:Supervised",
        "control",
        "control",
        ("image", "label"),
        "cross-entropy on human labels, as He 2016, arXiv:1512.03385",
    ),
}


def find(name: str) -> Entry:
    """The entry of `name`; a third party's `package.module:Class` is accepted too."""
    if name in TASKS:
        return TASKS[name]
    if ":" in name:
        return Entry(name, "context", "third party", (), "third party")
    raise UsageError(f"--task {name!r} is unknown; {nearest(name, TASKS)}, or package.module:Class")


def task_class(name: str) -> type[PretextTask]:
    """The class behind `name`; imports torch."""
    module, _, attribute = find(name).path.partition(":")
    try:
        found = getattr(import_module(module), attribute)
    except (ImportError, AttributeError) as error:
        raise UsageError(f"--task {name!r} cannot be loaded: {error}") from None
    return found  # type: ignore[no-any-return]

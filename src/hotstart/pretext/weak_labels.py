"""The control between human labels and none: coarse or inaccurate labels."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import ClassVar

import torch
from torch import Tensor

from hotstart.config import Field, nearest
from hotstart.data.sample import Spec
from hotstart.encoders import Encoder
from hotstart.errors import UsageError
from hotstart.pretext.controls import Supervised, SupervisedSettings
from hotstart.pretext.task import Batch, Draws, Info, Settings, Views

NOISE = 0.4


class WeaklySupervisedSettings(SupervisedSettings):
    """Settings of `weakly_supervised`."""

    map: dict[str, str] | None = None
    """Class -> coarse class; classes that it leaves out stay as they are. None: all of them do."""
    noise: float | None = Field(default=None, ge=0, lt=1)
    """Share of the pictures with a wrong label. None: 0.4 without a map, 0 with one."""


class WeaklySupervised(Supervised):
    """Cross-entropy on labels that are coarse (several classes as one), inaccurate, or both.

    Zhou 2018 (A brief introduction to weakly supervised learning, doi:10.1093/nsr/nwx106), the
    inexact and the inaccurate kind. Noise is symmetric: each wrong label is one of the other
    (coarse) classes, all equally likely. It is drawn once for each picture of the pretraining set,
    by the run's seed, and stays the same in every epoch, as a person's error does; held-out
    pictures are scored by labels without noise.
    """

    needs: ClassVar[Mapping[str, Spec]] = {"image": Spec(), "label": Spec(), "index": Spec()}
    Settings: ClassVar[type[Settings]] = WeaklySupervisedSettings
    settings: WeaklySupervisedSettings
    coarse: Tensor
    shift: Tensor

    def __init__(self, encoder: Encoder, settings: WeaklySupervisedSettings, info: Info) -> None:
        coarse = coarse_classes(info.class_names, settings.map or {})
        self.largest = max(map(coarse.count, coarse)) / max(len(coarse), 1)
        classes = len(set(coarse))
        super().__init__(encoder, settings, replace(info, classes=classes))
        noise = settings.noise
        if noise is None:
            noise = NOISE if settings.map is None else 0.0
        self.register_buffer("coarse", torch.tensor(coarse))
        # What is added to the label of each picture of the pretraining set, modulo the classes.
        wrong = torch.rand(info.items) < noise
        other = torch.randint(1, classes, (info.items,))
        self.register_buffer("shift", torch.where(wrong, other, 0))

    def trivial(self, rows: int) -> float:
        """Always the largest coarse class, where classes are balanced."""
        return self.largest

    def views(self, batch: Batch, rng: Draws) -> Views:
        """`image`, pictures or clips, and `label` (B,), coarse; in training some of them wrong."""
        views = super().views(batch, rng)
        label = self.coarse[views["label"]]
        if self.training:
            label = (label + self.shift[batch["index"]]) % self.info.classes
        return {**views, "label": label}


def coarse_classes(names: tuple[str, ...], mapped: Mapping[str, str]) -> list[int]:
    """Number of each class's coarse class, counted in the order of their names.

    Raises UsageError for a class that there is not, or where fewer than two coarse ones are left.
    """
    for name in mapped:
        if name not in names:
            raise UsageError(f"weakly_supervised.map: no class {name!r}; {nearest(name, names)}")
    coarse = [mapped.get(name, name) for name in names]
    kinds = sorted(set(coarse))
    if names and len(kinds) < 2:
        raise UsageError(
            f"weakly_supervised.map makes one class of all, {kinds[0]!r}; two or more are needed"
        )
    return [kinds.index(name) for name in coarse]

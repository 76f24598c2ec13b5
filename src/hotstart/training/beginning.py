"""The weights that a run begins with, where these are not random ones: those of an earlier run."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass, field

import torch
from torch import Tensor

from hotstart.encoders import Encoder
from hotstart.encoders.build import filed, fill
from hotstart.pretext.task import PretextTask


@dataclass(frozen=True)
class Beginning:
    """An encoder and, of a run, all weights of its task."""

    name: str
    """What the user called it."""
    encoder: Encoder
    task: str = ""
    weights: Mapping[str, Tensor] = field(default_factory=dict)
    """By their names in the task: encoder, heads, teachers, and what it has counted."""

    def fill_encoder(self, encoder: Encoder) -> None:
        """Give `encoder`, built of the same network, these weights; before a task sees it."""
        fill(encoder, filed(self.encoder).state_dict())

    def fill_heads(self, task: PretextTask, name: str) -> None:
        """Give a task that is called `name` all else that fits, if it is the same one.

        What has another shape, as a head of more answers, stays as it is built.
        """
        if name != self.task:
            return
        own = task.state_dict()
        fitting = {
            key: weight
            for key, weight in self.weights.items()
            if key in own and own[key].shape == weight.shape
        }
        task.load_state_dict({**own, **fitting})

    def told(self, task: str) -> str:
        """For the reader: what of it a run of `task` takes."""
        return f"{self.name}: its encoder{' and its heads' if task == self.task else ''}"

    @property
    def digest(self) -> str:
        """16 hexadecimal digits, the same for the same weights, wherever they lie."""
        hashed = hashlib.sha256(self.task.encode())
        for state in (filed(self.encoder).state_dict(), self.weights):
            for key in sorted(state):
                weight = state[key].detach().cpu().contiguous()
                hashed.update(f"{key} {weight.dtype} {tuple(weight.shape)} ".encode())
                hashed.update(weight.flatten().view(torch.uint8).numpy().tobytes())
        return hashed.hexdigest()[:16]

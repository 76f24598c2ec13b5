"""The weights that a run begins with, where these are not random ones: those of an earlier run."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from torch import Tensor, nn

from hotstart.encoders import Encoder
from hotstart.encoders.build import digest, filed, fill
from hotstart.encoders.vit import VitEncoder
from hotstart.pretext.task import PretextTask


@dataclass(frozen=True)
class Beginning:
    """An encoder and, of a run of the same task, what its heads and teachers learnt."""

    name: str
    """What the user called it."""
    encoder: Encoder
    weights: Mapping[str, Tensor] = field(default_factory=dict)
    """By their names in the task; empty where the encoder alone is taken."""

    def fill_encoder(self, encoder: Encoder) -> None:
        """Give `encoder`, built of the same network, these weights; before a task sees it.

        The positions of a ViT are resampled to its own grid. Raises RuntimeError where tensors have
        another shape.
        """
        fill(encoder, filed(self.encoder).state_dict())
        inner = filed(encoder)
        if isinstance(inner, VitEncoder) and inner.model.pos_embed is not None:
            inner.model.set_input_size(img_size=(inner.spec.size, inner.spec.size))

    def fill_heads(self, task: PretextTask) -> None:
        """Give a task of the same name all else that was learnt and fits.

        What has another shape, as a head of more answers, stays as it is built. So does what a task
        counts or keeps of its data (clusters, queues, means): those were other data.
        """
        own = task.state_dict()
        fitting = {key: self.weights[key] for key in self._fitting(task)}
        task.load_state_dict({**own, **fitting})

    def told(self, task: PretextTask) -> str:
        """For the reader: what of it `task` has taken."""
        heads = {key for key in _learnt(task) if not _of_encoder(key)}
        taken = len(heads & set(self._fitting(task)))
        if not taken:
            return f"{self.name}: its encoder"
        if taken == len(heads):
            return f"{self.name}: its encoder and its heads"
        return (
            f"{self.name}: its encoder and what fits of its heads, {taken} of {len(heads)} tensors"
        )

    def _fitting(self, task: PretextTask) -> list[str]:
        own = task.state_dict()
        return [
            key
            for key in _learnt(task)
            if key in self.weights and self.weights[key].shape == own[key].shape
        ]

    @property
    def digest(self) -> str:
        """16 hexadecimal digits, the same for the same weights, wherever they lie."""
        return digest(filed(self.encoder).state_dict(), self.weights)


def _learnt(task: PretextTask) -> list[str]:
    """Names of parameters, and of the statistics of BatchNorm."""
    names = [name for name, _ in task.named_parameters(remove_duplicate=False)]
    for name, module in task.named_modules(remove_duplicate=False):
        if isinstance(module, nn.modules.batchnorm._BatchNorm):
            names += [f"{name}.{buffer}" for buffer, _ in module.named_buffers(recurse=False)]
    return names


def _of_encoder(key: str) -> bool:
    """Also within the parts of several tasks at once."""
    return key.startswith("encoder.") or (key.startswith("parts.") and ".encoder." in key)

"""Several tasks at once, as tests build them, and a task with a player of its own."""

from __future__ import annotations

from typing import Any

import torch
from torch import nn

from hotstart.data.draws import Draws
from hotstart.pretext.composite import Composite
from hotstart.pretext.task import (
    Batch,
    Epoch,
    OptimiserSettings,
    Player,
    PretextTask,
    Progress,
    Settings,
    Spec,
    Step,
    Views,
)
from hotstart.training.loop import Material
from tests.conformance.material import (
    make_task,
)

ROWS = 8


def build(name: str, material: Material, **settings: Any) -> Composite:
    made = make_task(name, material, ROWS, task_settings=settings)
    assert isinstance(made, Composite)
    return made.train()


class Maker(PretextTask):
    """A game whose other player comes first, as a generator does; and an order of its own."""

    needs = {"image": Spec(), "index": Spec()}  # noqa: RUF012
    own_order = True
    Settings = Settings
    optimiser = OptimiserSettings(learning_rate=1e-9, momentum=0.5)
    batch_size = 7

    def __init__(self, *words: Any) -> None:
        super().__init__(*words)
        self.made = nn.Parameter(torch.ones(3))
        self.told: list[Step] = []

    def players(self) -> dict[str, Player]:
        encoder = list(self.encoder.parameters())
        return {
            "maker": Player([self.made], self.optimiser),
            "judge": Player(encoder, self.optimiser),
        }

    def before_epoch(self, features: Any, rng: Draws) -> Epoch:
        order = rng.generator.permutation(len(features()))
        return Epoch([self.made], order)

    def views(self, batch: Batch, rng: Draws) -> Views:
        return {"noise": rng.uniform()}

    def forward(self, views: Views, progress: Progress, player: str) -> Step:
        if player == "maker":
            assert set(views) == {"noise"}
            return Step(self.made.sum(), {"size": self.made.sum()}, {"made": self.made.detach()})
        assert set(views) == {"noise", "made"}
        h = self.encoder(torch.zeros(2, 3, 32, 32) + views["made"][0])
        return Step(h.square().mean(), {"accuracy": h.mean()}, {"seen": h})

    def after_step(self, step: Step, progress: Progress) -> None:
        self.told.append(step)

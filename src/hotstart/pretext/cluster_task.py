"""What all tasks share that predict the cluster of a picture."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Iterable, Mapping
from typing import ClassVar

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from hotstart.augment import ViewSettings, centre_view, random_view
from hotstart.config import Field
from hotstart.data.sample import Pictures, Spec
from hotstart.encoders import Encoder
from hotstart.errors import UsageError
from hotstart.pretext.clustering import even_order, named_evenly
from hotstart.pretext.panels import cluster_panel
from hotstart.pretext.task import (
    Batch,
    Draws,
    Epoch,
    Info,
    Panel,
    PretextTask,
    Progress,
    Score,
    Settings,
    Step,
    Views,
    batch_rows,
)


class ClusterSettings(Settings):
    """Settings of all tasks whose pseudo-label is a cluster."""

    clusters: int | None = Field(default=None, ge=2)
    """K; None: the square root of the number of pictures, as many clusters as pictures in a mean
    one: 219 for the pretraining set of CIFAR-10, 1,132 for ImageNet."""
    view: ViewSettings
    """The network sees one of each picture."""


class ClusterTask(PretextTask):
    """Name the cluster that a picture belongs to, from a random view of it.

    Clusters are loaded evenly, by the order of an epoch (Caron 2018, arXiv:1807.05520, section
    3.3), so that to answer the largest one is worth no more than chance. Subclasses fill
    `assignments` and `balance`, and tell the cluster of any other picture.
    """

    name: ClassVar[str]
    """As registered; the panel is named after it."""
    needs: ClassVar[Mapping[str, Spec]] = {"image": Spec(), "index": Spec()}
    own_order: ClassVar[bool] = True
    settings: ClusterSettings
    assignments: Tensor
    """int64 (N,), by position in the pretraining set; arbitrary before there are clusters."""
    balance: Tensor
    """1 where all clusters are of one size, 1/K where one has all pictures."""

    def __init__(self, encoder: Encoder, settings: ClusterSettings, info: Info) -> None:
        super().__init__(encoder, settings, info)
        self.clusters = settings.clusters or max(round(info.items**0.5), 2)
        if self.clusters > info.items:
            raise UsageError(
                f"{self.name}.clusters is {self.clusters}, and there are {info.items} pictures: "
                "a cluster needs one at least"
            )
        self.classifier = nn.Linear(encoder.dim, self.clusters)
        self.register_buffer("assignments", torch.arange(info.items) % self.clusters)
        self.register_buffer("balance", torch.ones(()))

    @abstractmethod
    def pseudo_labels(self, pictures: Pictures) -> Tensor:
        """The cluster of any picture (B,), on the device of the weights."""

    def trivial(self, rows: int) -> float:
        """Chance, clusters being sampled evenly."""
        return 1 / self.clusters

    def load_evenly(self, rng: Draws) -> Epoch:
        """The order of an epoch in which each cluster comes as often as every other."""
        assignments = self.assignments.cpu().numpy()
        return Epoch(order=even_order(assignments, rng.named("order").generator))

    def views(self, batch: Batch, rng: Draws) -> Views:
        """`image` (B, 3, S, S) and `pseudo_label` (B,), 0 .. K - 1."""
        images = random_view(batch["image"], self.settings.view, self.info.size, rng)
        index = batch["index"].to(self.assignments.device)
        return {"image": images, "pseudo_label": self.assignments[index].to(images.device)}

    def forward(self, views: Views, progress: Progress, player: str) -> Step:
        """Cross-entropy over the clusters, ln K at chance; and how even they are, `balance`."""
        logits = self.classifier(self.encoder(views["image"]))
        truth = views["pseudo_label"]
        accuracy = (logits.argmax(1) == truth).float().mean()
        return Step(F.cross_entropy(logits, truth), {"accuracy": accuracy, "balance": self.balance})

    @torch.no_grad()
    def score(self, batches: Iterable[Batch], rng: Draws) -> Score:
        """How often the cluster of a held-out picture is named from a random view of it.

        The mean over clusters, so that always naming the largest one is worth no more than
        chance, which is one over the number of clusters that occur.
        """
        truths, rights = [], []
        for i, batch in enumerate(batches):
            truth = self.pseudo_labels(batch["image"])
            draws = rng.batch(i, batch_rows(batch))
            images = random_view(batch["image"], self.settings.view, self.info.size, draws)
            truths.append(truth)
            rights.append(self.classifier(self.encoder(images)).argmax(1) == truth)
        truth = torch.cat(truths)
        value, chance = named_evenly(truth, torch.cat(rights), self.clusters)
        return Score(self.metric, value, chance, len(truth))

    def panel_of_clusters(self, caption: str, batch: Batch, *, answers: bool) -> Panel:
        """Held-out pictures by their cluster and, with `answers`, whether it was named."""
        wholes = centre_view(batch["image"], self.info.size)
        clusters = self.pseudo_labels(batch["image"])
        texts = None
        if answers:
            said = self.classifier(self.encoder(wholes)).argmax(1)
            texts = ["right" if right else "wrong" for right in (said == clusters).tolist()]
            caption += f"; {texts.count('right')} of {len(texts)} whole pictures right here"
        return cluster_panel(self.name, f"{caption}.", wholes, clusters, texts)

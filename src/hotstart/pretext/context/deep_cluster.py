"""DeepCluster: to which cluster of the network's own features does the picture belong?"""

from __future__ import annotations

import copy
from collections.abc import Callable, Iterable
from dataclasses import replace
from typing import ClassVar

import numpy as np
import torch
from torch import Tensor, nn

from hotstart.augment import ViewSettings, centre_view
from hotstart.config import Field
from hotstart.data.sample import Pictures
from hotstart.encoders import Encoder
from hotstart.pretext.cluster_task import ClusterSettings, ClusterTask
from hotstart.pretext.clustering import (
    agreement,
    balance,
    kmeans,
    nearest_centroid,
    whitened,
    whitening,
)
from hotstart.pretext.distributed import first_decides
from hotstart.pretext.panels import cluster_panel
from hotstart.pretext.task import (
    Batch,
    Draws,
    Epoch,
    Info,
    OptimiserSettings,
    Panel,
    Progress,
    Score,
    Settings,
    Step,
    Views,
)

HEAD_DEVIATION = 0.01
"""Of a new classifier's weights, as in the paper's code: the loss starts at ln K."""
LEAST_EPOCHS_LEFT = 0.5
"""A new clustering needs as much of an epoch to be learnt in."""


class DeepClusterSettings(ClusterSettings):
    """Settings of `deep_cluster`; the paper has 10,000 clusters, and 1,000 are nearly as good."""

    components: int = Field(default=64, ge=1)
    """Principal components that are clustered, at most the length of h; the paper: 256 of 4,096."""
    recluster_epochs: int = Field(default=1, ge=1)
    """Epochs from one clustering to the next; but none within the last half epoch of a run."""
    view: ViewSettings = ViewSettings(crop_scale=(0.2, 1.0), strength=0.5, blur=0.0)


class DeepCluster(ClusterTask):
    """Cluster the features of all pictures, then learn to name each one's cluster; and again.

    Caron 2018 (arXiv:1807.05520), eq. 1 and 2, section 3. Pseudo-labels are k-means clusters of
    PCA-whitened features, the classifier starts anew with each clustering, and pictures are
    sampled uniformly over clusters, by the order in which they are loaded. Deviations: random
    changes of colour and grey views take the place of the Sobel filter that keeps the paper's
    clusters from being clusters of colour; k-means starts by k-means++; AdamW in place of SGD.

    A held-out picture's pseudo-label is the centroid nearest to its features, by the encoder as it
    was at the last clustering. Before the first one assignments and centroids are arbitrary.
    """

    name: ClassVar[str] = "deep_cluster"
    Settings: ClassVar[type[Settings]] = DeepClusterSettings
    optimiser: ClassVar[OptimiserSettings] = OptimiserSettings(
        name="adamw", learning_rate=2e-3, weight_decay=1e-4
    )
    batch_size: ClassVar[int] = 256
    settings: DeepClusterSettings
    mean: Tensor
    matrix: Tensor
    centroids: Tensor
    nmi: Tensor
    nmi_by_chance: Tensor
    epochs: Tensor
    clusterings: Tensor

    def __init__(self, encoder: Encoder, settings: DeepClusterSettings, info: Info) -> None:
        super().__init__(encoder, settings, info)
        nn.init.normal_(self.classifier.weight, std=HEAD_DEVIATION)
        nn.init.zeros_(self.classifier.bias)
        # What the pseudo-labels of other pictures hang on.
        components = min(settings.components, encoder.dim)
        self.snapshot = copy.deepcopy(encoder).requires_grad_(False)
        self.register_buffer("mean", torch.zeros(encoder.dim))
        self.register_buffer("matrix", torch.eye(encoder.dim)[:, :components])
        self.register_buffer("centroids", torch.randn(self.clusters, components))
        self.register_buffer("nmi", torch.zeros(()))
        self.register_buffer("nmi_by_chance", torch.zeros(()))
        self.register_buffer("epochs", torch.zeros((), dtype=torch.int64))
        self.register_buffer("clusterings", torch.zeros((), dtype=torch.int64))

    def before_epoch(self, features: Callable[[], Tensor], rng: Draws) -> Epoch:
        """Where it is due, cluster anew and begin a new classifier; load clusters evenly."""
        reset: list[nn.Parameter] = []
        if self._due():
            self._cluster(features(), rng)
            reset = list(self.classifier.parameters())
        self.epochs += 1
        return replace(self.load_evenly(rng), reset=reset)

    def forward(self, views: Views, progress: Progress, player: str) -> Step:
        """As for any clusters; `nmi` tells how far the last two clusterings agree."""
        step = super().forward(views, progress, player)
        agreed = {"nmi": self.nmi} if self.clusterings > 1 else {}
        return replace(step, metrics=step.metrics | agreed)

    @torch.no_grad()
    def score(self, batches: Iterable[Batch], rng: Draws) -> Score:
        """As for any clusters; and the `nmi` of the last two clusterings, where there were two.

        It is of the pictures that were trained on, whatever `batches` hold. Trivial is that of the
        same two clusterings with the pictures of the last one shuffled: with K = sqrt(N), some
        0.17 of 240 pictures and 0.11 of 48,000.
        """
        score = super().score(batches, rng)
        if self.clusterings < 2:
            return score
        agreed = Score("nmi", float(self.nmi), float(self.nmi_by_chance), len(self.assignments))
        return replace(score, others=(agreed,))

    @torch.no_grad()
    def pseudo_labels(self, pictures: Pictures) -> Tensor:
        """The cluster of any picture (B,): its nearest centroid at the last clustering."""
        h = self.snapshot.eval()(centre_view(pictures, self.info.size))
        return nearest_centroid(whitened(h, self.mean, self.matrix), self.centroids)

    @torch.no_grad()
    def panels(self, batch: Batch, rng: Draws, *, answers: bool = True) -> list[Panel]:
        """Clusters of held-out pictures; before training, those of the untrained features."""
        if self.clusterings:
            caption = "The network must name the cluster of its own features that a picture is in"
            return [self.panel_of_clusters(caption, batch, answers=answers)]
        wholes = centre_view(batch["image"], self.info.size)
        h = self.encoder(wholes).float().cpu()
        points = whitened(h, *whitening(h, min(self.matrix.shape[1], h.shape[1])))
        count = max(round(len(h) ** 0.5), 1)
        clusters = kmeans(points, count, rng.named("clusters").generator)[1]
        caption = (
            f"Before training, {count} clusters of the features of a network with random "
            "weights: to name them from random views is the first thing that it must learn."
        )
        return [cluster_panel(self.name, caption, wholes, clusters)]

    def _due(self) -> bool:
        """Whether the epoch that begins gets new clusters."""
        epoch, steps = int(self.epochs), max(self.info.items // self.info.batch_size, 1)
        left = self.info.total_steps / steps - epoch
        again = epoch % self.settings.recluster_epochs == 0 and left >= LEAST_EPOCHS_LEFT
        return epoch == 0 or again

    @torch.no_grad()
    def _cluster(self, h: Tensor, rng: Draws) -> None:
        """New pseudo-labels from features h (N, D), and a classifier that knows nothing of them."""
        before = self.assignments.cpu().numpy()
        mean, matrix = whitening(h, self.matrix.shape[1])
        points = whitened(h, mean, matrix)
        centroids, assignments = kmeans(points, self.clusters, rng.named("clusters").generator)
        shuffled = rng.named("shuffled").generator.permutation(assignments.numpy())
        found = {
            self.mean: mean,
            self.matrix: matrix,
            self.centroids: centroids,
            self.assignments: assignments,
            self.nmi: torch.tensor(agreement(before, assignments.numpy())),
            self.nmi_by_chance: torch.tensor(agreement(before, shuffled)),
            self.balance: torch.tensor(balance(assignments.numpy(), self.clusters)),
        }
        for buffer, value in found.items():
            first_decides(buffer.copy_(value))
        self.clusterings += 1
        self.snapshot.load_state_dict(self.encoder.state_dict())
        shape = self.classifier.weight.shape
        weights = rng.named("classifier").generator.standard_normal(shape, dtype=np.float32)
        self.classifier.weight.copy_(torch.from_numpy(weights) * HEAD_DEVIATION)
        self.classifier.bias.zero_()

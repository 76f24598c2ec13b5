"""SIFT clusters: to which cluster do the picture's hand-made features belong?"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import ClassVar

import torch
from torch import Tensor

from hotstart.augment import ViewSettings, centre_view
from hotstart.config import Field
from hotstart.data import Subset
from hotstart.data.sample import Pictures
from hotstart.encoders import Encoder
from hotstart.pretext.cluster_task import ClusterSettings, ClusterTask
from hotstart.pretext.clustering import balance, kmeans, nearest_centroid
from hotstart.pretext.distributed import first_decides
from hotstart.pretext.panels import cluster_panel
from hotstart.pretext.sift import (
    DESCRIPTOR,
    bag_of_words,
    count_words,
    dense_sift,
    vocabulary,
    words_of,
)
from hotstart.pretext.task import (
    Batch,
    Draws,
    Epoch,
    Info,
    OptimiserSettings,
    Panel,
    Settings,
)

FEW_WORDS = 64
"""For the panel of a task that has prepared nothing."""


class SIFTClustersSettings(ClusterSettings):
    """Settings of `sift_clusters`."""

    words: int = Field(default=256, ge=2)
    """V, local patterns that are told apart."""
    view: ViewSettings = ViewSettings(crop_scale=(0.3, 1.0), strength=0.5, blur=0.0)


class SIFTClusters(ClusterTask):
    """Predict to which of K clusters the picture's SIFT features belong.

    The first way to group pictures without a label: hand-made features (Lowe 2004, IJCV 60:91),
    counted as visual words (Sivic & Zisserman 2003, ICCV), clustered by k-means. It is done once,
    before training. Windows lie on a dense grid over the picture enlarged to 64 px, for the
    detector would find about ten places in one of 32 px (see `sift.py`). SIFT sees no colours, and
    the views change them, so that they do not help to name the cluster; pictures are sampled evenly
    over clusters, by the order in which they are loaded.

    A held-out picture's pseudo-label is the centroid nearest to its bag of words.
    """

    name: ClassVar[str] = "sift_clusters"
    Settings: ClassVar[type[Settings]] = SIFTClustersSettings
    optimiser: ClassVar[OptimiserSettings] = OptimiserSettings(
        name="adamw", learning_rate=2e-3, weight_decay=5e-4
    )
    batch_size: ClassVar[int] = 256
    settings: SIFTClustersSettings
    words: Tensor
    centroids: Tensor
    ready: Tensor

    def __init__(self, encoder: Encoder, settings: SIFTClustersSettings, info: Info) -> None:
        super().__init__(encoder, settings, info)
        # What the pseudo-labels of other pictures hang on; arbitrary until `prepare`.
        self.register_buffer("words", torch.randn(settings.words, DESCRIPTOR))
        self.register_buffer("centroids", torch.randn(self.clusters, settings.words))
        self.register_buffer("ready", torch.zeros((), dtype=torch.bool))

    @torch.no_grad()
    def prepare(self, dataset: Subset, cache: Path, rng: Draws) -> None:
        """Find the words of all pictures, kept in `cache`, and cluster them."""
        words, counts = words_of(dataset, self.settings.words, cache)
        generator = rng.named("clusters").generator
        centroids, assignments = kmeans(bag_of_words(counts), self.clusters, generator)
        even = torch.tensor(balance(assignments.numpy(), self.clusters))
        for buffer, value in (
            (self.words, words),
            (self.centroids, centroids),
            (self.assignments, assignments),
            (self.balance, even),
        ):
            first_decides(buffer.copy_(value))
        self.ready.fill_(True)

    def before_epoch(self, features: Callable[[], Tensor], rng: Draws) -> Epoch:
        """Load clusters evenly."""
        return self.load_evenly(rng)

    @torch.no_grad()
    def pseudo_labels(self, pictures: Pictures) -> Tensor:
        """The cluster of any picture (B,)."""
        counts = count_words(dense_sift(pictures), self.words.cpu())
        return nearest_centroid(bag_of_words(counts).to(self.centroids.device), self.centroids)

    @torch.no_grad()
    def panels(self, batch: Batch, rng: Draws, *, answers: bool = True) -> list[Panel]:
        """Clusters of held-out pictures; before `prepare`, clusters of these pictures alone."""
        caption = "Pictures whose local patterns, grey and found without learning, are alike"
        if self.ready:
            said = "; the network must name their cluster" if answers else ""
            return [self.panel_of_clusters(caption + said, batch, answers=answers)]
        descriptors = dense_sift(batch["image"])
        generator = rng.named("clusters").generator
        few = min(FEW_WORDS, descriptors.shape[0] * descriptors.shape[1])
        words = vocabulary(descriptors.flatten(0, 1), few, generator)
        wholes = centre_view(batch["image"], self.info.size)
        count = max(round(len(wholes) ** 0.5), 1)
        bags = bag_of_words(count_words(descriptors, words))
        clusters = kmeans(bags, count, generator)[1]
        caption += f"; the network must name which of {count} clusters."
        return [cluster_panel(self.name, caption, wholes, clusters)]

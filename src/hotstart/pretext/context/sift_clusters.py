"""SIFT clusters: to which cluster do the picture's hand-made features belong?"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from pathlib import Path
from typing import ClassVar

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from hotstart.augment import ViewSettings, centre_view, random_view
from hotstart.config import Field
from hotstart.data import Subset
from hotstart.data.sample import Pictures, Spec
from hotstart.encoders import Encoder
from hotstart.errors import UsageError
from hotstart.pretext.clustering import balance, even_order, kmeans, named_evenly, nearest_centroid
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
    PretextTask,
    Progress,
    Score,
    Settings,
    Step,
    Views,
    batch_rows,
)

FEW_WORDS = 64
"""For the panel of a task that has prepared nothing."""


class SIFTClustersSettings(Settings):
    """Settings of `sift_clusters`."""

    clusters: int | None = Field(default=None, ge=2)
    """K; None: the square root of the number of pictures, as for `deep_cluster`."""
    words: int = Field(default=256, ge=2)
    """V, local patterns that are told apart."""
    view: ViewSettings = ViewSettings(crop_scale=(0.3, 1.0), strength=0.5, blur=0.0)


class SIFTClusters(PretextTask):
    """Predict to which of K clusters the picture's SIFT features belong.

    The first way to group pictures without a label: hand-made features (Lowe 2004, IJCV 60:91),
    counted as visual words (Sivic & Zisserman 2003, ICCV), clustered by k-means. It is done once,
    before training. Windows lie on a dense grid over the picture enlarged to 64 px, for the
    detector would find about ten places in one of 32 px (see `sift.py`). SIFT sees no colours, and
    the views change them, so that they do not help to name the cluster; pictures are sampled evenly
    over clusters, by the order in which they are loaded.

    A held-out picture's pseudo-label is the centroid nearest to its bag of words.
    """

    needs: ClassVar[Mapping[str, Spec]] = {"image": Spec(), "index": Spec()}
    own_order: ClassVar[bool] = True
    Settings: ClassVar[type[Settings]] = SIFTClustersSettings
    optimiser: ClassVar[OptimiserSettings] = OptimiserSettings(
        name="adamw", learning_rate=2e-3, weight_decay=5e-4
    )
    batch_size: ClassVar[int] = 256
    settings: SIFTClustersSettings
    assignments: Tensor
    words: Tensor
    centroids: Tensor
    ready: Tensor
    balance: Tensor

    def __init__(self, encoder: Encoder, settings: SIFTClustersSettings, info: Info) -> None:
        super().__init__(encoder, settings, info)
        self.clusters = settings.clusters or max(round(info.items**0.5), 2)
        if self.clusters > info.items:
            raise UsageError(
                f"sift_clusters.clusters is {self.clusters}, and there are {info.items} pictures: "
                "a cluster needs one at least"
            )
        self.classifier = nn.Linear(encoder.dim, self.clusters)
        # What the pseudo-labels hang on: by position in the pretraining set for its pictures, as a
        # function of the picture for all others. Arbitrary until `prepare`.
        self.register_buffer("assignments", torch.arange(info.items) % self.clusters)
        self.register_buffer("words", torch.randn(settings.words, DESCRIPTOR))
        self.register_buffer("centroids", torch.randn(self.clusters, settings.words))
        self.register_buffer("ready", torch.zeros((), dtype=torch.bool))
        self.register_buffer("balance", torch.ones(()))

    def trivial(self, rows: int) -> float:
        """Chance, clusters being sampled evenly."""
        return 1 / self.clusters

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
        assignments = self.assignments.cpu().numpy()
        return Epoch(order=even_order(assignments, rng.named("order").generator))

    def views(self, batch: Batch, rng: Draws) -> Views:
        """`image` (B, 3, S, S) and `pseudo_label` (B,), 0 .. K - 1."""
        images = random_view(batch["image"], self.settings.view, self.info.size, rng)
        index = batch["index"].to(self.assignments.device)
        return {"image": images, "pseudo_label": self.assignments[index].to(images.device)}

    def forward(self, views: Views, progress: Progress, player: str) -> Step:
        """Cross-entropy over the clusters, ln K at chance; `balance` as for `deep_cluster`."""
        logits = self.classifier(self.encoder(views["image"]))
        truth = views["pseudo_label"]
        accuracy = (logits.argmax(1) == truth).float().mean()
        return Step(F.cross_entropy(logits, truth), {"accuracy": accuracy, "balance": self.balance})

    @torch.no_grad()
    def score(self, batches: Iterable[Batch], rng: Draws) -> Score:
        """How often the cluster of a held-out picture is named from a random view of it.

        The mean over clusters; chance is one over the number of clusters that occur.
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

    @torch.no_grad()
    def pseudo_labels(self, pictures: Pictures) -> Tensor:
        """The cluster of any picture (B,)."""
        counts = count_words(dense_sift(pictures), self.words.cpu())
        return nearest_centroid(bag_of_words(counts).to(self.centroids.device), self.centroids)

    @torch.no_grad()
    def panels(self, batch: Batch, rng: Draws, *, answers: bool = True) -> list[Panel]:
        """Clusters of held-out pictures; before `prepare`, clusters of these pictures alone."""
        wholes = centre_view(batch["image"], self.info.size)
        texts = None
        caption = "Pictures whose local patterns, grey and found without learning, are alike"
        if self.ready:
            clusters = self.pseudo_labels(batch["image"])
            if answers:
                said = self.classifier(self.encoder(wholes)).argmax(1)
                texts = ["right" if right else "wrong" for right in (said == clusters).tolist()]
                caption += (
                    "; the network must name their cluster, and does so for "
                    f"{texts.count('right')} of {len(texts)} whole pictures here"
                )
        else:
            descriptors = dense_sift(batch["image"])
            generator = rng.named("clusters").generator
            few = min(FEW_WORDS, descriptors.shape[0] * descriptors.shape[1])
            words = vocabulary(descriptors.flatten(0, 1), few, generator)
            count = max(round(len(wholes) ** 0.5), 1)
            bags = bag_of_words(count_words(descriptors, words))
            clusters = kmeans(bags, count, generator)[1]
            caption += f"; the network must name which of {count} clusters"
        return [cluster_panel("sift_clusters", f"{caption}.", wholes, clusters, texts)]
